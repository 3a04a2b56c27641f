/*
 * message/pack.c - writing typed messages: see kin/pack.h.
 *
 * Each item that begins is counted in the list or map it stands in; the lists that are complete with it end. So it is known at each
 * call whether an item may stand here, and at the end whether all is there.
 */
#include "message/cbor.h"

#include "base/failure.h"
#include "kin/heap.h"
#include "kin/queue.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 256u
#define HEAD_MOST 9u

struct frame {
    uint64_t left; /* items; of an open one: those there are */
    bool open, map;
};

struct kin_pack {
    const struct kin__cbor *cbor;
    unsigned char *data; /* the caller's, or a block of the heap */
    size_t size;         /* what was written, or would have been */
    size_t capacity;
    bool grows;
    bool tagged; /* the next item is */
    bool any;
    int error;
    char why[200];
    unsigned depth;
    struct frame frame[KIN_PACK_DEPTH];
};

static kin_pack *new_pack(void *buffer, size_t capacity, bool grows)
{
    const struct kin__cbor *cbor = kin__cbor();
    kin_pack *pack = cbor ? calloc(1, sizeof *pack) : NULL;
    if (!pack) {
        if (cbor)
            kin__fail(KIN_ENOMEM, "cannot make a pack: out of memory");
        return NULL;
    }
    pack->cbor = cbor;
    pack->data = buffer;
    pack->capacity = capacity;
    pack->grows = grows;
    return pack;
}

kin_pack *kin_pack_new(void)
{
    return new_pack(NULL, 0, true);
}

kin_pack *kin_pack_new_in(void *buffer, size_t capacity)
{
    if (!buffer && capacity) {
        kin__fail(KIN_EINVAL, "cannot pack into %zu bytes at NULL", capacity);
        return NULL;
    }
    return new_pack(buffer, capacity, false);
}

void kin_pack_free(kin_pack *pack)
{
    if (pack && pack->grows)
        kin_free(pack->data);
    free(pack);
}

static void begin_anew(kin_pack *pack)
{
    pack->size = 0;
    pack->tagged = pack->any = false;
    pack->error = 0;
    pack->depth = 0;
}

/* The first error sticks. */
static int wrong(kin_pack *pack, int code, const char *format, ...) KIN_PRINTF(3, 4);
static int wrong(kin_pack *pack, int code, const char *format, ...)
{
    if (!pack->error) {
        va_list args;
        va_start(args, format);
        vsnprintf(pack->why, sizeof pack->why, format, args);
        va_end(args);
        pack->error = code;
    }
    return kin__fail(pack->error, "%s", pack->why);
}

static int check(kin_pack *pack)
{
    if (pack && !pack->error)
        return 0;
    if (pack)
        return kin__fail(pack->error, "%s", pack->why);
    kin__fail(KIN_EINVAL, "cannot pack: there is no pack");
    return KIN_EINVAL;
}

static int grow(kin_pack *pack, size_t need)
{
    size_t capacity = pack->capacity ? pack->capacity : FIRST_BLOCK;
    while (capacity < need)
        capacity *= 2;
    if (need > KIN_MESSAGE_MAX)
        return wrong(pack, KIN_ETOOLARGE, "cannot pack more than %zu bytes", KIN_MESSAGE_MAX);
    void *data = kin_realloc(pack->data, capacity);
    if (!data)
        return wrong(pack, kin_error_code(), "%s", kin_error_message());
    pack->data = data;
    pack->capacity = capacity;
    return 0;
}

/* Beyond a caller's buffer it is only counted. */
static int emit(kin_pack *pack, const void *bytes, size_t size)
{
    if (size > KIN_MESSAGE_MAX)
        return wrong(pack, KIN_ETOOLARGE, "cannot pack %zu bytes: at most %zu", size, KIN_MESSAGE_MAX);
    int error = pack->grows && size > pack->capacity - pack->size ? grow(pack, pack->size + size) : 0;
    if (error)
        return error;
    if (pack->size <= pack->capacity && size <= pack->capacity - pack->size && size)
        memcpy(pack->data + pack->size, bytes, size);
    pack->size += size;
    return 0;
}

/* ---- where items may stand ------------------------------------------------------------------- */

/* An item is to begin. */
static int begin(kin_pack *pack)
{
    int error = check(pack);
    if (error)
        return error;
    pack->tagged = false;
    pack->any = true;
    if (!pack->depth)
        return 0;
    struct frame *frame = &pack->frame[pack->depth - 1];
    frame->left += frame->open ? 1 : UINT64_MAX; /* -1: it is not 0, or it would have ended */
    return 0;
}

/* An item is complete, and what is complete with it. */
static void end(kin_pack *pack)
{
    while (pack->depth && !pack->frame[pack->depth - 1].open && !pack->frame[pack->depth - 1].left)
        pack->depth--;
}

static int put(kin_pack *pack, const unsigned char *head, size_t head_size, const void *body, size_t size)
{
    int error = emit(pack, head, head_size);
    if (!error && size)
        error = emit(pack, body, size);
    if (!error)
        end(pack);
    return error;
}

/* ---- scalars --------------------------------------------------------------------------------- */

int kin_pack_null(kin_pack *pack)
{
    unsigned char head[HEAD_MOST];
    int error = begin(pack);
    return error ? error : put(pack, head, pack->cbor->cbor_encode_null(head, sizeof head), NULL, 0);
}

int kin_pack_bool(kin_pack *pack, bool value)
{
    unsigned char head[HEAD_MOST];
    int error = begin(pack);
    return error ? error : put(pack, head, pack->cbor->cbor_encode_bool(value, head, sizeof head), NULL, 0);
}

int kin_pack_uint(kin_pack *pack, uint64_t value)
{
    unsigned char head[HEAD_MOST];
    int error = begin(pack);
    return error ? error : put(pack, head, pack->cbor->cbor_encode_uint(value, head, sizeof head), NULL, 0);
}

int kin_pack_int(kin_pack *pack, int64_t value)
{
    unsigned char head[HEAD_MOST];
    if (value >= 0)
        return kin_pack_uint(pack, (uint64_t)value);
    int error = begin(pack);
    return error ? error
                 : put(pack, head, pack->cbor->cbor_encode_negint(~(uint64_t)value, head, sizeof head), NULL,
                       0);
}

/* The half precision number that has this value, if there is one: sign, 5 bits of exponent, 10 of fraction. (Not by libcbor: 0.8 loses
 * the last bit of some that are subnormal.) */
static bool as_half(double value, uint16_t *out)
{
    int exponent;
    double fraction = frexp(fabs(value), &exponent); /* in [0.5, 1) */
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    *out = sign | (isinf(value) ? 0x7c00 : 0);
    if (value == 0 || isinf(value))
        return true;
    bool subnormal = exponent < -13;
    double digits = ldexp(fraction, subnormal ? exponent + 24 : 11); /* in units of the last bit */
    if (exponent > 16 || exponent < -23 || digits != (double)(uint16_t)digits)
        return false;
    *out |= subnormal ? (uint16_t)digits : (uint16_t)((exponent + 14) << 10 | ((uint16_t)digits & 0x3ff));
    return true;
}

int kin_pack_double(kin_pack *pack, double value)
{
    unsigned char head[HEAD_MOST] = {0xf9, 0x7e, 0x00}; /* not a number */
    int error = begin(pack);
    if (error || isnan(value))
        return error ? error : put(pack, head, 3, NULL, 0);
    uint16_t half;
    if (as_half(value, &half)) {
        head[1] = (unsigned char)(half >> 8);
        head[2] = (unsigned char)half;
        return put(pack, head, 3, NULL, 0);
    }
    bool single = fabs(value) <= 0x1.fffffep127 && (double)(float)value == value;
    size_t size = single ? pack->cbor->cbor_encode_single((float)value, head, sizeof head)
                         : pack->cbor->cbor_encode_double(value, head, sizeof head);
    return put(pack, head, size, NULL, 0);
}

/* ---- strings --------------------------------------------------------------------------------- */

int kin_pack_text(kin_pack *pack, const char *text, size_t length)
{
    unsigned char head[HEAD_MOST];
    int error = check(pack);
    if (!error && !text && length)
        error = wrong(pack, KIN_EINVAL, "cannot pack a string of %zu bytes: it is NULL", length);
    if (!error && !kin__is_utf8(text, length))
        error = wrong(pack, KIN_EINVAL,
                      "cannot pack a string of %zu bytes: it is not UTF-8 (pack it as bytes)", length);
    if (!error)
        error = begin(pack);
    return error ? error
                 : put(pack, head, pack->cbor->cbor_encode_string_start(length, head, sizeof head), text,
                       length);
}

int kin_pack_string(kin_pack *pack, const char *string)
{
    int error = check(pack);
    if (error)
        return error;
    if (!string)
        return wrong(pack, KIN_EINVAL, "cannot pack a string: it is NULL");
    return kin_pack_text(pack, string, strlen(string));
}

int kin_pack_bytes(kin_pack *pack, const void *bytes, size_t size)
{
    unsigned char head[HEAD_MOST];
    int error = check(pack);
    if (!error && !bytes && size)
        error = wrong(pack, KIN_EINVAL, "cannot pack %zu bytes: they are at NULL", size);
    if (!error)
        error = begin(pack);
    return error ? error
                 : put(pack, head, pack->cbor->cbor_encode_bytestring_start(size, head, sizeof head), bytes,
                       size);
}

int kin_pack_array(kin_pack *pack, kin_element element, const void *elements, size_t count)
{
    size_t each = kin_element_size(element);
    int error = check(pack);
    if (error)
        return error;
    if (!each)
        return wrong(pack, KIN_EINVAL, "cannot pack an array: there are no elements of type %d",
                     (int)element);
    if (!elements && count)
        return wrong(pack, KIN_EINVAL, "cannot pack an array of %zu elements: it is NULL", count);
    if (count > KIN_MESSAGE_MAX / each)
        return wrong(pack, KIN_ETOOLARGE, "cannot pack an array of %zu elements of %zu bytes", count, each);
    error = kin_pack_tag(pack, kin__tag_of(element));
    return error ? error : kin_pack_bytes(pack, elements, count * each);
}

/* ---- lists and maps -------------------------------------------------------------------------- */

static int open_frame(kin_pack *pack, size_t count, bool map)
{
    unsigned char head[HEAD_MOST];
    bool open = count == KIN_PACK_OPEN;
    int error = check(pack);
    if (error)
        return error;
    if (pack->depth == KIN_PACK_DEPTH)
        return wrong(pack, KIN_ELIMIT, "cannot pack lists and maps more than %d deep", KIN_PACK_DEPTH);
    if (!open && count > KIN_MESSAGE_MAX)
        return wrong(pack, KIN_ETOOLARGE, "cannot pack %zu entries", count);
    if ((error = begin(pack)) != 0)
        return error;
    const struct kin__cbor *cbor = pack->cbor;
    pack->frame[pack->depth++] = (struct frame){.left = open  ? 0
                                                        : map ? 2 * (uint64_t)count
                                                              : count,
                                                .open = open,
                                                .map = map};
    size_t size = open && map ? cbor->cbor_encode_indef_map_start(head, sizeof head)
                  : open      ? cbor->cbor_encode_indef_array_start(head, sizeof head)
                  : map       ? cbor->cbor_encode_map_start(count, head, sizeof head)
                              : cbor->cbor_encode_array_start(count, head, sizeof head);
    return put(pack, head, size, NULL, 0);
}

int kin_pack_list(kin_pack *pack, size_t count)
{
    return open_frame(pack, count, false);
}

int kin_pack_map(kin_pack *pack, size_t count)
{
    return open_frame(pack, count, true);
}

int kin_pack_close(kin_pack *pack)
{
    unsigned char head[HEAD_MOST];
    int error = check(pack);
    if (error)
        return error;
    const struct frame *frame = pack->depth ? &pack->frame[pack->depth - 1] : NULL;
    if (!frame || !frame->open)
        return wrong(pack, KIN_EINVAL, "cannot close: %s",
                     frame ? "the list or map has a count, and ends by itself" : "there is no list or map");
    if (pack->tagged || (frame->map && frame->left % 2))
        return wrong(pack, KIN_EINVAL, "cannot close a list or map: its last %s has no value",
                     pack->tagged ? "tag" : "key");
    pack->depth--;
    return put(pack, head, pack->cbor->cbor_encode_break(head, sizeof head), NULL, 0);
}

int kin_pack_tag(kin_pack *pack, uint64_t tag)
{
    unsigned char head[HEAD_MOST];
    int error = check(pack);
    if (error)
        return error;
    pack->tagged = true;
    return emit(pack, head, pack->cbor->cbor_encode_tag(tag, head, sizeof head));
}

int kin_pack_item(kin_pack *pack, const void *data, size_t size)
{
    int error = check(pack);
    if (!error && (error = kin_unpack_check(data, size)) != 0)
        return wrong(pack, error, "%s", kin_error_message());
    if (!error)
        error = begin(pack);
    return error ? error : put(pack, data, size, NULL, 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int judge(kin_pack *pack)
{
    int error = check(pack);
    if (error)
        return error;
    if (pack->depth)
        return wrong(pack, KIN_EINVAL, "the message is not complete: a list or map lacks %s",
                     pack->frame[pack->depth - 1].open ? "its kin_pack_close" : "entries");
    if (pack->tagged || !pack->any)
        return wrong(pack, KIN_EINVAL, "the message is not complete: %s",
                     pack->any || pack->tagged ? "its last tag has no item" : "there is nothing in it");
    if (pack->data && pack->size > pack->capacity)
        return wrong(pack, KIN_ETOOLARGE, "the message has %zu bytes, the buffer only %zu", pack->size,
                     pack->capacity);
    return 0;
}

int kin_pack_end(kin_pack *pack, void **data, size_t *size)
{
    if (!pack)
        return check(pack);
    int error = judge(pack);
    if (!error && pack->grows && !data)
        error = wrong(pack, KIN_EINVAL, "cannot hand the message over: no place for its address");
    if (data)
        *data = error ? NULL : pack->data;
    if (size)
        *size = error && error != KIN_ETOOLARGE ? 0 : pack->size;
    if (!error && pack->grows) {
        pack->data = NULL;
        pack->capacity = 0;
    }
    begin_anew(pack);
    return error;
}
