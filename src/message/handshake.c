/* message/handshake.c - see handshake.h. */
#include "message/handshake.h"

#include "base/failure.h"
#include "message/connection_private.h"
#include "message/digest.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define RANDOM 40u     /* bytes, as Python 3.12 */
#define OLD_RANDOM 20u /* Python before; none with fewer is answered */
#define PREFIX "{sha256}"
#define CHALLENGE "#CHALLENGE#"
#define WELCOME "#WELCOME#"
#define FAILURE "#FAILURE#"
#define LENGTH(text) (sizeof(text) - 1)

/* What is done next. Who listens begins with DELIVER, who connects with ANSWER; each does both. */
enum step { DELIVER, AWAIT_ANSWER, ANSWER, AWAIT_VERDICT, LAST_OUT, DONE };

int kin__key_copy(const void *bytes, size_t size, bool no_md5, struct kin__key *out)
{
    *out = (struct kin__key){.no_md5 = no_md5};
    if (!bytes && size)
        return kin__fail(KIN_EINVAL, "cannot use a key: it is NULL, but its size is %zu", size);
    if (!bytes)
        return 0;
    if (size > KIN_MESSAGE_MAX || !(out->bytes = malloc(size + 1)))
        return kin__fail(KIN_ENOMEM, "could not copy a key of %zu bytes", size);
    memcpy(out->bytes, bytes, size);
    out->size = size;
    return 0;
}

void kin__key_free(struct kin__key *key)
{
    if (key->bytes)
        explicit_bzero(key->bytes, key->size);
    free(key->bytes);
    key->bytes = NULL;
}

/* ---- challenges ------------------------------------------------------------------------------ */

static bool begins(const unsigned char *text, size_t size, const char *with, size_t length)
{
    return size >= length && memcmp(text, with, length) == 0;
}

size_t kin__challenge_make(unsigned char out[64])
{
    memcpy(out, PREFIX, LENGTH(PREFIX));
    if (getrandom(out + LENGTH(PREFIX), RANDOM, 0) != (ssize_t)RANDOM) {
        kin__fail_errno(KIN_ESYSTEM, errno, "could not get random bytes for a challenge");
        return 0;
    }
    return LENGTH(PREFIX) + RANDOM;
}

size_t kin__challenge_answer(const struct kin__key *key, const unsigned char *challenge, size_t size,
                             unsigned char *out)
{
    if (size < OLD_RANDOM || size > KIN__CHALLENGE_MOST) {
        kin__fail(KIN_EMISMATCH, "could not shake hands: a challenge of %zu bytes is none", size);
        return 0;
    }
    if (begins(challenge, size, PREFIX, LENGTH(PREFIX)) && size != OLD_RANDOM) {
        memcpy(out, PREFIX, LENGTH(PREFIX));
        kin__hmac(KIN__SHA256, key->bytes, key->size, challenge, size, out + LENGTH(PREFIX));
        return LENGTH(PREFIX) + kin__digest_size(KIN__SHA256);
    }
    if (size != OLD_RANDOM) { /* another digest's name, or anything; Python would refuse it too */
        kin__fail(KIN_EMISMATCH,
                  "could not shake hands: the other side asks for a digest that kin does not know");
        return 0;
    }
    if (key->no_md5) {
        kin__fail(KIN_EPERM, "cannot shake hands: the other side asks for HMAC-MD5, and .no_md5 forbids it");
        return 0;
    }
    kin__hmac(KIN__MD5, key->bytes, key->size, challenge, size, out);
    return kin__digest_size(KIN__MD5);
}

bool kin__challenge_check(const struct kin__key *key, const unsigned char *challenge, size_t size,
                          const unsigned char *answer, size_t answer_size)
{
    unsigned char right[KIN__DIGEST_MOST];
    bool old = answer_size == kin__digest_size(KIN__MD5);
    if (old && key->no_md5)
        return false;
    enum kin__digest kind = old ? KIN__MD5 : KIN__SHA256;
    size_t prefix = old ? 0 : LENGTH(PREFIX), length = kin__digest_size(kind);
    if (!begins(answer, answer_size, PREFIX, prefix) || answer_size != prefix + length)
        return false;
    kin__hmac(kind, key->bytes, key->size, challenge, size, right);
    return kin__digest_equal(right, answer + prefix, length);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* A frame of two parts, to be sent. */
static void put(struct kin__handshake *shake, const void *first, size_t first_size, const void *second,
                size_t second_size)
{
    uint32_t length = htobe32((uint32_t)(first_size + second_size));
    memcpy(shake->out, &length, sizeof length);
    memcpy(shake->out + sizeof length, first, first_size);
    if (second_size)
        memcpy(shake->out + sizeof length + first_size, second, second_size);
    shake->out_size = (uint32_t)(sizeof length + first_size + second_size);
    shake->out_done = 0;
}

static int failed(ssize_t result)
{
    if (result == 0 || result == -EPIPE || result == -ECONNRESET)
        return kin__fail(KIN_ECLOSED,
                         "could not shake hands: the other side has hung up (has it another key?)");
    return kin__fail_errno(KIN_ESYSTEM, (int)-result, "could not shake hands");
}

/* 0, KIN__SHAKES_OUT, or an error. */
static int flush(struct kin__handshake *shake)
{
    while (shake->out_done < shake->out_size) {
        struct iovec part = {shake->out + shake->out_done, shake->out_size - shake->out_done};
        ssize_t sent = kin__os_send(shake->fd, &part, 1, NULL, 0, true);
        if (sent == -EAGAIN)
            return KIN__SHAKES_OUT;
        if (sent <= 0)
            return failed(sent);
        shake->out_done += (uint32_t)sent;
    }
    return 0;
}

/* A whole frame: 0, and its *size bytes are at in + 4; KIN__SHAKES_IN; or an error. */
static int get(struct kin__handshake *shake, size_t *size)
{
    uint32_t length = 0;
    for (;;) {
        if (shake->in_got >= sizeof length) {
            memcpy(&length, shake->in, sizeof length);
            length = be32toh(length);
            if (length > KIN__CHALLENGE_MOST)
                return kin__fail(
                    KIN_EMISMATCH,
                    "could not shake hands: the other side speaks another protocol, or has no key "
                    "(a frame of %u bytes)",
                    length);
            if (shake->in_got == sizeof length + length)
                break;
        }
        size_t want = sizeof length + length - shake->in_got;
        struct iovec part = {shake->in + shake->in_got, want};
        ssize_t got = kin__os_recv(shake->fd, &part, 1, NULL, NULL, NULL, true);
        if (got == -EAGAIN)
            return KIN__SHAKES_IN;
        if (got <= 0)
            return failed(got);
        shake->in_got += (uint32_t)got;
    }
    *size = length;
    shake->in_got = 0;
    return 0;
}

/* ---- steps ----------------------------------------------------------------------------------- */

void kin__handshake_begin(struct kin__handshake *shake, int fd, bool listener)
{
    shake->fd = fd;
    shake->listener = listener;
    shake->step = listener ? DELIVER : ANSWER;
    shake->out_size = shake->out_done = shake->in_got = 0;
}

static int deliver(struct kin__handshake *shake)
{
    size_t size = kin__challenge_make(shake->challenge);
    if (!size)
        return kin_error_code();
    put(shake, CHALLENGE, LENGTH(CHALLENGE), shake->challenge, size);
    shake->step = AWAIT_ANSWER;
    return 0;
}

static int judge(struct kin__handshake *shake, const struct kin__key *key)
{
    size_t size = 0;
    int state = get(shake, &size);
    if (state)
        return state;
    if (kin__challenge_check(key, shake->challenge, LENGTH(PREFIX) + RANDOM, shake->in + 4, size)) {
        put(shake, WELCOME, LENGTH(WELCOME), NULL, 0);
        shake->step = shake->listener ? ANSWER : LAST_OUT;
        return 0;
    }
    put(shake, FAILURE, LENGTH(FAILURE), NULL, 0);
    flush(shake);
    return kin__fail(KIN_EPERM, "could not shake hands: the other side has another key");
}

static int answer(struct kin__handshake *shake, const struct kin__key *key)
{
    unsigned char text[KIN__CHALLENGE_MOST];
    size_t size = 0;
    int state = get(shake, &size);
    if (state)
        return state;
    if (!begins(shake->in + 4, size, CHALLENGE, LENGTH(CHALLENGE)))
        return kin__fail(KIN_EMISMATCH,
                         "could not shake hands: the other side speaks another protocol, or has no key");
    size = kin__challenge_answer(key, shake->in + 4 + LENGTH(CHALLENGE), size - LENGTH(CHALLENGE), text);
    if (!size)
        return kin_error_code();
    put(shake, text, size, NULL, 0);
    shake->step = AWAIT_VERDICT;
    return 0;
}

static int hear(struct kin__handshake *shake)
{
    size_t size = 0;
    int state = get(shake, &size);
    if (state)
        return state;
    if (size != LENGTH(WELCOME) || memcmp(shake->in + 4, WELCOME, size) != 0)
        return kin__fail(KIN_EPERM, "could not shake hands: the other side has refused the key");
    shake->step = shake->listener ? DONE : DELIVER;
    return 0;
}

int kin__handshake_go_on(struct kin__handshake *shake, const struct kin__key *key)
{
    if (!key->bytes)
        return 0;
    for (;;) {
        int state = flush(shake);
        if (state)
            return state;
        switch ((enum step)shake->step) {
        case DELIVER:
            state = deliver(shake);
            break;
        case AWAIT_ANSWER:
            state = judge(shake, key);
            break;
        case ANSWER:
            state = answer(shake, key);
            break;
        case AWAIT_VERDICT:
            state = hear(shake);
            break;
        case LAST_OUT:
        case DONE:
            return 0;
        }
        if (state)
            return state;
    }
}
