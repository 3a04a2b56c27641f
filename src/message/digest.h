/*
 * message/digest.h - HMAC (RFC 2104) by MD5 (RFC 1321) and SHA-256 (FIPS 180-4), for the handshake of listeners.
 *
 * Of our own: it is 150 lines that published vectors check whole, nothing is loaded or linked for it, and a libcrypto
 * that is configured for FIPS refuses MD5, without which Python before 3.12 cannot be talked to. What HMAC asks of MD5 is not what
 * MD5 has lost (RFC 6151). No branch and no index depends on the key.
 */
#ifndef KIN_MESSAGE_DIGEST_H
#define KIN_MESSAGE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum kin__digest { KIN__MD5, KIN__SHA256 };

#define KIN__DIGEST_MOST 32u

/* Bytes of one. */
size_t kin__digest_size(enum kin__digest kind);

void kin__digest(enum kin__digest kind, const void *data, size_t size, unsigned char out[KIN__DIGEST_MOST]);
void kin__hmac(enum kin__digest kind, const void *key, size_t key_size, const void *data, size_t size,
               unsigned char out[KIN__DIGEST_MOST]);

/* Whether they are the same, in a time that does not tell where they differ. */
bool kin__digest_equal(const unsigned char *one, const unsigned char *other, size_t size);

#endif
