/* manager/hello.c - see hello.h. */
#include "manager/hello.h"

#include "base/failure.h"
#include "message/digest.h"

#include <errno.h>
#include <sys/random.h>

static const char magic[12] = "kin manager";
#define ROLE (sizeof "kin client" - 1)
#define SIGNED offsetof(struct kin__hello, proof)

bool kin__random(void *out, size_t size)
{
    for (uint8_t *at = out; size;) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR) {
            kin__fail_errno(KIN_ESYSTEM, errno, "cannot get random numbers");
            return false;
        }
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return true;
}

static void begin(struct kin__hello *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->magic, magic, sizeof magic);
}

bool kin__hello_is(const struct kin__hello *hello)
{
    return memcmp(hello->magic, magic, sizeof magic) == 0;
}

bool kin__hello_server(struct kin__hello *out, const uint8_t id[16])
{
    begin(out);
    out->version[0] = out->version[1] = KIN__WIRE_VERSION;
    memcpy(out->id, id, sizeof out->id);
    return kin__random(out->nonce, sizeof out->nonce);
}

static void prove(const char *role, const struct kin__hello *server, const struct kin__hello *client,
                  size_t client_size, const void *key, size_t key_size, uint8_t out[KIN__DIGEST_MOST])
{
    uint8_t all[16 + 2 * KIN__HELLO_SIZE];
    size_t size = ROLE;
    memcpy(all, role, ROLE);
    memcpy(all + size, server, sizeof *server);
    memcpy(all + size + sizeof *server, client, client_size);
    kin__hmac(KIN__SHA256, key, key_size, all, size + sizeof *server + client_size, out);
}

bool kin__hello_client(struct kin__hello *out, const struct kin__hello *server, const uint8_t id[16],
                       const void *key, size_t key_size)
{
    begin(out);
    out->version[0] = out->version[1] = KIN__WIRE_VERSION;
    memcpy(out->id, id, sizeof out->id);
    if (!kin__random(out->nonce, sizeof out->nonce))
        return false;
    prove("kin client", server, out, SIGNED, key, key_size, out->proof);
    return true;
}

void kin__hello_refuse(enum kin__verdict verdict, struct kin__hello *out)
{
    begin(out);
    out->version[0] = out->version[1] = KIN__WIRE_VERSION;
    out->verdict = (uint8_t)verdict;
}

enum kin__verdict kin__hello_judge(const struct kin__hello *server, const struct kin__hello *client,
                                   const void *key, size_t key_size, struct kin__hello *out)
{
    uint8_t proof[KIN__DIGEST_MOST];
    enum kin__verdict verdict = KIN__VERDICT_WELCOME;
    if (!kin__hello_is(client) || client->version[0] != KIN__WIRE_VERSION)
        verdict = KIN__VERDICT_VERSION;
    prove("kin client", server, client, SIGNED, key, key_size, proof);
    if (!verdict && !kin__digest_equal(proof, client->proof, sizeof proof))
        verdict = KIN__VERDICT_KEY;
    kin__hello_refuse(verdict, out);
    if (!verdict)
        prove("kin server", server, client, sizeof *client, key, key_size, out->proof);
    return verdict;
}

int kin__hello_verify(const struct kin__hello *server, const struct kin__hello *client,
                      const struct kin__hello *last, const void *key, size_t key_size, const char *address)
{
    uint8_t proof[KIN__DIGEST_MOST];
    if (!kin__hello_is(last))
        return kin__fail(KIN_EMISMATCH, "cannot connect to \"%s\": what listens there is no manager",
                         address);
    switch (last->verdict) {
    case KIN__VERDICT_WELCOME:
        break;
    case KIN__VERDICT_KEY:
        return kin__fail(KIN_EPERM, "cannot connect to \"%s\": the manager has another key", address);
    case KIN__VERDICT_FULL:
        return kin__fail(KIN_ELIMIT,
                         "cannot connect to \"%s\": the manager has as many connections as it may have",
                         address);
    case KIN__VERDICT_LATER:
        return kin__fail(KIN_EPERM,
                         "cannot connect to \"%s\": after too many failures the manager lets nobody in from "
                         "here for a minute",
                         address);
    default:
        return kin__fail(KIN_EMISMATCH,
                         "cannot connect to \"%s\": the manager speaks another version of the protocol",
                         address);
    }
    prove("kin server", server, client, sizeof *client, key, key_size, proof);
    if (!kin__digest_equal(proof, last->proof, sizeof proof))
        return kin__fail(KIN_EPERM,
                         "cannot connect to \"%s\": what listens there has not proven that it has the key",
                         address);
    return 0;
}
