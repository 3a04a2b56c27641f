/*
 * manager/wire.h - bytes to be sent, and bytes that were received: buffers, CBOR heads, frames. docs/protocol.md has the format.
 *
 * Its own coder, and not kin_pack: the protocol must work where libcbor is not installed, a server must not need it for
 * strings and numbers, and a call has a budget of a microsecond. Only heads are coded here.
 */
#ifndef KIN_MANAGER_WIRE_H
#define KIN_MANAGER_WIRE_H

#include "kin/any.h"
#include "kin/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- frames ------------------------------------------------------------------------------------ */

#define KIN__WIRE_VERSION 1
#define KIN__FRAME_HEAD 24u
#define KIN__HELLO_SIZE 96u /* of each message of the handshake */
#define KIN__DEPTH_MAX 64u

enum kin__frame_kind {
    KIN__FRAME_CALL = 1,
    KIN__FRAME_ANSWER = 2,  /* body: one item */
    KIN__FRAME_FAILURE = 3, /* body: code, message, method, pid */
    KIN__FRAME_RING = 5,    /* look at shared memory (near.h) */
    KIN__FRAME_BYE = 4      /* the client has ended this connection by itself: what it held is given back */
};

/*
 *   offset  size  what, little-endian
 *   0       2     "kM"
 *   2       1     version
 *   3       1     kind
 *   4       4     bytes of the body
 *   8       8     number of the call, chosen by the client; the answer has the same
 *   16      8     the calling thread, chosen by the client: who a lock's owner is; 0 in answers
 */
struct kin__frame {
    uint8_t kind;
    uint32_t size;
    uint64_t number;
    uint64_t thread;
};

void kin__frame_write(uint8_t head[KIN__FRAME_HEAD], const struct kin__frame *frame);
/* False: it is no frame of this version. */
bool kin__frame_read(const uint8_t head[KIN__FRAME_HEAD], struct kin__frame *out);

/* ---- buffers ----------------------------------------------------------------------------------- */

struct kin__buffer {
    uint8_t *data;
    size_t size, room;
    bool failed; /* out of memory: sticks until the next kin__buffer_reset */
};

/* Room for `more` bytes, which are not counted yet: NULL, it has failed. */
uint8_t *kin__buffer_grow(struct kin__buffer *buffer, size_t more);
void kin__buffer_free(struct kin__buffer *buffer);
static inline void kin__buffer_add(struct kin__buffer *buffer, const void *data, size_t size)
{
    uint8_t *to =
        size <= buffer->room - buffer->size ? buffer->data + buffer->size : kin__buffer_grow(buffer, size);
    if (to && size) {
        memcpy(to, data, size);
        buffer->size += size;
    }
}
/* Begin a frame, and end it: its size is known then. */
size_t kin__frame_begin(struct kin__buffer *buffer, const struct kin__frame *frame);
void kin__frame_end(struct kin__buffer *buffer, size_t at);

/* ---- writing items ----------------------------------------------------------------------------- */

enum kin__major { KIN__UINT, KIN__NEGINT, KIN__BYTES, KIN__TEXT, KIN__LIST, KIN__MAP, KIN__TAG, KIN__SIMPLE };

void kin__put_head(struct kin__buffer *buffer, enum kin__major major, uint64_t argument);
void kin__put_int(struct kin__buffer *buffer, int64_t value);
void kin__put_real(struct kin__buffer *buffer, double value);
void kin__put_bool(struct kin__buffer *buffer, bool value);
void kin__put_null(struct kin__buffer *buffer);
void kin__put_bytes(struct kin__buffer *buffer, const void *data, size_t size);
void kin__put_text(struct kin__buffer *buffer, const char *string);
/* KIN_EINVAL, KIN_ELIMIT, with the record, for text and packed items that are not right. */
int kin__put_any(struct kin__buffer *buffer, const kin_any *any);

/* An object of a manager, as an item: this tag, with [server (16 bytes), object, type]. */
#define KIN__OBJECT_TAG 0x6b696e01u
#define KIN__SERVER_ID 16u
/* A function of the family's, as an item: this tag, with [module, offset] of struct kin__function. */
#define KIN__FUNCTION_TAG 0x6b696e02u

/* ---- reading items ----------------------------------------------------------------------------- */

struct kin__reader {
    const uint8_t *at, *end;
};

struct kin__head {
    uint8_t major;
    uint8_t info; /* 31: open; of KIN__SIMPLE: what follows (20 false, 21 true, 22 null, 25 to 27 reals) */
    uint64_t argument;
};

/* False: there is no head, or a malformed one. */
bool kin__read_head(struct kin__reader *reader, struct kin__head *out);
/* Past one item, which is well-formed: checked, or written here. */
bool kin__skip(struct kin__reader *reader);
/*
 * Past one item that nobody has checked: length, depth, counts, UTF-8. `objects`, unless NULL, is set if some object of a manager
 * is in it. 0; KIN_EINVAL, KIN_ELIMIT, without a record.
 */
int kin__check(struct kin__reader *reader, bool *objects);

/* The real of a KIN__SIMPLE head, 25 to 27. */
double kin__real_of(const struct kin__head *head);

/* Items of that kind: false, and nothing is read, if the next one is another. */
bool kin__read_uint(struct kin__reader *reader, uint64_t *out);
bool kin__read_int(struct kin__reader *reader, int64_t *out);
bool kin__read_bool(struct kin__reader *reader, bool *out);
bool kin__read_null(struct kin__reader *reader);
bool kin__read_number(struct kin__reader *reader, double *out); /* integers and reals */
bool kin__read_span(struct kin__reader *reader, enum kin__major major, const uint8_t **data, size_t *size);

/* The item as others equal to it have it: see kin/any.h. The item has been checked. */
void kin__put_canonical(struct kin__buffer *buffer, struct kin__reader *reader);

/* A view of a checked item: pointers into it. */
void kin__item_view(const uint8_t *item, size_t size, kin_any *out);
/* The same with memory of its own. KIN_ENOMEM, KIN_EINVAL (text or bytes in pieces that cannot be joined). */
int kin__item_own(const uint8_t *item, size_t size, kin_any *out);

#endif
