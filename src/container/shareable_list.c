/*
 * container/shareable_list.c - see kin/shareable_list.h.
 *
 * The layout is that of ShareableList in CPython's Lib/multiprocessing/shared_memory.py, in 8-byte words of the machine's order:
 *
 *   words              written by              rule                               when the writer dies there
 *   ----------------   ---------------------   --------------------------------   ----------------------------------
 *   N                  maker                   before the memory has its name     there is no such name
 *   N + 1 offsets      maker                   the same; from the values on       the same
 *   values             maker, then any         a word by one store                the slot's words, some new, some old
 *   N formats          maker, then any         one store; only if another type    the value is read as one of that type
 *   N codes (bytes)    maker, then any         the same                           as the format
 *
 *   S1  offsets begin with 0, are multiples of 8 and do not fall; all parts lie within the memory. Checked once, when a list is
 *       attached to, and kept in the handle: who writes over them later harms nobody here
 *   S2  a format and a code are copied, checked against the slot, and only then used
 */
#include "kin/shareable_list.h"

#include "base/failure.h"
#include "message/utf8.h"
#include "os/os.h"
#include "sync/shared_memory.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD 8u
#define TWO_TO_63 9223372036854775808.0
#define SLOT_MOST 9999992u              /* "%ds" is at most 8 bytes */
#define HEAD_WORDS(count) ((count) + 2) /* N, and one offset more than items */

enum code { PLAIN, TEXT, BYTES, NOTHING }; /* Python's _back_transforms_mapping */

struct kin_shareable_list {
    kin_shared_memory *memory;
    size_t count;
    size_t *offsets;       /* count + 1 of them, from `values` on */
    unsigned char *values; /* in the memory, like the next two */
    _Atomic uint64_t *formats;
    _Atomic uint8_t *codes;
};

/* A value as it goes into a slot. */
struct packed {
    uint64_t format; /* 8 bytes; 0: that of bytes, which depends on the slot */
    enum code code;
    const void *data;
    size_t size;
    uint64_t word; /* what data points to, where it is no text and no bytes */
};

static uint64_t format_of(const char *text)
{
    uint64_t format = 0;
    memcpy(&format, text, strlen(text));
    return format;
}

static uint64_t format_of_bytes(size_t slot)
{
    char text[24];
    snprintf(text, sizeof text, "%zus", slot);
    return format_of(text);
}

static bool is_bytes(const struct packed *packed)
{
    return packed->code == TEXT || packed->code == BYTES;
}

/* As Python reckons it, by characters; but not less than the bytes. */
static size_t slot_of(const struct packed *packed)
{
    if (!is_bytes(packed))
        return WORD;
    const unsigned char *bytes = packed->data;
    size_t characters = packed->size;
    for (size_t i = 0; packed->code == TEXT && i < packed->size; i++)
        characters -= (bytes[i] & 0xc0) == 0x80;
    size_t slot = WORD * (characters / WORD + 1), least = (packed->size + WORD - 1) / WORD * WORD;
    return slot > least ? slot : least;
}

/* `packed` must stay where it is. */
static int pack(struct packed *packed, const kin_any *any)
{
    *packed = (struct packed){.data = &packed->word, .size = WORD};
    switch (any->type) {
    case KIN_ANY_NULL:
        packed->format = format_of("xxxxxx?x");
        packed->code = NOTHING;
        return 0;
    case KIN_ANY_BOOL:
        packed->format = format_of("xxxxxxx?");
        ((unsigned char *)&packed->word)[WORD - 1] = any->truth;
        return 0;
    case KIN_ANY_INT:
        packed->format = format_of("q");
        memcpy(&packed->word, &any->integer, WORD);
        return 0;
    case KIN_ANY_REAL:
        packed->format = format_of("d");
        memcpy(&packed->word, &any->real, WORD);
        return 0;
    case KIN_ANY_TEXT:
    case KIN_ANY_BYTES:
        if (!any->data && any->size)
            return kin__fail(KIN_EINVAL, "cannot keep %zu bytes in a shareable list: the pointer is NULL",
                             any->size);
        if (any->type == KIN_ANY_TEXT && !kin__is_utf8(any->data, any->size))
            return kin__fail(
                KIN_EINVAL, "cannot keep a text of %zu bytes in a shareable list: it is no UTF-8", any->size);
        packed->code = any->type == KIN_ANY_TEXT ? TEXT : BYTES;
        packed->data = any->data;
        packed->size = any->size;
        return 0;
    case KIN_ANY_UINT:
        return kin__fail(KIN_EINVAL, "cannot keep %llu in a shareable list: integers go up to %lld",
                         (unsigned long long)any->natural, (long long)INT64_MAX);
    default:
        return kin__fail(
            KIN_EINVAL,
            "cannot keep a value of type %d in a shareable list: only null, bools, integers, reals, "
            "texts and bytes",
            (int)any->type);
    }
}

/* Word by word, as others may read it; what the value does not fill is zeros. */
static void store(void *slot, size_t size, const struct packed *packed)
{
    _Atomic uint64_t *words = slot;
    for (size_t at = 0; at < size; at += WORD) {
        uint64_t word = 0;
        size_t left = packed->size > at ? packed->size - at : 0;
        if (left)
            memcpy(&word, (const unsigned char *)packed->data + at, left < WORD ? left : WORD);
        atomic_store_explicit(&words[at / WORD], word, memory_order_relaxed);
    }
}

static void load(void *to, const void *slot, size_t size)
{
    const _Atomic uint64_t *words = slot;
    for (size_t at = 0; at < size; at += WORD) {
        uint64_t word = atomic_load_explicit(&words[at / WORD], memory_order_relaxed);
        memcpy((unsigned char *)to + at, &word, WORD);
    }
}

/* ---- making ---------------------------------------------------------------------------------- */

struct filling {
    const struct packed *items;
    size_t count;
    size_t value_bytes;
};

static size_t bytes_needed(size_t count, size_t value_bytes)
{
    return HEAD_WORDS(count) * WORD + value_bytes + count * WORD + count;
}

static void fill(void *memory, const void *arg)
{
    const struct filling *filling = arg;
    uint64_t *head = memory;
    unsigned char *values = (unsigned char *)(head + HEAD_WORDS(filling->count));
    unsigned char *formats = values + filling->value_bytes;
    unsigned char *codes = formats + filling->count * WORD;
    size_t offset = 0;
    head[0] = filling->count;
    for (size_t i = 0; i < filling->count; i++) {
        const struct packed *item = &filling->items[i];
        size_t slot = slot_of(item);
        uint64_t format = is_bytes(item) ? format_of_bytes(slot) : item->format;
        store(values + offset, slot, item);
        memcpy(formats + i * WORD, &format, WORD);
        codes[i] = (unsigned char)item->code;
        head[1 + i] = offset;
        offset += slot;
    }
    head[1 + filling->count] = offset;
}

/* The handle of what is a list; else the error is set, and the memory closed. */
static kin_shareable_list *open_list(kin_shared_memory *memory);

static int pack_all(struct packed *items, const kin_any *values, size_t count, size_t *bytes)
{
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        int error = pack(&items[i], &values[i]);
        if (error)
            return error;
        size_t slot = slot_of(&items[i]);
        if (slot > SLOT_MOST)
            return kin__fail(
                KIN_ETOOLARGE,
                "cannot keep %zu bytes in item %zu of a shareable list: its slot would have more than %u",
                items[i].size, i, SLOT_MOST);
        *bytes += slot;
    }
    return 0;
}

kin_shareable_list *kin_shareable_list_create(const char *name, const kin_any *values, size_t count,
                                              const kin_shared_memory_options *options)
{
    KIN__UNCANCELLED;
    kin_shared_memory_options known;
    if (kin__options_read(&known, sizeof known, options, "shared memory options"))
        return NULL;
    if ((count && !values) || count > PTRDIFF_MAX / sizeof(struct packed) || known.attach) {
        kin__fail(KIN_EINVAL, "cannot make a shareable list of %zu values: %s", count,
                  known.attach       ? "the option attach would leave open whose values they are"
                  : count && !values ? "the array is NULL"
                                     : "too many");
        return NULL;
    }
    struct packed *items = malloc((count + 1) * sizeof *items);
    struct filling filling = {.items = items, .count = count};
    kin_shared_memory *memory = NULL;
    if (!items)
        kin__fail(KIN_ENOMEM, "could not get memory for the %zu values of a shareable list", count);
    else if (pack_all(items, values, count, &filling.value_bytes) == 0)
        memory = kin__shared_memory_create(name, bytes_needed(count, filling.value_bytes), options, fill,
                                           &filling);
    free(items);
    return memory ? open_list(memory) : NULL;
}

/* ---- attaching ------------------------------------------------------------------------------- */

/* S1. NULL if it is; else what is wrong. */
static const char *read_offsets(kin_shareable_list *list, const _Atomic uint64_t *head, size_t size)
{
    size_t room = size - bytes_needed(list->count, 0);
    for (size_t i = 0; i <= list->count; i++) {
        uint64_t offset = atomic_load_explicit(&head[1 + i], memory_order_relaxed);
        if (offset > room)
            return "an item lies beyond its end";
        if (offset % WORD || offset < (i ? list->offsets[i - 1] + WORD : 0) || (!i && offset))
            return "an item lies in another";
        list->offsets[i] = (size_t)offset;
    }
    return NULL;
}

static kin_shareable_list *open_list(kin_shared_memory *memory)
{
    _Atomic uint64_t *head = kin_shared_memory_buf(memory);
    size_t size = kin_shared_memory_size(memory);
    uint64_t count = size >= bytes_needed(0, 0) ? atomic_load_explicit(&head[0], memory_order_relaxed) : 0;
    const char *wrong = NULL;
    kin_shareable_list *list = NULL;
    if (size < bytes_needed(0, 0) || count > size / WORD || bytes_needed((size_t)count, 0) > size)
        wrong = "it is too small";
    if (!wrong && (list = calloc(1, sizeof *list)) != NULL) {
        list->count = (size_t)count;
        list->offsets = malloc((list->count + 1) * sizeof *list->offsets);
    }
    if (!wrong && list && list->offsets)
        wrong = read_offsets(list, head, size);
    if (wrong)
        kin__fail(KIN_EINVAL, "cannot attach to \"%s\" as a shareable list: %s",
                  kin_shared_memory_name(memory), wrong);
    else if (!list || !list->offsets)
        kin__fail(KIN_ENOMEM, "could not get memory for a handle of a shareable list");
    if (wrong || !list || !list->offsets) {
        if (list)
            free(list->offsets);
        free(list);
        kin_shared_memory_close(memory);
        return NULL;
    }
    list->memory = memory;
    list->values = (unsigned char *)(head + HEAD_WORDS(list->count));
    list->formats = (_Atomic uint64_t *)(list->values + list->offsets[list->count]);
    list->codes = (_Atomic uint8_t *)(list->formats + list->count);
    return list;
}

kin_shareable_list *kin_shareable_list_attach(const char *name)
{
    KIN__UNCANCELLED;
    kin_shared_memory *memory = kin_shared_memory_attach(name);
    return memory ? open_list(memory) : NULL;
}

void kin_shareable_list_close(kin_shareable_list *list)
{
    KIN__UNCANCELLED;
    if (!list)
        return;
    kin_shared_memory_close(list->memory);
    free(list->offsets);
    free(list);
}

const kin_shared_memory *kin_shareable_list_memory(const kin_shareable_list *list)
{
    return list ? list->memory : NULL;
}

size_t kin_shareable_list_length(const kin_shareable_list *list)
{
    return list ? list->count : 0;
}

/* ---- items ----------------------------------------------------------------------------------- */

struct place {
    size_t index;
    size_t slot; /* its bytes */
    unsigned char *at;
};

static int find(const kin_shareable_list *list, int64_t index, const char *what, struct place *out)
{
    if (!list)
        return kin__fail(KIN_EINVAL, "cannot %s: the shareable list is NULL", what);
    int64_t count = (int64_t)list->count, from = index < 0 ? index + count : index;
    if (from < 0 || from >= count)
        return kin__fail(KIN_ENOTFOUND, "cannot %s %lld of shareable list \"%s\": it has %zu", what,
                         (long long)index, kin_shared_memory_name(list->memory), list->count);
    size_t offset = list->offsets[from];
    *out = (struct place){(size_t)from, list->offsets[from + 1] - offset, list->values + offset};
    return 0;
}

/* Of "16s" 16; 0: it is no format of bytes, or of more than the slot has. */
static size_t bytes_of_format(uint64_t format, size_t slot)
{
    char text[WORD + 1] = "", *end;
    memcpy(text, &format, WORD);
    if (text[0] < '1' || text[0] > '9')
        return 0;
    unsigned long long bytes = strtoull(text, &end, 10);
    return end[0] == 's' && !end[1] && bytes <= slot ? (size_t)bytes : 0;
}

static int tell_odd(const kin_shareable_list *list, size_t index, const char *what)
{
    return kin__fail(KIN_EINVAL, "cannot read item %zu of shareable list \"%s\": %s", index,
                     kin_shared_memory_name(list->memory), what);
}

/* The bytes of a text or of bytes, with a NUL behind them; NULs at their end do not count. */
static int get_bytes(const kin_shareable_list *list, const struct place *place, enum code code, size_t size,
                     kin_any *out)
{
    size_t words = (size + WORD - 1) / WORD * WORD;
    unsigned char *memory = malloc(words + 1);
    if (!memory)
        return kin__fail(KIN_ENOMEM, "could not get %zu bytes for an item of a shareable list", words);
    load(memory, place->at, words);
    while (code != PLAIN && size && !memory[size - 1])
        size--;
    memory[size] = '\0';
    if (code == TEXT && !kin__is_utf8(memory, size)) {
        free(memory);
        return tell_odd(list, place->index, "it is a text, and no UTF-8");
    }
    *out = (kin_any){
        .type = code == TEXT ? KIN_ANY_TEXT : KIN_ANY_BYTES, .data = memory, .size = size, .memory = memory};
    return 0;
}

static int get(const kin_shareable_list *list, const struct place *place, kin_any *out)
{
    uint64_t format = atomic_load_explicit(&list->formats[place->index], memory_order_relaxed);
    uint8_t code = atomic_load_explicit(&list->codes[place->index], memory_order_relaxed);
    size_t bytes = bytes_of_format(format, place->slot);
    uint64_t word;
    *out = (kin_any){0};
    if (code > NOTHING)
        return tell_odd(list, place->index, "it has no code of a type");
    if (code == NOTHING)
        return 0;
    if (bytes)
        return get_bytes(list, place, code, bytes, out);
    load(&word, place->at, WORD);
    if (format == format_of("q")) {
        out->type = KIN_ANY_INT;
        memcpy(&out->integer, &word, WORD);
        out->natural = out->integer > 0 ? (uint64_t)out->integer : 0;
    } else if (format == format_of("d")) {
        out->type = KIN_ANY_REAL;
        memcpy(&out->real, &word, WORD);
    } else if (format == format_of("xxxxxxx?")) {
        out->type = KIN_ANY_BOOL;
        out->truth = ((const unsigned char *)&word)[WORD - 1] != 0;
    } else {
        return tell_odd(list, place->index, "it has no format of a type");
    }
    return 0;
}

int kin_shareable_list_get(const kin_shareable_list *list, int64_t index, kin_any *out)
{
    struct place place;
    int error = find(list, index, "get item", &place);
    if (!error && !out)
        error =
            kin__fail(KIN_EINVAL, "cannot get item %zu of a shareable list: nowhere to put it", place.index);
    return error ? error : get(list, &place, out);
}

int kin_shareable_list_set(kin_shareable_list *list, int64_t index, kin_any value)
{
    struct place place = {0};
    struct packed packed;
    int error = find(list, index, "set item", &place);
    if (error || (error = pack(&packed, &value)) != 0)
        return error;
    if (packed.size > place.slot)
        return kin__fail(KIN_ETOOLARGE,
                         "cannot set item %zu of shareable list \"%s\" to %zu bytes: its slot has %zu",
                         place.index, kin_shared_memory_name(list->memory), packed.size, place.slot);
    uint64_t now = atomic_load_explicit(&list->formats[place.index], memory_order_relaxed);
    if (is_bytes(&packed))
        packed.format = bytes_of_format(now, place.slot) ? now : format_of_bytes(place.slot);
    if (now != packed.format)
        atomic_store_explicit(&list->formats[place.index], packed.format, memory_order_relaxed);
    if (atomic_load_explicit(&list->codes[place.index], memory_order_relaxed) != packed.code)
        atomic_store_explicit(&list->codes[place.index], (uint8_t)packed.code, memory_order_relaxed);
    store(place.at, is_bytes(&packed) ? place.slot : WORD, &packed);
    return 0;
}

int kin_shareable_list_format(const kin_shareable_list *list, char *out, size_t capacity, size_t *size)
{
    if (!list || (capacity && !out))
        return kin__fail(KIN_EINVAL, "cannot tell the format of a shareable list: %s",
                         list ? "nowhere to put it" : "it is NULL");
    size_t length = 0;
    for (size_t i = 0; i < list->count; i++) {
        char text[WORD + 1] = "";
        uint64_t format = atomic_load_explicit(&list->formats[i], memory_order_relaxed);
        memcpy(text, &format, WORD);
        size_t bytes = strlen(text);
        if (length + bytes < capacity)
            memcpy(out + length, text, bytes);
        length += bytes;
    }
    if (size)
        *size = length + 1;
    if (length >= capacity)
        return kin__fail(KIN_ETOOLARGE, "cannot write a format of %zu bytes into %zu", length + 1, capacity);
    out[length] = '\0';
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool is_number(const kin_any *any)
{
    return any->type == KIN_ANY_BOOL || any->type == KIN_ANY_INT;
}

static int64_t number_of(const kin_any *any)
{
    return any->type == KIN_ANY_BOOL ? any->truth : any->integer;
}

/* 2^63 and 2^64 are doubles, INT64_MAX and UINT64_MAX are not. */
static bool equals_real(const kin_any *number, double real)
{
    if (number->type == KIN_ANY_UINT)
        return real >= TWO_TO_63 && real < 2 * TWO_TO_63 && (uint64_t)real == number->natural;
    return real >= -TWO_TO_63 && real < TWO_TO_63 && (int64_t)real == number_of(number) &&
           !(real < (double)(int64_t)real) && !(real > (double)(int64_t)real);
}

static bool equals(const kin_any *item, const kin_any *value)
{
    if (is_number(item) && is_number(value))
        return number_of(item) == number_of(value);
    if (item->type == KIN_ANY_REAL && (is_number(value) || value->type == KIN_ANY_UINT))
        return equals_real(value, item->real);
    if (is_number(item) && value->type == KIN_ANY_REAL)
        return equals_real(item, value->real);
    if (item->type != value->type)
        return false;
    if (item->type == KIN_ANY_REAL)
        return item->real >= value->real && item->real <= value->real;
    return item->type == KIN_ANY_NULL ||
           (item->size == value->size && (!item->size || memcmp(item->data, value->data, item->size) == 0));
}

/* How many equal it; or, with `first`, where the first is that does. */
static int look_for(const kin_shareable_list *list, const kin_any *value, size_t *out, bool first)
{
    size_t found = 0;
    if (!list || !out || (value->size && !value->data))
        return kin__fail(KIN_EINVAL, "cannot look for a value in a shareable list: %s",
                         !list  ? "it is NULL"
                         : !out ? "nowhere to tell it"
                                : "its pointer is NULL");
    for (size_t i = 0; i < list->count; i++) {
        kin_any item;
        int error = kin_shareable_list_get(list, (int64_t)i, &item);
        if (error)
            return error;
        bool equal = equals(&item, value);
        free(item.memory);
        if (equal && first) {
            *out = i;
            return 0;
        }
        found += equal;
    }
    if (first)
        return kin__fail(KIN_ENOTFOUND, "shareable list \"%s\" has no such value",
                         kin_shared_memory_name(list->memory));
    *out = found;
    return 0;
}

int kin_shareable_list_index(const kin_shareable_list *list, kin_any value, size_t *out)
{
    return look_for(list, &value, out, true);
}

int kin_shareable_list_count(const kin_shareable_list *list, kin_any value, size_t *out)
{
    return look_for(list, &value, out, false);
}

kin_shareable_list *kin_shareable_list_copy(const kin_shareable_list *list, const char *name,
                                            const kin_shared_memory_options *options)
{
    KIN__UNCANCELLED;
    kin_shareable_list *copy = NULL;
    if (!list) {
        kin__fail(KIN_EINVAL, "cannot copy a shareable list: it is NULL");
        return NULL;
    }
    size_t count = 0;
    kin_any *values = malloc((list->count + 1) * sizeof *values);
    int error = 0;
    if (!values) {
        kin__fail(KIN_ENOMEM, "could not get memory to copy %zu values", list->count);
        return NULL;
    }
    while (!error && count < list->count) {
        error = kin_shareable_list_get(list, (int64_t)count, &values[count]);
        count += !error;
    }
    if (!error)
        copy = kin_shareable_list_create(name, values, count, options);
    while (count)
        free(values[--count].memory);
    free(values);
    return copy;
}
