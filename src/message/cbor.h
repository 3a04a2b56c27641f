/*
 * message/cbor.h - libcbor, which is loaded when it is first needed.
 *
 * Not linked: a library that is linked is mapped in every process, and each mapping makes each fork dearer (docs/design/message.md).
 * Its encoders of single heads and its streaming decoder are used, which keep no state and allocate nothing.
 */
#ifndef KIN_MESSAGE_CBOR_H
#define KIN_MESSAGE_CBOR_H

#include "kin/pack.h"
#include "message/utf8.h"

#include <cbor/callbacks.h>
#include <cbor/data.h>
#include <cbor/encoding.h>
#include <cbor/streaming.h>

#define KIN__CBOR(X)                 \
    X(cbor_stream_decode)            \
    X(cbor_encode_uint)              \
    X(cbor_encode_negint)            \
    X(cbor_encode_bytestring_start)  \
    X(cbor_encode_string_start)      \
    X(cbor_encode_array_start)       \
    X(cbor_encode_indef_array_start) \
    X(cbor_encode_map_start)         \
    X(cbor_encode_indef_map_start)   \
    X(cbor_encode_tag)               \
    X(cbor_encode_bool)              \
    X(cbor_encode_null)              \
    X(cbor_encode_single)            \
    X(cbor_encode_double)            \
    X(cbor_encode_break)

struct kin__cbor {
    void *handle;
#define KIN__CBOR_FIELD(function) __typeof__(function) *function;
    KIN__CBOR(KIN__CBOR_FIELD)
#undef KIN__CBOR_FIELD
};

/* NULL: KIN_ENOTSUP or KIN_ENOMEM, with the record. It stays loaded. */
const struct kin__cbor *kin__cbor(void);

/* Tags of typed arrays: RFC 8746, section 2.1. 0: the tag is of none. */
kin_element kin__element_of(uint64_t tag, bool *big_endian);
/* In this machine's order, little-endian. */
uint64_t kin__tag_of(kin_element element);

#endif
