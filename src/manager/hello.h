/*
 * manager/hello.h - the handshake: three messages of 96 bytes, after which both sides know that the other has the key.
 *
 *     server   magic, versions it speaks, its id, a fresh random number
 *     client   magic, the version it chose, its id, a fresh random number, HMAC(key, "kin client" + server's + its own so far)
 *     server   magic, verdict, HMAC(key, "kin server" + server's + client's)
 *
 * The key is never sent; each HMAC covers all that went before, so nothing can be replayed, and no version talked down.
 */
#ifndef KIN_MANAGER_HELLO_H
#define KIN_MANAGER_HELLO_H

#include "manager/wire.h"

#include <stdbool.h>
#include <stdint.h>

enum kin__verdict {
    KIN__VERDICT_WELCOME = 0,
    KIN__VERDICT_KEY = 1,     /* the client has not proven that it has the key */
    KIN__VERDICT_VERSION = 2, /* it chose a version that the server does not speak */
    KIN__VERDICT_FULL = 3,    /* too many clients */
    KIN__VERDICT_LATER = 4 /* too many failures came from that address: for a minute nobody there is let in */
};

struct kin__hello {
    char magic[12];
    uint8_t version[2]; /* server: least and most; client: the one */
    uint8_t verdict;
    uint8_t zero;
    uint8_t id[16];
    uint8_t nonce[32];
    uint8_t proof[32];
};
_Static_assert(sizeof(struct kin__hello) == KIN__HELLO_SIZE, "a message of the handshake");

bool kin__random(void *out, size_t size);
/* False: no random numbers, with the record. */
bool kin__hello_server(struct kin__hello *out, const uint8_t id[16]);
bool kin__hello_client(struct kin__hello *out, const struct kin__hello *server, const uint8_t id[16],
                       const void *key, size_t key_size);
/* The server's verdict about the client's message; its last message goes to `out`. */
enum kin__verdict kin__hello_judge(const struct kin__hello *server, const struct kin__hello *client,
                                   const void *key, size_t key_size, struct kin__hello *out);
void kin__hello_refuse(enum kin__verdict verdict, struct kin__hello *out);
/* Whether it is a message of a handshake at all. */
bool kin__hello_is(const struct kin__hello *hello);
/* Client: 0, or KIN_EPERM, KIN_EMISMATCH, KIN_ELIMIT, with the record. */
int kin__hello_verify(const struct kin__hello *server, const struct kin__hello *client,
                      const struct kin__hello *last, const void *key, size_t key_size, const char *address);

#endif
