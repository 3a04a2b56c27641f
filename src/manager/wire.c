/* manager/wire.c - buffers, frames and writing items: see wire.h. */
#include "manager/wire.h"

#include "base/failure.h"
#include "message/utf8.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_ROOM 256u

/* ---- frames ------------------------------------------------------------------------------------ */

void kin__frame_write(uint8_t head[KIN__FRAME_HEAD], const struct kin__frame *frame)
{
    head[0] = 'k';
    head[1] = 'M';
    head[2] = KIN__WIRE_VERSION;
    head[3] = frame->kind;
    memcpy(head + 4, &frame->size, 4);
    memcpy(head + 8, &frame->number, 8);
    memcpy(head + 16, &frame->thread, 8);
}

bool kin__frame_read(const uint8_t head[KIN__FRAME_HEAD], struct kin__frame *out)
{
    out->kind = head[3];
    memcpy(&out->size, head + 4, 4);
    memcpy(&out->number, head + 8, 8);
    memcpy(&out->thread, head + 16, 8);
    return head[0] == 'k' && head[1] == 'M' && head[2] == KIN__WIRE_VERSION;
}

size_t kin__frame_begin(struct kin__buffer *buffer, const struct kin__frame *frame)
{
    uint8_t head[KIN__FRAME_HEAD];
    size_t at = buffer->size;
    kin__frame_write(head, frame);
    kin__buffer_add(buffer, head, sizeof head);
    return at;
}

void kin__frame_end(struct kin__buffer *buffer, size_t at)
{
    if (buffer->failed)
        return;
    uint32_t size = (uint32_t)(buffer->size - at - KIN__FRAME_HEAD);
    memcpy(buffer->data + at + 4, &size, 4);
}

/* ---- buffers ----------------------------------------------------------------------------------- */

uint8_t *kin__buffer_grow(struct kin__buffer *buffer, size_t more)
{
    if (buffer->failed)
        return NULL;
    if (more <= buffer->room - buffer->size)
        return buffer->data + buffer->size;
    size_t room = buffer->room ? buffer->room : LEAST_ROOM;
    while (room - buffer->size < more && room < SIZE_MAX / 2)
        room *= 2;
    uint8_t *data = room - buffer->size < more ? NULL : realloc(buffer->data, room);
    if (!data) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->room = room;
    return data + buffer->size;
}

void kin__buffer_free(struct kin__buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct kin__buffer){0};
}

/* ---- items ------------------------------------------------------------------------------------- */

static size_t big_endian(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    return size;
}

void kin__put_head(struct kin__buffer *buffer, enum kin__major major, uint64_t argument)
{
    uint8_t head[9];
    size_t size = 1;
    uint8_t info;
    if (argument < 24)
        info = (uint8_t)argument;
    else if (argument <= UINT8_MAX)
        info = 24, size += big_endian(head + 1, argument, 1);
    else if (argument <= UINT16_MAX)
        info = 25, size += big_endian(head + 1, argument, 2);
    else if (argument <= UINT32_MAX)
        info = 26, size += big_endian(head + 1, argument, 4);
    else
        info = 27, size += big_endian(head + 1, argument, 8);
    head[0] = (uint8_t)(major << 5 | info);
    kin__buffer_add(buffer, head, size);
}

void kin__put_int(struct kin__buffer *buffer, int64_t value)
{
    if (value >= 0)
        kin__put_head(buffer, KIN__UINT, (uint64_t)value);
    else
        kin__put_head(buffer, KIN__NEGINT, (uint64_t)(-1 - value));
}

/* Halves are not written: both ends would have to agree on their subnormals, for two bytes. */
void kin__put_real(struct kin__buffer *buffer, double value)
{
    uint8_t head[9];
    size_t size = 1;
    float narrow = (float)value;
    if (isnan(value)) {
        head[0] = 0xf9;
        size += big_endian(head + 1, 0x7e00, 2);
    } else if ((double)narrow == value) {
        uint32_t bits;
        memcpy(&bits, &narrow, 4);
        head[0] = 0xfa;
        size += big_endian(head + 1, bits, 4);
    } else {
        uint64_t bits;
        memcpy(&bits, &value, 8);
        head[0] = 0xfb;
        size += big_endian(head + 1, bits, 8);
    }
    kin__buffer_add(buffer, head, size);
}

void kin__put_bool(struct kin__buffer *buffer, bool value)
{
    kin__buffer_add(buffer, value ? "\xf5" : "\xf4", 1);
}

void kin__put_null(struct kin__buffer *buffer)
{
    kin__buffer_add(buffer, "\xf6", 1);
}

void kin__put_bytes(struct kin__buffer *buffer, const void *data, size_t size)
{
    kin__put_head(buffer, KIN__BYTES, size);
    kin__buffer_add(buffer, data, size);
}

void kin__put_text(struct kin__buffer *buffer, const char *string)
{
    size_t size = strlen(string);
    kin__put_head(buffer, KIN__TEXT, size);
    kin__buffer_add(buffer, string, size);
}

static int put_packed(struct kin__buffer *buffer, const kin_any *any)
{
    struct kin__reader reader = {any->data, (const uint8_t *)any->data + any->size};
    int error = any->data ? kin__check(&reader, NULL) : KIN_EINVAL;
    if (error == KIN_ELIMIT)
        return kin__fail(KIN_ELIMIT,
                         "cannot send the packed value: more than %u lists and maps in one another",
                         KIN__DEPTH_MAX);
    if (error || reader.at != reader.end)
        return kin__fail(KIN_EINVAL, "cannot send the packed value: its %zu bytes are not one CBOR item",
                         any->size);
    kin__buffer_add(buffer, any->data, any->size);
    return 0;
}

int kin__put_any(struct kin__buffer *buffer, const kin_any *any)
{
    switch (any->type) {
    case KIN_ANY_NULL:
        return kin__put_null(buffer), 0;
    case KIN_ANY_BOOL:
        return kin__put_bool(buffer, any->truth), 0;
    case KIN_ANY_INT:
        return kin__put_int(buffer, any->integer), 0;
    case KIN_ANY_UINT:
        return kin__put_head(buffer, KIN__UINT, any->natural), 0;
    case KIN_ANY_REAL:
        return kin__put_real(buffer, any->real), 0;
    case KIN_ANY_TEXT:
        if (any->size && (!any->data || !kin__is_utf8(any->data, any->size)))
            return kin__fail(KIN_EINVAL,
                             "cannot send the text of %zu bytes: it is no UTF-8; bytes may be anything",
                             any->size);
        kin__put_head(buffer, KIN__TEXT, any->size);
        kin__buffer_add(buffer, any->data, any->size);
        return 0;
    case KIN_ANY_BYTES:
        if (any->size && !any->data)
            return kin__fail(KIN_EINVAL, "cannot send %zu bytes at NULL", any->size);
        kin__put_bytes(buffer, any->data, any->size);
        return 0;
    case KIN_ANY_PACKED:
    case KIN_ANY_OBJECT:
        return put_packed(buffer, any);
    case KIN_ANY_FUNCTION:
        kin__put_head(buffer, KIN__TAG, KIN__FUNCTION_TAG);
        kin__put_head(buffer, KIN__LIST, 2);
        kin__put_head(buffer, KIN__UINT, (uint64_t)any->integer);
        kin__put_head(buffer, KIN__UINT, any->natural);
        return 0;
    case KIN_ANY_POINTER:
    case KIN_ANY_NOTHING:
        break;
    }
    return kin__fail(KIN_EINVAL, "cannot send a value of type %d: there is no such type", (int)any->type);
}
