/*
 * message/unpack.c - reading typed messages: see kin/pack.h.
 *
 * libcbor decodes one head at a time; what may stand where, depth and counts are looked at here, on a stack of the lists and maps
 * that were entered. Nothing is called by itself: a message can be as deep as it likes.
 */
#include "message/cbor.h"

#include "base/failure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct frame {
    size_t start;         /* of its first entry */
    uint64_t count, left; /* items; an open one's: those there were */
    bool open, map;
};

/* A head, as libcbor tells it. */
struct head {
    kin_item item;
    bool tag, stop, pieces;
};

struct kin_unpack {
    const struct kin__cbor *cbor;
    const unsigned char *data;
    size_t size, at;
    bool pending; /* the list or map that was read last has not been entered */
    struct frame next;
    unsigned depth;
    struct frame frame[KIN_PACK_DEPTH];
    unsigned char *joined; /* a string that came in pieces */
};

static const char *const type_names[] = {"end",     "null",    "undefined",  "bool",   "integer",
                                         "integer", "integer", "double",     "string", "bytes",
                                         "list",    "map",     "typed array"};

/* ---- heads ----------------------------------------------------------------------------------- */

static void on_natural(void *context, uint64_t value)
{
    struct head *head = context;
    head->item.type = value > INT64_MAX ? KIN_ITEM_UINT : KIN_ITEM_INT;
    head->item.integer = (int64_t)(value & INT64_MAX);
    head->item.natural = value;
}

static void on_negative(void *context, uint64_t value)
{
    struct head *head = context;
    head->item.type = value > INT64_MAX ? KIN_ITEM_NEGATIVE : KIN_ITEM_INT;
    head->item.integer = -1 - (int64_t)(value & INT64_MAX);
    head->item.natural = value;
}

static void on_uint8(void *context, uint8_t value)
{
    on_natural(context, value);
}

static void on_uint16(void *context, uint16_t value)
{
    on_natural(context, value);
}

static void on_uint32(void *context, uint32_t value)
{
    on_natural(context, value);
}

static void on_negint8(void *context, uint8_t value)
{
    on_negative(context, value);
}

static void on_negint16(void *context, uint16_t value)
{
    on_negative(context, value);
}

static void on_negint32(void *context, uint32_t value)
{
    on_negative(context, value);
}

static void on_data(void *context, kin_item_type type, const void *data, size_t size)
{
    struct head *head = context;
    head->item.type = type;
    head->item.data = data;
    head->item.size = size;
}

static void on_bytes(void *context, cbor_data data, size_t size)
{
    on_data(context, KIN_ITEM_BYTES, data, size);
}

static void on_string(void *context, cbor_data data, size_t size)
{
    on_data(context, KIN_ITEM_STRING, data, size);
}

static void on_bytes_start(void *context)
{
    on_data(context, KIN_ITEM_BYTES, NULL, 0);
    ((struct head *)context)->pieces = true;
}

static void on_string_start(void *context)
{
    on_data(context, KIN_ITEM_STRING, NULL, 0);
    ((struct head *)context)->pieces = true;
}

static void on_entries(void *context, kin_item_type type, size_t count)
{
    ((struct head *)context)->item.type = type;
    ((struct head *)context)->item.count = count;
}

/* One that claims so many entries that it would pass for an open one claims one less: too many all the same. */
static void on_list(void *context, size_t count)
{
    on_entries(context, KIN_ITEM_LIST, count == KIN_PACK_OPEN ? count - 1 : count);
}

static void on_map(void *context, size_t count)
{
    on_entries(context, KIN_ITEM_MAP, count == KIN_PACK_OPEN ? count - 1 : count);
}

static void on_open_list(void *context)
{
    on_entries(context, KIN_ITEM_LIST, KIN_PACK_OPEN);
}

static void on_open_map(void *context)
{
    on_entries(context, KIN_ITEM_MAP, KIN_PACK_OPEN);
}

static void on_tag(void *context, uint64_t tag)
{
    ((struct head *)context)->tag = true;
    ((struct head *)context)->item.tag = tag;
}

static void on_double(void *context, double value)
{
    ((struct head *)context)->item.type = KIN_ITEM_DOUBLE;
    ((struct head *)context)->item.real = value;
}

static void on_float(void *context, float value)
{
    on_double(context, (double)value);
}

static void on_null(void *context)
{
    ((struct head *)context)->item.type = KIN_ITEM_NULL;
}

static void on_undefined(void *context)
{
    ((struct head *)context)->item.type = KIN_ITEM_UNDEFINED;
}

static void on_bool(void *context, bool value)
{
    ((struct head *)context)->item.type = KIN_ITEM_BOOL;
    ((struct head *)context)->item.truth = value;
}

static void on_break(void *context)
{
    ((struct head *)context)->stop = true;
}

static const struct cbor_callbacks callbacks = {
    .uint8 = on_uint8,
    .uint16 = on_uint16,
    .uint32 = on_uint32,
    .uint64 = on_natural,
    .negint8 = on_negint8,
    .negint16 = on_negint16,
    .negint32 = on_negint32,
    .negint64 = on_negative,
    .byte_string_start = on_bytes_start,
    .byte_string = on_bytes,
    .string = on_string,
    .string_start = on_string_start,
    .indef_array_start = on_open_list,
    .array_start = on_list,
    .indef_map_start = on_open_map,
    .map_start = on_map,
    .tag = on_tag,
    .float2 = on_float,
    .float4 = on_float,
    .float8 = on_double,
    .undefined = on_undefined,
    .null = on_null,
    .boolean = on_bool,
    .indef_break = on_break,
};

static int malformed(const kin_unpack *unpack, const char *what)
{
    return kin__fail(KIN_EINVAL, "the message is malformed at byte %zu of %zu: %s", unpack->at, unpack->size,
                     what);
}

/* The head at `at`, which goes past it. Heads with a count or a length tell more than the message has at once. */
static int read_head(kin_unpack *unpack, struct head *head)
{
    size_t left = unpack->size - unpack->at;
    memset(head, 0, sizeof *head);
    if (!left)
        return malformed(unpack, "it ends too early");
    struct cbor_decoder_result result =
        unpack->cbor->cbor_stream_decode(unpack->data + unpack->at, left, &callbacks, head);
    if (result.status == CBOR_DECODER_NEDATA)
        return malformed(unpack, "it ends too early");
    if (result.status != CBOR_DECODER_FINISHED || !result.read || result.read > left)
        return malformed(unpack, "there is no such item");
    if (!head->tag && !head->stop && head->item.type == KIN_ITEM_END)
        return malformed(unpack,
                         "there is no such item"); /* nothing was told: of a kind that libcbor passes over */
    if (head->item.type == KIN_ITEM_STRING && !kin__is_utf8(head->item.data, head->item.size))
        return malformed(unpack, "a string that is not UTF-8");
    unpack->at += result.read;
    left -= result.read;
    size_t count = head->item.count, each = head->item.type == KIN_ITEM_MAP ? 2 : 1;
    if (count && count != KIN_PACK_OPEN && count > left / each) {
        unpack->at -= result.read;
        return malformed(unpack, "it counts more entries than there are bytes");
    }
    return 0;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* A string in pieces: of its own kind, each with a length; joined, if somebody wants it. */
static int join(kin_unpack *unpack, kin_item *item)
{
    size_t start = unpack->at, total = 0;
    unsigned char *to = NULL;
    for (int round = 0; round < 2; round++) {
        struct head piece;
        size_t size = 0;
        unpack->at = start;
        for (;;) {
            size_t before = unpack->at;
            int error = read_head(unpack, &piece);
            if (error)
                return error;
            if (piece.stop)
                break;
            if (piece.tag || piece.pieces || piece.item.type != item->type) {
                unpack->at = before;
                return malformed(unpack, "a string in pieces has something else among them");
            }
            if (to && piece.item.size)
                memcpy(to + size, piece.item.data, piece.item.size);
            size += piece.item.size;
        }
        if (round == 0) {
            total = size;
            to = realloc(unpack->joined, total ? total : 1);
            if (!to)
                return kin__fail(KIN_ENOMEM, "cannot join a string of %zu bytes: out of memory", total);
            unpack->joined = to;
        }
    }
    item->data = to;
    item->size = total;
    return 0;
}

/* Tags, then what they are of. The innermost of a typed array is part of it; the outermost other is the item's. */
static int read_item(kin_unpack *unpack, struct head *head)
{
    uint64_t first = 0, last = 0;
    unsigned tags = 0;
    int error;
    while ((error = read_head(unpack, head)) == 0 && head->tag) {
        last = head->item.tag;
        first = tags++ ? first : last;
    }
    if (error)
        return error;
    if (head->stop) {
        unpack->at--;
        return malformed(unpack, "a break where an item should be");
    }
    kin_item *item = &head->item;
    if (head->pieces && (error = join(unpack, item)) != 0)
        return error;
    kin_element element = tags ? kin__element_of(last, &item->big_endian) : (kin_element)0;
    if (element) {
        size_t size = kin_element_size(element);
        if (item->type != KIN_ITEM_BYTES || item->size % size)
            return malformed(unpack, "a typed array that is none");
        item->type = KIN_ITEM_ARRAY;
        item->element = element;
        item->count = item->size / size;
        tags--;
    }
    item->tagged = tags != 0;
    item->tag = tags ? first : 0;
    return 0;
}

/* Whether the list, map or message that is read is at its end; goes past no break. */
static int at_end(kin_unpack *unpack, bool *over)
{
    const struct frame *frame = unpack->depth ? &unpack->frame[unpack->depth - 1] : NULL;
    *over = frame ? !frame->open && !frame->left : unpack->at == unpack->size;
    if (frame && frame->open && unpack->at < unpack->size && unpack->data[unpack->at] == 0xff) {
        *over = true;
        if (frame->map && frame->left % 2)
            return malformed(unpack, "a key without a value");
    }
    return 0;
}

/* One item, and what comes after it. */
static int step(kin_unpack *unpack, kin_item *out)
{
    struct head head;
    bool over;
    size_t before = unpack->at;
    int error = at_end(unpack, &over);
    *out = (kin_item){0};
    if (error || over)
        return error;
    error = read_item(unpack, &head);
    if (error) {
        unpack->at = before; /* so that the same comes again */
        return error;
    }
    if (unpack->depth) {
        struct frame *frame = &unpack->frame[unpack->depth - 1];
        frame->left += frame->open ? 1 : UINT64_MAX; /* -1 */
    }
    *out = head.item;
    unpack->pending = out->type == KIN_ITEM_LIST || out->type == KIN_ITEM_MAP;
    if (unpack->pending) {
        bool open = out->count == KIN_PACK_OPEN, map = out->type == KIN_ITEM_MAP;
        uint64_t items = open ? 0 : map ? 2 * (uint64_t)out->count : out->count;
        unpack->next =
            (struct frame){.start = unpack->at, .count = items, .left = items, .open = open, .map = map};
    }
    return 0;
}

static int enter(kin_unpack *unpack)
{
    if (unpack->depth == KIN_PACK_DEPTH)
        return kin__fail(KIN_ELIMIT, "the message has lists and maps more than %d deep", KIN_PACK_DEPTH);
    unpack->frame[unpack->depth++] = unpack->next;
    unpack->pending = false;
    return 0;
}

/* To the end of all that was entered beyond `depth`, and out of it. */
static int pass(kin_unpack *unpack, unsigned depth)
{
    kin_item item;
    int error = 0;
    while (unpack->depth > depth) {
        if (unpack->pending)
            error = enter(unpack);
        if (!error)
            error = step(unpack, &item);
        if (error)
            return error;
        if (item.type == KIN_ITEM_END) {
            unpack->depth--;
            unpack->at += unpack->frame[unpack->depth].open; /* the break */
        }
    }
    return 0;
}

/* Past a list or map that was not entered. */
static int pass_pending(kin_unpack *unpack)
{
    unsigned depth = unpack->depth;
    int error = unpack->pending ? enter(unpack) : 0;
    return error ? error : pass(unpack, depth);
}

/* ---- the calls ------------------------------------------------------------------------------- */

kin_unpack *kin_unpack_new(const void *data, size_t size)
{
    if (!data && size) {
        kin__fail(KIN_EINVAL, "cannot unpack %zu bytes at NULL", size);
        return NULL;
    }
    const struct kin__cbor *cbor = kin__cbor();
    kin_unpack *unpack = cbor ? calloc(1, sizeof *unpack) : NULL;
    if (!unpack) {
        if (cbor)
            kin__fail(KIN_ENOMEM, "cannot unpack: out of memory");
        return NULL;
    }
    unpack->cbor = cbor;
    unpack->data = data;
    unpack->size = size;
    return unpack;
}

void kin_unpack_free(kin_unpack *unpack)
{
    if (unpack)
        free(unpack->joined);
    free(unpack);
}

static int check(const kin_unpack *unpack, const void *out)
{
    if (!unpack)
        return kin__fail(KIN_EINVAL, "cannot unpack: there is no unpack");
    return out ? 0 : kin__fail(KIN_EINVAL, "cannot unpack: no place for the answer");
}

int kin_unpack_next(kin_unpack *unpack, kin_item *out)
{
    int error = check(unpack, out);
    if (!error)
        error = pass_pending(unpack);
    return error ? error : step(unpack, out);
}

int kin_unpack_enter(kin_unpack *unpack)
{
    int error = check(unpack, unpack);
    if (error || unpack->pending)
        return error ? error : enter(unpack);
    return kin__fail(KIN_EINVAL, "cannot enter: what was read last is no list or map, or was entered");
}

int kin_unpack_leave(kin_unpack *unpack)
{
    int error = check(unpack, unpack);
    if (!error && !unpack->depth)
        error = kin__fail(KIN_EINVAL, "cannot leave: no list or map was entered");
    if (error)
        return error;
    unsigned depth = unpack->depth - 1;
    return pass(unpack, depth);
}

int kin_unpack_check(const void *data, size_t size)
{
    kin_item item;
    kin_unpack *unpack = kin_unpack_new(data, size);
    if (!unpack)
        return kin_error_code();
    int error = kin_unpack_next(unpack, &item);
    if (!error && item.type == KIN_ITEM_END)
        error = malformed(unpack, "there is nothing");
    if (!error)
        error = pass_pending(unpack);
    if (!error && unpack->at != size)
        error = malformed(unpack, "there is more than one item");
    kin_unpack_free(unpack);
    return error;
}

static bool is_text(const kin_item *item, const char *text)
{
    return item->type == KIN_ITEM_STRING && item->size == strlen(text) &&
           !memcmp(item->data, text, item->size);
}

int kin_unpack_find(kin_unpack *unpack, const char *key)
{
    int error = check(unpack, key);
    if (error)
        return error;
    struct frame *frame = unpack->depth ? &unpack->frame[unpack->depth - 1] : NULL;
    if (!frame || !frame->map)
        return kin__fail(KIN_EINVAL, "cannot find \"%.100s\": no map was entered", key);
    unpack->pending = false;
    unpack->at = frame->start;
    frame->left = frame->count;
    kin_item item;
    while ((error = kin_unpack_next(unpack, &item)) == 0 && item.type != KIN_ITEM_END) {
        if (is_text(&item, key))
            return 0;
        if ((error = kin_unpack_next(unpack, &item)) != 0) /* its value */
            return error;
    }
    return error ? error : kin__fail(KIN_ENOTFOUND, "the map has no \"%.100s\"", key);
}

/* ---- by type --------------------------------------------------------------------------------- */

/* The next item is of one of two types; otherwise it is the next still. */
static int expect(kin_unpack *unpack, const void *out, kin_item_type type, kin_item_type other,
                  kin_item *item)
{
    int error = check(unpack, out);
    if (!error)
        error = pass_pending(unpack);
    if (error)
        return error;
    size_t at = unpack->at;
    struct frame *frame = unpack->depth ? &unpack->frame[unpack->depth - 1] : NULL;
    uint64_t left = frame ? frame->left : 0;
    error = step(unpack, item);
    if (error || item->type == type || item->type == other)
        return error;
    unpack->at = at;
    unpack->pending = false;
    if (frame)
        frame->left = left;
    return kin__fail(KIN_EINVAL, "at byte %zu there is %s, not %s", at,
                     item->type == KIN_ITEM_END ? "nothing more" : type_names[item->type], type_names[type]);
}

/* The item stands between `at` and here, and is not what is wanted: it is the next still. */
static int put_back(kin_unpack *unpack, size_t at, const char *why)
{
    if (unpack->depth) {
        struct frame *frame = &unpack->frame[unpack->depth - 1];
        frame->left += frame->open ? UINT64_MAX : 1;
    }
    unpack->at = at;
    return kin__fail(KIN_EINVAL, "at byte %zu there is %s", at, why);
}

int kin_unpack_bool(kin_unpack *unpack, bool *out)
{
    kin_item item;
    int error = expect(unpack, out, KIN_ITEM_BOOL, KIN_ITEM_BOOL, &item);
    if (!error)
        *out = item.truth;
    return error;
}

int kin_unpack_int(kin_unpack *unpack, int64_t *out)
{
    kin_item item;
    int error = expect(unpack, out, KIN_ITEM_INT, KIN_ITEM_INT, &item);
    if (!error)
        *out = item.integer;
    return error;
}

int kin_unpack_uint(kin_unpack *unpack, uint64_t *out)
{
    kin_item item;
    int error = check(unpack, out);
    if (!error)
        error = pass_pending(unpack);
    if (error)
        return error;
    size_t at = unpack->at;
    error = expect(unpack, out, KIN_ITEM_UINT, KIN_ITEM_INT, &item);
    if (!error && item.type == KIN_ITEM_INT && item.integer < 0)
        return put_back(unpack, at, "a negative integer, not a natural one");
    if (!error)
        *out = item.natural;
    return error;
}

int kin_unpack_double(kin_unpack *unpack, double *out)
{
    kin_item item;
    int error = check(unpack, out);
    if (!error)
        error = pass_pending(unpack);
    if (error)
        return error;
    size_t at = unpack->at;
    error = expect(unpack, out, KIN_ITEM_DOUBLE, KIN_ITEM_INT, &item);
    if (error)
        return error;
    if (item.type == KIN_ITEM_INT) {
        const int64_t most = INT64_C(1) << 53;
        if (item.integer > most || item.integer < -most)
            return put_back(unpack, at, "an integer that no double keeps");
        item.real = (double)item.integer;
    }
    *out = item.real;
    return 0;
}

int kin_unpack_string(kin_unpack *unpack, const char **out, size_t *length)
{
    kin_item item;
    int error = expect(unpack, out && length ? unpack : NULL, KIN_ITEM_STRING, KIN_ITEM_STRING, &item);
    if (error || !out || !length)
        return error;
    *out = item.data;
    *length = item.size;
    return 0;
}

int kin_unpack_bytes(kin_unpack *unpack, const void **out, size_t *size)
{
    kin_item item;
    int error = expect(unpack, out && size ? unpack : NULL, KIN_ITEM_BYTES, KIN_ITEM_BYTES, &item);
    if (error || !out || !size)
        return error;
    *out = item.data;
    *size = item.size;
    return 0;
}

static int expect_and_enter(kin_unpack *unpack, kin_item_type type, size_t *count)
{
    kin_item item;
    int error = expect(unpack, unpack, type, type, &item);
    if (error)
        return error;
    if (count)
        *count = item.count;
    return enter(unpack);
}

int kin_unpack_list(kin_unpack *unpack, size_t *count)
{
    return expect_and_enter(unpack, KIN_ITEM_LIST, count);
}

int kin_unpack_map(kin_unpack *unpack, size_t *count)
{
    return expect_and_enter(unpack, KIN_ITEM_MAP, count);
}

/* ---- typed arrays ---------------------------------------------------------------------------- */

static void copy_turned(unsigned char *to, const unsigned char *from, size_t each, size_t count)
{
    for (size_t i = 0; i < count; i++, to += each, from += each)
        for (size_t byte = 0; byte < each; byte++)
            to[byte] = from[each - 1 - byte];
}

int kin_item_elements(const kin_item *item, kin_element element, void *out, size_t capacity)
{
    size_t each = kin_element_size(element);
    if (!item || item->type != KIN_ITEM_ARRAY || item->element != element || !each)
        return kin__fail(KIN_EINVAL, "the item is no typed array of these elements");
    if (item->count > capacity)
        return kin__fail(KIN_ETOOLARGE, "the array has %zu elements, there is room for %zu", item->count,
                         capacity);
    if (!out && item->count)
        return kin__fail(KIN_EINVAL, "cannot copy %zu elements to NULL", item->count);
    if (item->big_endian)
        copy_turned(out, item->data, each, item->count);
    else if (item->count)
        memcpy(out, item->data, item->size);
    return 0;
}

int kin_unpack_array(kin_unpack *unpack, kin_element element, void *out, size_t capacity, size_t *count)
{
    kin_item item;
    int error = check(unpack, unpack);
    if (!error)
        error = pass_pending(unpack);
    if (error)
        return error;
    size_t at = unpack->at;
    error = expect(unpack, unpack, KIN_ITEM_ARRAY, KIN_ITEM_ARRAY, &item);
    if (error)
        return error;
    if (count)
        *count = item.count;
    if (item.element == element && item.count > capacity) {
        put_back(unpack, at, "a larger array");
        return kin_item_elements(&item, element, out, capacity);
    }
    return item.element == element ? kin_item_elements(&item, element, out, capacity)
                                   : put_back(unpack, at, "a typed array of other elements");
}
