/* container/cell.c - see cell.h. */
#include "container/cell.h"

#include "base/failure.h"
#include "family/region.h"

#define SMALL_MAX 7
#define NONE (0 << 4 | KIN__CELL_SIMPLE)
#define FALSE (1 << 4 | KIN__CELL_SIMPLE)
#define TRUE (2 << 4 | KIN__CELL_SIMPLE)

/* What is read while it may be freed and written again: ThreadSanitizer is not to know, as the reader throws it away then. */
#if defined(__SANITIZE_THREAD__)
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#endif
#endif
#ifndef UNWATCHED
#define UNWATCHED
#endif

/* ---- into a word ------------------------------------------------------------------------------- */

static uint64_t small_bytes(enum kin__cell_tag tag, const void *data, size_t size)
{
    uint64_t bytes = 0;
    memcpy(&bytes, data, size);
    return bytes << 8 | (uint64_t)size << 4 | tag;
}

static int make_bytes(struct kin__form *form, const kin_datum *datum, enum kin__cell_tag tag,
                      const char *what)
{
    if (!datum->data && (datum->size || datum->type == KIN_DATUM_STRING))
        return kin__fail(KIN_EINVAL, "cannot %s: %s of %zu bytes at NULL", what,
                         kin_datum_type_name(datum->type), datum->size);
    if (datum->size > KIN_DATUM_SIZE_MAX)
        return kin__fail(KIN_EINVAL, "cannot %s: %s of %zu bytes; it can have up to %zu", what,
                         kin_datum_type_name(datum->type), datum->size, KIN_DATUM_SIZE_MAX);
    form->size = datum->size;
    form->data = datum->data;
    if (datum->size <= SMALL_MAX)
        form->word = small_bytes(tag, datum->size ? datum->data : "", datum->size);
    return 0;
}

static void make_number(struct kin__form *form, uint64_t bits)
{
    form->number = bits;
    form->data = &form->number;
    form->size = sizeof form->number;
}

static void make_int(struct kin__form *form, int64_t integer)
{
    uint64_t bits = (uint64_t)integer;
    make_number(form, bits);
    if ((int64_t)(bits << 4) >> 4 == integer)
        form->word = bits << 4 | KIN__CELL_INT;
}

static uint64_t bits_of(double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static void make_double(struct kin__form *form, double real)
{
    uint64_t bits = bits_of(real);
    make_number(form, bits);
    if ((bits & KIN__CELL_TAG) == 0)
        form->word = bits | KIN__CELL_DOUBLE;
}

static int make_pointer(struct kin__form *form, const void *pointer, const char *what)
{
    if (!kin__region_holds(pointer))
        return kin__fail(KIN_ENOTSHARED, "cannot %s: %p is not memory that the family shares", what, pointer);
    make_number(form, (uint64_t)(uintptr_t)pointer);
    if ((form->number & KIN__CELL_TAG) == 0)
        form->word = form->number | KIN__CELL_POINTER;
    return 0;
}

int kin__form_make(struct kin__form *form, const kin_datum *datum, const char *what)
{
    *form = (struct kin__form){.type = datum->type};
    switch (datum->type) {
    case KIN_DATUM_NONE:
        form->word = NONE;
        return 0;
    case KIN_DATUM_BOOL:
        form->word = datum->truth ? TRUE : FALSE;
        return 0;
    case KIN_DATUM_INT:
        make_int(form, datum->integer);
        return 0;
    case KIN_DATUM_DOUBLE:
        make_double(form, datum->real);
        return 0;
    case KIN_DATUM_STRING:
        return make_bytes(form, datum, KIN__CELL_STRING, what);
    case KIN_DATUM_BYTES:
        return make_bytes(form, datum, KIN__CELL_BYTES, what);
    case KIN_DATUM_CBOR:
        return make_bytes(form, datum, KIN__CELL_CBOR, what);
    case KIN_DATUM_POINTER:
        return make_pointer(form, datum->pointer, what);
    case KIN_DATUM_NOTHING:
        return kin__fail(KIN_EINVAL, "cannot %s: the datum is nothing", what);
    }
    return kin__fail(KIN_EINVAL, "cannot %s: a datum of type %d", what, (int)datum->type);
}

void kin__form_fill(const struct kin__form *form, struct kin__cell *block)
{
    block->type = form->type;
    block->unused = 0;
    block->size = form->size;
    if (form->size)
        memcpy(block->data, form->data, form->size);
}

bool kin__cell_equals(uint64_t word, const struct kin__form *form)
{
    if (form->word || !kin__cell_is_block(word))
        return word == form->word;
    const struct kin__cell *block = kin__cell_block(word);
    return block->type == form->type && block->size == form->size &&
           memcmp(block->data, form->data, form->size) == 0;
}

/* ---- out of one -------------------------------------------------------------------------------- */

UNWATCHED bool kin__bytes_equal(const void *shared, const void *bytes, size_t size)
{
    const unsigned char *a = shared, *b = bytes;
#ifdef __SANITIZE_THREAD__
    for (size_t i = 0; i < size; i++)
        if (((const volatile unsigned char *)a)[i] != b[i])
            return false;
    return true;
#else
    return memcmp(a, b, size) == 0;
#endif
}

static UNWATCHED void copy(void *to, const void *shared, size_t size)
{
#ifdef __SANITIZE_THREAD__
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)to)[i] = ((const volatile unsigned char *)shared)[i];
#else
    memcpy(to, shared, size);
#endif
}

static bool has_data(kin_datum_type type)
{
    return type == KIN_DATUM_STRING || type == KIN_DATUM_BYTES || type == KIN_DATUM_CBOR;
}

/* Bytes that are copied out, with the NUL of a string. */
static enum kin__got put_out(kin_datum_type type, const void *shared, size_t size, kin_datum *out,
                             struct kin__outlet *outlet)
{
    size_t needs = size + (type == KIN_DATUM_STRING);
    out->type = type;
    out->size = size;
    out->data = NULL;
    if (needs > outlet->capacity - outlet->used)
        return KIN__GOT_TOO_LARGE;
    if (needs == 0 || !outlet->buffer)
        return KIN__GOT;
    unsigned char *to = outlet->buffer + outlet->used;
    copy(to, shared, size);
    if (type == KIN_DATUM_STRING)
        to[size] = 0;
    outlet->used += needs;
    out->data = to;
    return KIN__GOT;
}

static void put_number(kin_datum_type type, uint64_t number, kin_datum *out)
{
    *out = (kin_datum){.type = type};
    if (type == KIN_DATUM_DOUBLE)
        memcpy(&out->real, &number, sizeof number);
    else if (type == KIN_DATUM_POINTER)
        out->pointer = (void *)(uintptr_t)number;
    else
        out->integer = (int64_t)number;
}

static enum kin__got read_small(uint64_t word, kin_datum *out, struct kin__outlet *outlet)
{
    static const kin_datum_type types[] = {[KIN__CELL_STRING] = KIN_DATUM_STRING,
                                           [KIN__CELL_BYTES] = KIN_DATUM_BYTES,
                                           [KIN__CELL_CBOR] = KIN_DATUM_CBOR};
    uint64_t bytes = word >> 8;
    switch ((enum kin__cell_tag)(word & KIN__CELL_TAG)) {
    case KIN__CELL_INT:
        put_number(KIN_DATUM_INT, (uint64_t)((int64_t)word >> 4), out);
        return KIN__GOT;
    case KIN__CELL_DOUBLE:
        put_number(KIN_DATUM_DOUBLE, word & ~KIN__CELL_TAG, out);
        return KIN__GOT;
    case KIN__CELL_POINTER:
        put_number(KIN_DATUM_POINTER, word & ~KIN__CELL_TAG, out);
        return KIN__GOT;
    case KIN__CELL_SIMPLE:
        *out = word == NONE ? kin_none() : kin_bool(word == TRUE);
        return KIN__GOT;
    case KIN__CELL_STRING:
    case KIN__CELL_BYTES:
    case KIN__CELL_CBOR:
        return put_out(types[word & KIN__CELL_TAG], &bytes, word >> 4 & 7, out, outlet);
    case KIN__CELL_BLOCK:
    case KIN__CELL_LONG:
        break;
    }
    *out = kin_nothing();
    return KIN__GOT;
}

/* `size` and `type` were read while they were in use, so the bytes are all there, whatever stands in them by now. */
static enum kin__got read_bytes(kin_datum_type type, const void *bytes, size_t size, kin_datum *out,
                                struct kin__outlet *outlet, const struct kin__watch *watch)
{
    size_t used = outlet->used;
    enum kin__got got = KIN__GOT;
    if (has_data(type)) {
        got = put_out(type, bytes, size, out, outlet);
    } else {
        uint64_t number = 0;
        copy(&number, bytes, sizeof number);
        put_number(type, number, out);
    }
    if (kin__watch_holds(watch))
        return got;
    outlet->used = used;
    return KIN__GOT_STALE;
}

enum kin__got kin__cell_read(uint64_t word, kin_datum *out, struct kin__outlet *outlet,
                             const struct kin__watch *watch)
{
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    if (!out)
        return KIN__GOT;
    if (!kin__cell_is_block(word))
        return read_small(word, out, outlet);
    const struct kin__cell *block = kin__cell_block(word);
    kin_datum_type type = (kin_datum_type)__atomic_load_n(&block->type, __ATOMIC_RELAXED);
    size_t size = __atomic_load_n(&block->size, __ATOMIC_RELAXED);
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    return read_bytes(type, block->data, size, out, outlet, watch);
}

enum kin__got kin__key_read(uint64_t word, const unsigned char *bytes, kin_datum *out,
                            struct kin__outlet *outlet, const struct kin__watch *watch)
{
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    if (!out)
        return KIN__GOT;
    if ((word & KIN__CELL_TAG) != KIN__CELL_LONG)
        return read_small(word, out, outlet);
    return read_bytes((kin_datum_type)(word >> 4 & 15), bytes, word >> 8, out, outlet, watch);
}

/* ---- the public side --------------------------------------------------------------------------- */

const char *kin_datum_type_name(kin_datum_type type)
{
    static const char *const names[] = {
        [KIN_DATUM_NOTHING] = "nothing", [KIN_DATUM_NONE] = "none",     [KIN_DATUM_BOOL] = "bool",
        [KIN_DATUM_INT] = "int",         [KIN_DATUM_DOUBLE] = "double", [KIN_DATUM_STRING] = "string",
        [KIN_DATUM_BYTES] = "bytes",     [KIN_DATUM_CBOR] = "CBOR",     [KIN_DATUM_POINTER] = "pointer"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown type";
}

bool kin_datum_equal(const kin_datum *a, const kin_datum *b)
{
    if (!a || !b || a->type != b->type)
        return false;
    switch (a->type) {
    case KIN_DATUM_NOTHING:
    case KIN_DATUM_NONE:
        return true;
    case KIN_DATUM_BOOL:
        return a->truth == b->truth;
    case KIN_DATUM_INT:
        return a->integer == b->integer;
    case KIN_DATUM_DOUBLE:
        return bits_of(a->real) == bits_of(b->real);
    case KIN_DATUM_POINTER:
        return a->pointer == b->pointer;
    case KIN_DATUM_STRING:
    case KIN_DATUM_BYTES:
    case KIN_DATUM_CBOR:
        return a->size == b->size && (!a->size || memcmp(a->data, b->data, a->size) == 0);
    }
    return false;
}

static bool is_number(const kin_datum *datum)
{
    return datum->type == KIN_DATUM_INT || datum->type == KIN_DATUM_DOUBLE || datum->type == KIN_DATUM_BOOL;
}

static long double number_of(const kin_datum *datum)
{
    return datum->type == KIN_DATUM_INT      ? (long double)datum->integer
           : datum->type == KIN_DATUM_DOUBLE ? (long double)datum->real
                                             : datum->truth;
}

bool kin__datum_order(const kin_datum *a, const kin_datum *b, int *order)
{
    if (is_number(a) && is_number(b)) {
        long double x = number_of(a), y = number_of(b);
        *order = (x > y) - (x < y);
        return true;
    }
    if (a->type != b->type || (a->type != KIN_DATUM_STRING && a->type != KIN_DATUM_BYTES))
        return false;
    size_t least = a->size < b->size ? a->size : b->size;
    int differs = least ? memcmp(a->data, b->data, least) : 0;
    *order = differs ? differs : (a->size > b->size) - (a->size < b->size);
    return true;
}
