/*
 * message/handshake.h - each side of a connection proves to the other that it has the same key.
 *
 * The protocol of Python's multiprocessing.connection (Lib/multiprocessing/connection.py), in frames of a stream (stream.c):
 *
 *     listener  "#CHALLENGE#" + "{sha256}" + 40 random bytes     (Python before 3.12: 20 random bytes)
 *     client    "{sha256}" + HMAC-SHA256(key, what came behind "#CHALLENGE#")     (before 3.12: the bare HMAC-MD5 of it)
 *     listener  "#WELCOME#", or "#FAILURE#"
 *     then the same with the roles exchanged
 *
 * No step waits: who runs it waits for the descriptor, and keeps the time. Nothing is read beyond the handshake.
 */
#ifndef KIN_MESSAGE_HANDSHAKE_H
#define KIN_MESSAGE_HANDSHAKE_H

#include "kin/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__CHALLENGE_MOST 256u /* bytes of a frame, as in Python */

struct kin__key {
    unsigned char *bytes; /* NULL: none, so there is no handshake */
    size_t size;
    bool no_md5;
};

/* KIN_EINVAL, KIN_ENOMEM; and let it go, written over. */
int kin__key_copy(const void *bytes, size_t size, bool no_md5, struct kin__key *out);
void kin__key_free(struct kin__key *key);

enum kin__handshake_state { KIN__SHAKES_IN = 1, KIN__SHAKES_OUT = 2 }; /* what it waits for */

struct kin__handshake {
    int fd;
    bool listener; /* which side this is */
    uint8_t step;
    uint32_t out_size, out_done, in_got;
    unsigned char out[4 + KIN__CHALLENGE_MOST], in[4 + KIN__CHALLENGE_MOST];
    unsigned char challenge[64];
};

void kin__handshake_begin(struct kin__handshake *shake, int fd, bool listener);

/* As far as it goes without waiting. 0: it is done; KIN__SHAKES_IN, _OUT; KIN_EPERM: the keys differ; KIN_EMISMATCH: the peer speaks
 * another protocol; KIN_ECLOSED: it hung up; KIN_ESYSTEM. */
int kin__handshake_go_on(struct kin__handshake *shake, const struct kin__key *key);

/* The parts of it, without a socket. A challenge's text goes to `out`; its size. */
size_t kin__challenge_make(unsigned char out[64]);
/* The answer to one, in `out` of KIN__CHALLENGE_MOST bytes: its size; 0: it is none (record set: KIN_EMISMATCH, KIN_EPERM). */
size_t kin__challenge_answer(const struct kin__key *key, const unsigned char *challenge, size_t size,
                             unsigned char *out);
/* Whether it is the right answer. */
bool kin__challenge_check(const struct kin__key *key, const unsigned char *challenge, size_t size,
                          const unsigned char *answer, size_t answer_size);

#endif
