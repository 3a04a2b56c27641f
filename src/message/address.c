/* message/address.c - see address.h. */
#include "message/address.h"

#include "base/failure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

static struct sockaddr_un *as_unix(const struct kin__os_address *address)
{
    return (struct sockaddr_un *)&address->storage;
}

static int read_unix(const char *text, struct kin__os_address *out)
{
    struct sockaddr_un *name = as_unix(out);
    size_t length = strlen(text);
    if (length < (*text == '@' ? 2u : 1u) || length >= sizeof name->sun_path)
        return kin__fail(KIN_EINVAL,
                         "cannot use \"%.120s\" as an address: a Unix socket's name has 1 to %zu bytes", text,
                         sizeof name->sun_path - 1);
    memset(out, 0, sizeof *out);
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, text, length);
    if (*text == '@')
        name->sun_path[0] = '\0';
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (*text != '@'));
    return 0;
}

static int resolve(const char *text, const char *host, const char *port, bool listening,
                   struct kin__os_address *out)
{
    struct addrinfo how = {.ai_socktype = SOCK_STREAM,
                           .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | (listening ? AI_PASSIVE : 0)};
    struct addrinfo *found = NULL;
    int error = getaddrinfo(*host ? host : NULL, port, &how, &found);
    if (error == EAI_NONAME) { /* a name: that takes the resolver, and its configuration */
        how.ai_flags &= ~AI_NUMERICHOST;
        error = getaddrinfo(host, port, &how, &found);
    }
    if (error)
        return kin__fail(error == EAI_NONAME || error == EAI_AGAIN ? KIN_ENOTFOUND : KIN_ESYSTEM,
                         "could not find the host of \"%.200s\": %s", text,
                         error == EAI_SYSTEM ? "a system call failed" : gai_strerror(error));
    memset(out, 0, sizeof *out);
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    out->length = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int read_tcp(const char *text, const char *rest, bool listening, struct kin__os_address *out)
{
    char host[KIN__ADDRESS_MOST], *end;
    const char *colon = strrchr(rest, ':'), *from = rest;
    size_t length = colon ? (size_t)(colon - rest) : 0;
    if (colon && *rest == '[' && length > 1 && rest[length - 1] == ']') {
        from++;
        length -= 2;
    } else if (colon && memchr(rest, ':', length)) {
        colon = NULL; /* a bare address of version 6 */
    }
    unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 65536;
    if (!colon || port > 65535 || *end || length >= sizeof host || (!length && !listening))
        return kin__fail(
            KIN_EINVAL,
            "cannot use \"%.200s\" as an address: it is neither /PATH, @NAME, unix:PATH, HOST:PORT, "
            "tcp:HOST:PORT nor [VERSION 6]:PORT",
            text);
    memcpy(host, from, length);
    host[length] = '\0';
    return resolve(text, host, colon + 1, listening, out);
}

int kin__address_read(const char *text, bool listening, struct kin__os_address *out)
{
    if (!text)
        return kin__fail(KIN_EINVAL, "cannot use NULL as an address");
    if (strncmp(text, "unix:", 5) == 0)
        return read_unix(text + 5, out);
    if (*text == '/' || *text == '@')
        return read_unix(text, out);
    return read_tcp(text, strncmp(text, "tcp:", 4) == 0 ? text + 4 : text, listening, out);
}

const char *kin__address_path(const struct kin__os_address *address)
{
    const struct sockaddr_un *name = as_unix(address);
    return name->sun_family == AF_UNIX && name->sun_path[0] ? name->sun_path : NULL;
}

static void write_unix(const struct kin__os_address *address, char out[KIN__ADDRESS_MOST])
{
    const struct sockaddr_un *name = as_unix(address);
    size_t length = address->length - offsetof(struct sockaddr_un, sun_path);
    if (address->length <= offsetof(struct sockaddr_un, sun_path)) {
        snprintf(out, KIN__ADDRESS_MOST, "unix:");
        return;
    }
    if (name->sun_path[0])
        snprintf(out, KIN__ADDRESS_MOST, "unix:%.*s", (int)length, name->sun_path);
    else
        snprintf(out, KIN__ADDRESS_MOST, "unix:@%.*s", (int)length - 1, name->sun_path + 1);
}

void kin__address_write(const struct kin__os_address *address, char out[KIN__ADDRESS_MOST])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->storage.ss_family == AF_UNIX) {
        write_unix(address, out);
    } else if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)&address->storage;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(out, KIN__ADDRESS_MOST, "tcp:%s:%u", host, ntohs(four->sin_port));
    } else {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&address->storage;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(out, KIN__ADDRESS_MOST, "tcp:[%s]:%u", host, ntohs(six->sin6_port));
    }
}

int kin__address_make_up(struct kin__os_address *out)
{
    uint64_t random[2];
    char text[64];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not get random bytes for an address");
    snprintf(text, sizeof text, "@kin-%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    return read_unix(text, out);
}
