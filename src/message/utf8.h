/* message/utf8.h - whether bytes are text, for all that is sent as CBOR. */
#ifndef KIN_MESSAGE_UTF8_H
#define KIN_MESSAGE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates. */
bool kin__is_utf8(const void *text, size_t size);

#endif
