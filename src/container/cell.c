/* container/cell.c - see cell.h. */
#include "container/cell.h"

#include "base/failure.h"
#include "family/region.h"

#include <stdlib.h>
#include <string.h>

#define SMALL_MAX 7
#define NOTHING_BUT_NULL (0 << 4 | KIN__CELL_SIMPLE)
#define FALSE (1 << 4 | KIN__CELL_SIMPLE)
#define TRUE (2 << 4 | KIN__CELL_SIMPLE)
#define TWO_63 9223372036854775808.0
#define TWO_64 18446744073709551616.0

/* What is read while it may be freed and written again: ThreadSanitizer is not to know, as the reader throws it away then. */
#ifdef __SANITIZE_THREAD__
#define UNWATCHED __attribute__((no_sanitize("thread"), noinline))
#else
#define UNWATCHED
#endif

/* ---- into a word ------------------------------------------------------------------------------- */

static uint64_t small_bytes(enum kin__cell_tag tag, const void *data, size_t size)
{
    uint64_t bytes = 0;
    if (size)
        memcpy(&bytes, data, size);
    return bytes << 8 | (uint64_t)size << 4 | tag;
}

static int make_bytes(struct kin__form *form, const kin_any *any, enum kin__cell_tag tag, const char *what)
{
    if (!any->data && any->size)
        return kin__fail(KIN_EINVAL, "cannot %s: %s of %zu bytes at NULL", what, kin__any_kind(any->type),
                         any->size);
    if (any->size > KIN__VALUE_MAX)
        return kin__fail(KIN_EINVAL, "cannot %s: %s of %zu bytes; it can have up to %zu", what,
                         kin__any_kind(any->type), any->size, KIN__VALUE_MAX);
    form->size = any->size;
    form->data = any->data;
    if (any->size <= SMALL_MAX && tag != KIN__CELL_BLOCK)
        form->word = small_bytes(tag, any->data, any->size);
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
    form->type = KIN_ANY_INT;
    make_number(form, bits);
    if ((int64_t)(bits << 4) >> 4 == integer)
        form->word = bits << 4 | KIN__CELL_INT;
}

static void make_uint(struct kin__form *form, uint64_t natural)
{
    if (natural <= INT64_MAX)
        make_int(form, (int64_t)natural);
    else
        make_number(form, natural);
}

static void make_real(struct kin__form *form, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof bits);
    make_number(form, bits);
    if ((bits & KIN__CELL_TAG) == 0)
        form->word = bits | KIN__CELL_REAL;
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

int kin__form_make(struct kin__form *form, const kin_any *any, const char *what)
{
    *form = (struct kin__form){.type = any->type};
    switch (any->type) {
    case KIN_ANY_NULL:
        form->word = NOTHING_BUT_NULL;
        return 0;
    case KIN_ANY_BOOL:
        form->word = any->truth ? TRUE : FALSE;
        return 0;
    case KIN_ANY_INT:
        make_int(form, any->integer);
        return 0;
    case KIN_ANY_UINT:
        make_uint(form, any->natural);
        return 0;
    case KIN_ANY_REAL:
        make_real(form, any->real);
        return 0;
    case KIN_ANY_TEXT:
        return make_bytes(form, any, KIN__CELL_TEXT, what);
    case KIN_ANY_BYTES:
        return make_bytes(form, any, KIN__CELL_BYTES, what);
    case KIN_ANY_PACKED:
        return make_bytes(form, any, KIN__CELL_PACKED, what);
    case KIN_ANY_OBJECT:
        if (!any->size)
            return kin__fail(KIN_EINVAL, "cannot %s: an object of 0 bytes", what);
        return make_bytes(form, any, KIN__CELL_BLOCK, what);
    case KIN_ANY_POINTER:
        return make_pointer(form, any->data, what);
    case KIN_ANY_NOTHING:
        return kin__fail(KIN_EINVAL, "cannot %s: the value is nothing", what);
    case KIN_ANY_FUNCTION:
        return kin__fail(KIN_EINVAL, "cannot %s: a function is no value but for Pools of managers", what);
    }
    return kin__fail(KIN_EINVAL, "cannot %s: a value of type %d", what, (int)any->type);
}

int kin__form_make_key(struct kin__form *form, const kin_any *any, const char *what)
{
    double real = any->type == KIN_ANY_REAL ? any->real : 0.5;
    if (real >= -TWO_63 && real < TWO_63 && (double)(int64_t)real == real)
        return kin__form_make(form, &(kin_any){.type = KIN_ANY_INT, .integer = (int64_t)real}, what);
    if (real >= TWO_63 && real < TWO_64)
        return kin__form_make(form, &(kin_any){.type = KIN_ANY_UINT, .natural = (uint64_t)real}, what);
    return kin__form_make(form, any, what);
}

void kin__form_fill(const struct kin__form *form, struct kin__cell *block)
{
    block->type = form->type;
    block->unused = 0;
    block->size = form->size;
    if (form->size)
        memcpy(block->data, form->data, form->size);
}

bool kin__cell_is(uint64_t word, const struct kin__form *form)
{
    if (form->word || !kin__cell_is_block(word))
        return word == form->word;
    const struct kin__cell *block = kin__cell_block(word);
    return block->type == form->type && block->size == form->size &&
           memcmp(block->data, form->data, form->size) == 0;
}

static bool is_number(kin_any_type type)
{
    return type == KIN_ANY_INT || type == KIN_ANY_UINT || type == KIN_ANY_REAL;
}

/* Numbers of other types may be equal. */
bool kin__cell_equals(uint64_t word, const struct kin__form *form)
{
    if (kin__cell_is(word, form))
        return true;
    kin_any a, b;
    uint64_t tag = word & KIN__CELL_TAG;
    if (!is_number(form->type) || (tag != KIN__CELL_INT && tag != KIN__CELL_REAL && tag != KIN__CELL_BLOCK))
        return false;
    struct kin__outlet none = {0};
    int order;
    if (kin__cell_read(word, &a, &none, KIN__UNDER_GATE) != KIN__GOT || !is_number(a.type))
        return false;
    b = (kin_any){.type = form->type};
    memcpy(form->type == KIN_ANY_REAL ? (void *)&b.real : (void *)&b.integer, &form->number,
           sizeof form->number);
    b.natural = form->number;
    return a.type != b.type && kin__any_order(&a, &b, &order) && order == 0;
}

/* ---- out of one -------------------------------------------------------------------------------- */

UNWATCHED bool kin__bytes_equal(const void *shared, const void *bytes, size_t size)
{
#ifdef __SANITIZE_THREAD__
    for (size_t i = 0; i < size; i++)
        if (((const volatile unsigned char *)shared)[i] != ((const unsigned char *)bytes)[i])
            return false;
    return true;
#else
    return memcmp(shared, bytes, size) == 0;
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

static bool has_data(kin_any_type type)
{
    return type == KIN_ANY_TEXT || type == KIN_ANY_BYTES || type == KIN_ANY_PACKED || type == KIN_ANY_OBJECT;
}

size_t kin__any_bytes(const kin_any *any)
{
    return has_data(any->type) ? any->size + (any->type == KIN_ANY_TEXT) : 0;
}

/* Room for a value; NULL: see *got. */
static unsigned char *room_for(size_t needs, kin_any *out, struct kin__outlet *outlet, enum kin__got *got)
{
    if (outlet->owned) {
        out->memory = malloc(needs);
        *got = out->memory ? KIN__GOT : KIN__GOT_NO_MEMORY;
        return out->memory;
    }
    bool fits = needs <= outlet->capacity - outlet->used;
    *got = fits ? KIN__GOT : KIN__GOT_TOO_LARGE;
    return fits && outlet->buffer ? outlet->buffer + outlet->used : NULL;
}

/* Bytes that are copied out, with the NUL of a text. */
static enum kin__got put_out(kin_any_type type, const void *shared, size_t size, kin_any *out,
                             struct kin__outlet *outlet)
{
    size_t needs = size + (type == KIN_ANY_TEXT);
    *out = (kin_any){.type = type, .size = size};
    if (needs == 0)
        return KIN__GOT;
    enum kin__got got;
    unsigned char *to = room_for(needs, out, outlet, &got);
    if (!to)
        return got;
    copy(to, shared, size);
    if (type == KIN_ANY_TEXT)
        to[size] = 0;
    outlet->used += outlet->owned ? 0 : needs;
    out->data = to;
    return KIN__GOT;
}

static void put_number(kin_any_type type, uint64_t number, kin_any *out)
{
    *out = (kin_any){.type = type};
    if (type == KIN_ANY_REAL)
        memcpy(&out->real, &number, sizeof number);
    else if (type == KIN_ANY_POINTER)
        out->data = (void *)(uintptr_t)number;
    else if (type == KIN_ANY_UINT)
        out->natural = number;
    else {
        out->integer = (int64_t)number;
        out->natural = out->integer > 0 ? number : 0;
    }
}

static enum kin__got read_small(uint64_t word, kin_any *out, struct kin__outlet *outlet)
{
    static const kin_any_type types[] = {[KIN__CELL_TEXT] = KIN_ANY_TEXT,
                                         [KIN__CELL_BYTES] = KIN_ANY_BYTES,
                                         [KIN__CELL_PACKED] = KIN_ANY_PACKED};
    uint64_t bytes = word >> 8;
    switch ((enum kin__cell_tag)(word & KIN__CELL_TAG)) {
    case KIN__CELL_INT:
        put_number(KIN_ANY_INT, (uint64_t)((int64_t)word >> 4), out);
        return KIN__GOT;
    case KIN__CELL_REAL:
        put_number(KIN_ANY_REAL, word & ~KIN__CELL_TAG, out);
        return KIN__GOT;
    case KIN__CELL_POINTER:
        put_number(KIN_ANY_POINTER, word & ~KIN__CELL_TAG, out);
        return KIN__GOT;
    case KIN__CELL_SIMPLE:
        *out =
            (kin_any){.type = word == NOTHING_BUT_NULL ? KIN_ANY_NULL : KIN_ANY_BOOL, .truth = word == TRUE};
        return KIN__GOT;
    case KIN__CELL_TEXT:
    case KIN__CELL_BYTES:
    case KIN__CELL_PACKED:
        return put_out(types[word & KIN__CELL_TAG], &bytes, word >> 4 & 7, out, outlet);
    case KIN__CELL_BLOCK:
    case KIN__CELL_LONG:
        break;
    }
    *out = (kin_any){.type = KIN_ANY_NOTHING};
    return KIN__GOT;
}

/* `size` and `type` were read while they were in use, so the bytes are all there, whatever stands in them by now. */
static enum kin__got read_bytes(kin_any_type type, const void *bytes, size_t size, kin_any *out,
                                struct kin__outlet *outlet, const struct kin__version_watch *watch)
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
    kin__any_drop(out);
    return KIN__GOT_STALE;
}

enum kin__got kin__cell_read(uint64_t word, kin_any *out, struct kin__outlet *outlet,
                             const struct kin__version_watch *watch)
{
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    if (!out)
        return KIN__GOT;
    if (!kin__cell_is_block(word))
        return read_small(word, out, outlet);
    const struct kin__cell *block = kin__cell_block(word);
    kin_any_type type = (kin_any_type)__atomic_load_n(&block->type, __ATOMIC_RELAXED);
    size_t size = __atomic_load_n(&block->size, __ATOMIC_RELAXED);
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    return read_bytes(type, block->data, size, out, outlet, watch);
}

enum kin__got kin__form_read(const struct kin__form *form, kin_any *out, struct kin__outlet *outlet)
{
    if (!out)
        return KIN__GOT;
    return form->word ? read_small(form->word, out, outlet)
                      : read_bytes(form->type, form->data, form->size, out, outlet, KIN__UNDER_GATE);
}

enum kin__got kin__key_read(uint64_t word, const unsigned char *bytes, kin_any *out,
                            struct kin__outlet *outlet, const struct kin__version_watch *watch)
{
    if (!kin__watch_holds(watch))
        return KIN__GOT_STALE;
    if (!out)
        return KIN__GOT;
    if ((word & KIN__CELL_TAG) != KIN__CELL_LONG)
        return read_small(word, out, outlet);
    return read_bytes((kin_any_type)(word >> 4 & 15), bytes, word >> 8, out, outlet, watch);
}

/* ---- values as such ---------------------------------------------------------------------------- */

kin_any kin_any_pointer(const void *pointer)
{
    return (kin_any){.type = KIN_ANY_POINTER, .data = pointer};
}

kin_any kin_any_nothing(void)
{
    return (kin_any){.type = KIN_ANY_NOTHING};
}

void kin__any_drop(kin_any *any)
{
    if (any) {
        free(any->memory);
        any->memory = NULL;
    }
}

const char *kin__any_kind(kin_any_type type)
{
    static const char *const names[] = {
        [KIN_ANY_NULL] = "null",       [KIN_ANY_BOOL] = "bool",       [KIN_ANY_INT] = "int",
        [KIN_ANY_UINT] = "uint",       [KIN_ANY_REAL] = "real",       [KIN_ANY_TEXT] = "text",
        [KIN_ANY_BYTES] = "bytes",     [KIN_ANY_PACKED] = "packed",   [KIN_ANY_OBJECT] = "object",
        [KIN_ANY_POINTER] = "pointer", [KIN_ANY_NOTHING] = "nothing", [KIN_ANY_FUNCTION] = "function"};
    return (unsigned)type < sizeof names / sizeof *names ? names[type] : "unknown type";
}

bool kin__any_same(const kin_any *a, const kin_any *b)
{
    struct kin__form one, other;
    if (kin__form_make(&one, a, "compare") || kin__form_make(&other, b, "compare"))
        return false;
    if (one.word || other.word)
        return one.word == other.word;
    return one.type == other.type && one.size == other.size &&
           (!one.size || memcmp(one.data, other.data, one.size) == 0);
}

bool kin__any_equals(const kin_any *a, const kin_any *b)
{
    int order;
    return kin__any_same(a, b) || (is_number(a->type) && is_number(b->type) && a->type != b->type &&
                                   kin__any_order(a, b, &order) && order == 0);
}

static long double number_of(const kin_any *any)
{
    return any->type == KIN_ANY_INT    ? (long double)any->integer
           : any->type == KIN_ANY_UINT ? (long double)any->natural
           : any->type == KIN_ANY_REAL ? (long double)any->real
                                       : any->truth;
}

bool kin__any_order(const kin_any *a, const kin_any *b, int *order)
{
    if ((is_number(a->type) || a->type == KIN_ANY_BOOL) && (is_number(b->type) || b->type == KIN_ANY_BOOL)) {
        long double x = number_of(a), y = number_of(b); /* it has 64 bits, so integers stay what they are */
        *order = (x > y) - (x < y);
        return x == x && y == y;
    }
    if (a->type != b->type || (a->type != KIN_ANY_TEXT && a->type != KIN_ANY_BYTES))
        return false;
    size_t least = a->size < b->size ? a->size : b->size;
    int differs = least ? memcmp(a->data, b->data, least) : 0;
    *order = differs ? differs : (a->size > b->size) - (a->size < b->size);
    return true;
}

__extension__ typedef __int128 wide;

static wide wide_of(const kin_any *any)
{
    return any->type == KIN_ANY_INT ? (wide)any->integer : (wide)any->natural;
}

static double real_of(const kin_any *any)
{
    return any->type == KIN_ANY_REAL ? any->real : (double)wide_of(any);
}

int kin__any_add(const kin_any *a, const kin_any *b, kin_any *sum, const char *what)
{
    if (!is_number(a->type) || !is_number(b->type))
        return kin__fail(KIN_EINVAL, "cannot %s: %s is no number", what,
                         kin__any_kind(is_number(a->type) ? b->type : a->type));
    if (a->type == KIN_ANY_REAL || b->type == KIN_ANY_REAL) {
        *sum = (kin_any){.type = KIN_ANY_REAL, .real = real_of(a) + real_of(b)};
        return 0;
    }
    wide total = wide_of(a) + wide_of(b);
    if (total < INT64_MIN || total > UINT64_MAX)
        return kin__fail(KIN_ELIMIT, "cannot %s: %.0Lf and %.0Lf are beyond 64 bits", what, number_of(a),
                         number_of(b));
    put_number(total > INT64_MAX ? KIN_ANY_UINT : KIN_ANY_INT, (uint64_t)total, sum);
    return 0;
}
