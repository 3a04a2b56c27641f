/* manager/items.c - reading CBOR items, checked first: see wire.h. */
#include "manager/wire.h"

#include "base/failure.h"
#include "message/utf8.h"

#include <math.h>
#include <stdlib.h>

#define OPEN 31u
#define FALSE_INFO 20u
#define TRUE_INFO 21u
#define NULL_INFO 22u
#define HALF_INFO 25u
#define DOUBLE_INFO 27u
#define BREAK 0xffu

bool kin__read_head(struct kin__reader *reader, struct kin__head *out)
{
    size_t left = (size_t)(reader->end - reader->at);
    if (!left)
        return false;
    uint8_t first = *reader->at;
    out->major = first >> 5;
    out->info = first & 31;
    if (out->info < 24) {
        out->argument = out->info;
        reader->at++;
        return true;
    }
    if (out->info == OPEN) {
        out->argument = 0;
        reader->at++;
        return out->major != KIN__UINT && out->major != KIN__NEGINT && out->major != KIN__TAG;
    }
    if (out->info > 27)
        return false;
    size_t size = (size_t)1 << (out->info - 24);
    if (left < 1 + size)
        return false;
    uint64_t argument = 0;
    for (size_t i = 1; i <= size; i++)
        argument = argument << 8 | reader->at[i];
    out->argument = argument;
    reader->at += 1 + size;
    return true;
}

/* ---- checking ---------------------------------------------------------------------------------- */

static int check_item(struct kin__reader *reader, unsigned depth, bool *objects);

static bool at_break(struct kin__reader *reader)
{
    return reader->at < reader->end && *reader->at == BREAK;
}

/* Text or bytes in pieces: each piece is a whole one of the same kind. */
static int check_pieces(struct kin__reader *reader, uint8_t major)
{
    while (!at_break(reader)) {
        struct kin__head head;
        if (!kin__read_head(reader, &head) || head.major != major || head.info == OPEN ||
            head.argument > (size_t)(reader->end - reader->at) ||
            (major == KIN__TEXT && !kin__is_utf8(reader->at, head.argument)))
            return KIN_EINVAL;
        reader->at += head.argument;
    }
    reader->at++;
    return 0;
}

static int check_entries(struct kin__reader *reader, const struct kin__head *head, unsigned depth,
                         bool *objects)
{
    unsigned each = head->major == KIN__MAP ? 2 : 1;
    int error = 0;
    if (depth >= KIN__DEPTH_MAX)
        return KIN_ELIMIT;
    if (head->info == OPEN) {
        uint64_t count = 0;
        for (; !error && !at_break(reader); count++)
            error = check_item(reader, depth + 1, objects);
        reader->at += !error;
        return error || count % each == 0 ? error : KIN_EINVAL;
    }
    /* An entry has a byte at least: so a count is never believed beyond what is there. */
    if (head->argument > (size_t)(reader->end - reader->at) / each)
        return KIN_EINVAL;
    for (uint64_t i = head->argument * each; i && !error; i--)
        error = check_item(reader, depth + 1, objects);
    return error;
}

static int check_simple(const struct kin__head *head)
{
    if (head->info == OPEN || (head->info == 24 && head->argument < 32))
        return KIN_EINVAL;
    return 0;
}

/* What follows the tag of an object: exactly what is written here. */
static int check_object(struct kin__reader *reader)
{
    struct kin__head head;
    const uint8_t *data;
    size_t size;
    uint64_t object;
    if (!kin__read_head(reader, &head) || head.major != KIN__LIST || head.info == OPEN || head.argument != 3)
        return KIN_EINVAL;
    if (!kin__read_span(reader, KIN__BYTES, &data, &size) || size != KIN__SERVER_ID ||
        !kin__read_uint(reader, &object) || !kin__read_span(reader, KIN__TEXT, &data, &size) || size > 31 ||
        !kin__is_utf8(data, size))
        return KIN_EINVAL;
    return 0;
}

/* Depth is bounded, so this may call itself. A tag counts as a level. */
static int check_item(struct kin__reader *reader, unsigned depth, bool *objects)
{
    struct kin__head head;
    if (!kin__read_head(reader, &head))
        return KIN_EINVAL;
    switch (head.major) {
    case KIN__UINT:
    case KIN__NEGINT:
        return 0;
    case KIN__BYTES:
    case KIN__TEXT:
        if (head.info == OPEN)
            return check_pieces(reader, head.major);
        if (head.argument > (size_t)(reader->end - reader->at) ||
            (head.major == KIN__TEXT && !kin__is_utf8(reader->at, head.argument)))
            return KIN_EINVAL;
        reader->at += head.argument;
        return 0;
    case KIN__LIST:
    case KIN__MAP:
        return check_entries(reader, &head, depth, objects);
    case KIN__TAG:
        if (depth >= KIN__DEPTH_MAX)
            return KIN_ELIMIT;
        if (head.argument == KIN__OBJECT_TAG) {
            if (objects)
                *objects = true;
            return check_object(reader);
        }
        return check_item(reader, depth + 1, objects);
    default:
        return check_simple(&head);
    }
}

int kin__check(struct kin__reader *reader, bool *objects)
{
    return check_item(reader, 0, objects);
}

/* ---- reading ----------------------------------------------------------------------------------- */

bool kin__skip(struct kin__reader *reader)
{
    return kin__check(reader, NULL) == 0;
}

double kin__real_of(const struct kin__head *head)
{
    if (head->info == DOUBLE_INFO) {
        double value;
        memcpy(&value, &head->argument, 8);
        return value;
    }
    if (head->info == 26) {
        uint32_t bits = (uint32_t)head->argument;
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }
    unsigned exponent = (unsigned)(head->argument >> 10) & 31, mantissa = (unsigned)head->argument & 1023;
    double value;
    if (exponent == 31)
        value = mantissa ? (double)NAN : (double)INFINITY;
    else if (exponent)
        value = ldexp(mantissa + 1024.0, (int)exponent - 25);
    else
        value = ldexp(mantissa, -24);
    return head->argument & 0x8000 ? -value : value;
}

bool kin__read_uint(struct kin__reader *reader, uint64_t *out)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    if (!kin__read_head(&ahead, &head) || head.major != KIN__UINT)
        return false;
    *reader = ahead;
    *out = head.argument;
    return true;
}

bool kin__read_int(struct kin__reader *reader, int64_t *out)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    if (!kin__read_head(&ahead, &head) || head.major > KIN__NEGINT || head.argument > INT64_MAX)
        return false;
    *reader = ahead;
    *out = head.major == KIN__UINT ? (int64_t)head.argument : -1 - (int64_t)head.argument;
    return true;
}

static bool read_simple(struct kin__reader *reader, struct kin__head *head)
{
    struct kin__reader ahead = *reader;
    if (!kin__read_head(&ahead, head) || head->major != KIN__SIMPLE || head->info == OPEN)
        return false;
    *reader = ahead;
    return true;
}

bool kin__read_bool(struct kin__reader *reader, bool *out)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    if (!read_simple(&ahead, &head) || (head.info != FALSE_INFO && head.info != TRUE_INFO))
        return false;
    *out = head.info == TRUE_INFO;
    *reader = ahead;
    return true;
}

bool kin__read_null(struct kin__reader *reader)
{
    if (reader->at == reader->end || *reader->at != (KIN__SIMPLE << 5 | NULL_INFO))
        return false;
    reader->at++;
    return true;
}

bool kin__read_number(struct kin__reader *reader, double *out)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    if (!kin__read_head(&ahead, &head))
        return false;
    if (head.major == KIN__UINT)
        *out = (double)head.argument;
    else if (head.major == KIN__NEGINT)
        *out = -1.0 - (double)head.argument;
    else if (head.major == KIN__SIMPLE && head.info >= HALF_INFO && head.info <= DOUBLE_INFO)
        *out = kin__real_of(&head);
    else
        return false;
    *reader = ahead;
    return true;
}

bool kin__read_span(struct kin__reader *reader, enum kin__major major, const uint8_t **data, size_t *size)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    if (!kin__read_head(&ahead, &head) || head.major != major || head.info == OPEN ||
        head.argument > (size_t)(ahead.end - ahead.at))
        return false;
    *data = ahead.at;
    *size = head.argument;
    ahead.at += head.argument;
    *reader = ahead;
    return true;
}

/* ---- equality ---------------------------------------------------------------------------------- */

#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

static void put_canonical_real(struct kin__buffer *buffer, double value)
{
    if (value >= -TWO_TO_63 && value < TWO_TO_63 && value == (double)(int64_t)value)
        kin__put_int(buffer, (int64_t)value);
    else if (value >= TWO_TO_63 && value < TWO_TO_64)
        kin__put_head(buffer, KIN__UINT, (uint64_t)value);
    else
        kin__put_real(buffer, value);
}

static void put_canonical_string(struct kin__buffer *buffer, struct kin__reader *reader,
                                 const struct kin__head *head)
{
    struct kin__reader ahead = *reader;
    struct kin__head piece;
    size_t size = 0;
    if (head->info != OPEN) {
        kin__put_head(buffer, head->major, head->argument);
        kin__buffer_add(buffer, reader->at, head->argument);
        reader->at += head->argument;
        return;
    }
    while (!at_break(&ahead) && kin__read_head(&ahead, &piece)) {
        size += piece.argument;
        ahead.at += piece.argument;
    }
    kin__put_head(buffer, head->major, size);
    while (!at_break(reader) && kin__read_head(reader, &piece)) {
        kin__buffer_add(buffer, reader->at, piece.argument);
        reader->at += piece.argument;
    }
    reader->at++;
}

static uint64_t entries_of(const struct kin__reader *reader, const struct kin__head *head)
{
    if (head->info != OPEN)
        return head->major == KIN__MAP ? 2 * head->argument : head->argument;
    struct kin__reader ahead = *reader;
    uint64_t count = 0;
    for (; !at_break(&ahead) && kin__skip(&ahead); count++)
        ;
    return count;
}

void kin__put_canonical(struct kin__buffer *buffer, struct kin__reader *reader)
{
    struct kin__head head;
    if (!kin__read_head(reader, &head))
        return;
    if (head.major == KIN__BYTES || head.major == KIN__TEXT) {
        put_canonical_string(buffer, reader, &head);
    } else if (head.major == KIN__LIST || head.major == KIN__MAP) {
        uint64_t count = entries_of(reader, &head);
        kin__put_head(buffer, head.major, head.major == KIN__MAP ? count / 2 : count);
        for (; count; count--)
            kin__put_canonical(buffer, reader);
        reader->at += head.info == OPEN;
    } else if (head.major == KIN__TAG) {
        kin__put_head(buffer, KIN__TAG, head.argument);
        kin__put_canonical(buffer, reader);
    } else if (head.major == KIN__SIMPLE && head.info >= HALF_INFO && head.info <= DOUBLE_INFO) {
        put_canonical_real(buffer, kin__real_of(&head));
    } else {
        kin__put_head(buffer, head.major, head.argument);
    }
}

/* ---- as kin_any -------------------------------------------------------------------------------- */

static void view_simple(const struct kin__head *head, kin_any *out)
{
    if (head->info == FALSE_INFO || head->info == TRUE_INFO) {
        out->type = KIN_ANY_BOOL;
        out->truth = head->info == TRUE_INFO;
    } else if (head->info >= HALF_INFO && head->info <= DOUBLE_INFO) {
        out->type = KIN_ANY_REAL;
        out->real = kin__real_of(head);
    } else if (head->info != NULL_INFO) {
        out->type = KIN_ANY_PACKED;
    }
}

void kin__item_view(const uint8_t *item, size_t size, kin_any *out)
{
    struct kin__reader reader = {item, item + size};
    struct kin__head head;
    *out = (kin_any){.data = item, .size = size};
    if (!kin__read_head(&reader, &head))
        return;
    bool open = head.info == OPEN;
    if (head.major == KIN__UINT && head.argument > INT64_MAX) {
        out->type = KIN_ANY_UINT;
        out->natural = head.argument;
    } else if (head.major <= KIN__NEGINT && head.argument <= INT64_MAX) {
        out->type = KIN_ANY_INT;
        out->integer = head.major == KIN__UINT ? (int64_t)head.argument : -1 - (int64_t)head.argument;
        out->natural = head.major == KIN__UINT ? head.argument : 0;
    } else if ((head.major == KIN__TEXT || head.major == KIN__BYTES) && !open) {
        out->type = head.major == KIN__TEXT ? KIN_ANY_TEXT : KIN_ANY_BYTES;
        out->data = reader.at;
        out->size = head.argument;
    } else if (head.major == KIN__SIMPLE) {
        view_simple(&head, out);
    } else {
        out->type =
            head.major == KIN__TAG && head.argument == KIN__OBJECT_TAG ? KIN_ANY_OBJECT : KIN_ANY_PACKED;
    }
    if (out->type < KIN_ANY_TEXT) {
        out->data = NULL;
        out->size = 0;
    }
}

int kin__item_own(const uint8_t *item, size_t size, kin_any *out)
{
    struct kin__buffer whole = {0};
    uint8_t major = size ? *item >> 5 : 0;
    if ((major == KIN__TEXT || major == KIN__BYTES) && (*item & 31) == OPEN) { /* in pieces: joined */
        struct kin__reader reader = {item, item + size};
        kin__put_canonical(&whole, &reader);
        if (whole.failed) {
            kin__buffer_free(&whole);
            return kin__fail(KIN_ENOMEM, "cannot keep a value of %zu bytes: out of memory", size);
        }
        item = whole.data;
        size = whole.size;
    }
    kin__item_view(item, size, out);
    if (out->data) {
        char *memory = malloc(out->size + 1);
        if (memory) {
            memcpy(memory, out->data, out->size);
            memory[out->size] = '\0';
            out->data = out->memory = memory;
        }
    }
    kin__buffer_free(&whole);
    if (out->data && !out->memory) {
        *out = (kin_any){0};
        return kin__fail(KIN_ENOMEM, "cannot keep a value of %zu bytes: out of memory", size);
    }
    return 0;
}
