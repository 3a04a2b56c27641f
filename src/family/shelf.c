/* family/shelf.c - see shelf.h. */
#include "family/shelf.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/run.h"
#include "family/sealed.h"
#include "os/os.h"

#include <string.h>

/* A signal makes fallocate undo what it has done so far: small pieces finish between two of them. */
#define POPULATE_STEP ((size_t)2 << 20)

_Static_assert(KIN__AT_BOOKS + KIN__BOOKS * sizeof(struct kin__book) <= KIN__AT_MODULES,
               "room for the books");
_Static_assert(sizeof(struct kin__region) <= KIN__AT_BOOKS, "room for the region's own words");

static struct kin__book *books(void)
{
    return kin__region_at(KIN__AT_BOOKS);
}

static size_t offset_of(const struct kin__book *book)
{
    return kin__region->shelf + ((size_t)book->first << KIN__UNIT_BITS);
}

static void *address_of(const struct kin__book *book)
{
    return (void *)(kin__region_base + offset_of(book));
}

size_t kin__shelf_offset(size_t size)
{
    return (size - size / 4) / KIN__UNIT * KIN__UNIT;
}

static uint32_t shelf_units(void)
{
    return (uint32_t)((kin__region->size - kin__region->shelf - KIN__GUARD) >> KIN__UNIT_BITS);
}

void kin__shelf_protect(void)
{
    kin__os_protect((void *)(kin__region_base + kin__region->shelf), (size_t)shelf_units() << KIN__UNIT_BITS,
                    KIN__OS_READ);
}

bool kin__shelf_holds(const void *address)
{
    return kin__region_holds(address) && (uintptr_t)address - kin__region_base >= kin__region->shelf;
}

/* ---- the list, in a transaction -------------------------------------------------------------- */

/* Enter `units` units at the first place where there is room. NULL: *out_of tells. */
static struct kin__book *enter(uint32_t units, enum kin__out_of *out_of)
{
    struct kin__book *all = books();
    uint32_t number = 1;
    while (number < KIN__BOOKS && all[number].state != KIN__BOOK_FREE)
        number++;
    *out_of = 0;
    if (number == KIN__BOOKS)
        return NULL;
    uint32_t before = 0, place = 0;
    for (uint32_t next = all[0].next; next && all[next].first - place < units; next = all[next].next) {
        place = all[next].first + all[next].units;
        before = next;
    }
    *out_of = KIN__OUT_OF_SPACE;
    if (shelf_units() - place < units)
        return NULL;
    *out_of = KIN__OUT_OF_LIMIT;
    if (kin__heap_used_bytes() + ((size_t)units << KIN__UNIT_BITS) > kin__region->heap_limit)
        return NULL;
    struct kin__book *book = &all[number];
    kin__journal_set32(&book->first, place);
    kin__journal_set32(&book->units, units);
    kin__journal_set32(&book->next, all[before].next);
    kin__journal_set32(&all[before].next, number);
    kin__journal_set32(&kin__heap()->shelved, kin__heap()->shelved + units);
    return book;
}

static void take_out(struct kin__book *book)
{
    struct kin__book *all = books();
    uint32_t before = 0, number = (uint32_t)(book - all);
    while (all[before].next != number)
        before = all[before].next;
    kin__journal_set32(&all[before].next, book->next);
    kin__journal_set32(&kin__heap()->shelved, kin__heap()->shelved - book->units);
    kin__journal_set(&book->owner, 0);
    kin__journal_set32(&book->state, KIN__BOOK_FREE);
}

/* The book that begins at that address. */
static struct kin__book *find(const void *address)
{
    struct kin__book *all = books();
    for (uint32_t next = all[0].next; next; next = all[next].next)
        if (address_of(&all[next]) == address)
            return &all[next];
    return NULL;
}

static struct kin__book *find_sealed(const void *address)
{
    struct kin__book *book = find(address);
    return book && book->state == KIN__BOOK_SEALED ? book : NULL;
}

/* Some part of it, or itself if there is none left. */
static struct kin__book *some_part(struct kin__book *main)
{
    struct kin__book *all = books();
    for (uint32_t next = all[0].next; next; next = all[next].next)
        if (all[next].state == KIN__BOOK_PART && all[next].main == main->main)
            return &all[next];
    return main;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* What is FREEING goes, parts first. What the system does not take back stays taken: nobody may find old bytes there. */
static void give_back(struct kin__book *main)
{
    for (struct kin__book *book = NULL; book != main;) {
        kin__journal_begin();
        book = some_part(main);
        kin__journal_end(); /* nobody else frees it */
        size_t size = (size_t)book->units << KIN__UNIT_BITS;
        if (kin__region_punch(offset_of(book), size)) {
            kin_log(KIN_LOG_WARNING, "%zu bytes of freed frozen data stay in use: %s", size,
                    kin_error_message());
            return;
        }
        kin__journal_begin();
        take_out(book);
        kin__journal_end();
    }
}

static void start_freeing(struct kin__book *main)
{
    kin__journal_set(&main->owner, kin__self_id());
    kin__journal_set32(&main->state, KIN__BOOK_FREEING);
}

/* A book that this process is making, or a part of one: nobody else changes it. */
static struct kin__book *own(const void *address)
{
    kin__journal_begin();
    struct kin__book *book = find(address);
    bool found = book && (book->state == KIN__BOOK_PART || book->state == KIN__BOOK_MAKING);
    kin__journal_end();
    if (!found)
        kin__panic("a book of the shelf is gone while it is made");
    return book;
}

static int populate(size_t offset, size_t size)
{
    int error = 0;
    for (size_t done = 0; done < size && !error; done += POPULATE_STEP) {
        size_t piece = size - done < POPULATE_STEP ? size - done : POPULATE_STEP;
        error = kin__region_populate(offset + done, piece);
    }
    return error;
}

static struct kin__book *take(size_t size, const struct kin__book *main, enum kin__out_of *out_of)
{
    kin__journal_begin();
    struct kin__book *book = enter((uint32_t)((size + KIN__UNIT - 1) >> KIN__UNIT_BITS), out_of);
    if (book) {
        kin__journal_set(&book->size, size);
        kin__journal_set(&book->owner, main ? 0 : kin__self_id());
        kin__journal_set32(&book->main, main ? main->main : (uint32_t)(book - books()));
        kin__journal_set32(&book->state, main ? KIN__BOOK_PART : KIN__BOOK_MAKING);
    }
    kin__journal_end();
    return book;
}

/* A part goes while the rest is still being made. */
static void abandon(struct kin__book *book)
{
    kin_error story;
    kin_error_get(&story);
    if (book->state == KIN__BOOK_PART) {
        if (kin__region_punch(offset_of(book), (size_t)book->units << KIN__UNIT_BITS) == 0) {
            kin__journal_begin();
            take_out(book);
            kin__journal_end();
        }
    } else {
        kin__shelf_drop(address_of(book));
    }
    kin__fail_with(&story);
}

static void tell(enum kin__out_of out_of, size_t size)
{
    if (out_of == KIN__OUT_OF_LIMIT)
        kin__fail(KIN_ENOMEM,
                  "could not get %zu bytes of frozen memory: the family uses %zu of its limit of %zu; raise "
                  "KIN_HEAP_LIMIT or the heap_limit of kin_init_options",
                  size, kin__heap_used_bytes(), (size_t)kin__region->heap_limit);
    else if (out_of == KIN__OUT_OF_SPACE)
        kin__fail(
            KIN_ENOMEM,
            "could not get %zu bytes of frozen memory: a quarter of the region of %zu serves for that; raise "
            "KIN_REGION_SIZE or the region_size of kin_init_options",
            size, (size_t)kin__region->size);
    else
        kin__fail(KIN_ELIMIT,
                  "could not make frozen data: there are %u already; put many small ones into one, or into a "
                  "table (kin/table.h)",
                  KIN__BOOKS - 1);
}

void *kin__shelf_new(size_t size, const void *part_of, void **alias)
{
    struct kin__thread *thread = kin__thread_self();
    if (!thread || kin__sealed_refuse("make frozen data"))
        return NULL;
    if (!kin__region_has_fd()) {
        kin__fail(KIN_ESYSTEM, "cannot make frozen data: the program has closed kin's descriptor %d",
                  kin__region_fd);
        return NULL;
    }
    const struct kin__book *main = part_of ? own(part_of) : NULL;
    enum kin__out_of out_of = KIN__OUT_OF_SPACE;
    struct kin__book *book = size <= kin__region->size ? take(size, main, &out_of) : NULL;
    if (!book && out_of == KIN__OUT_OF_LIMIT && kin__run_trim(thread))
        book = take(size, main, &out_of);
    if (!book) {
        tell(out_of, size);
        return NULL;
    }
    size_t whole = (size_t)book->units << KIN__UNIT_BITS;
    if (populate(offset_of(book), whole) || kin__os_map_part(kin__region_fd, offset_of(book), whole, alias)) {
        abandon(book);
        return NULL;
    }
    return address_of(book);
}

void kin__shelf_close(const void *address, void *alias, size_t size)
{
    struct kin__book *book = own(address);
    uint32_t units = (uint32_t)((size + KIN__UNIT - 1) >> KIN__UNIT_BITS), had = book->units;
    size_t keep = (size_t)units << KIN__UNIT_BITS, whole = (size_t)had << KIN__UNIT_BITS;
    kin__os_unmap(alias, whole);
    if (units == 0 || (units < had && kin__region_punch(offset_of(book) + keep, whole - keep)))
        units = had; /* what the system does not take back stays part of it */
    kin__journal_begin();
    kin__journal_set32(&book->units, units);
    kin__journal_set(&book->size, size);
    kin__journal_set32(&kin__heap()->shelved, kin__heap()->shelved - (had - units));
    kin__journal_end();
}

int kin__shelf_patch(const void *address, const void *data, size_t size)
{
    const struct kin__book *book = own(address);
    size_t whole = (size_t)book->units << KIN__UNIT_BITS;
    void *alias;
    int error = kin__os_map_part(kin__region_fd, offset_of(book), whole, &alias);
    if (error)
        return error;
    memcpy(alias, data, size);
    kin__os_unmap(alias, whole);
    return 0;
}

void kin__shelf_seal(const void *address)
{
    struct kin__book *book = own(address);
    kin__journal_begin();
    kin__journal_set(&book->owner, 0);
    kin__journal_set32(&book->state, KIN__BOOK_SEALED);
    kin__journal_end();
}

void kin__shelf_drop(const void *address)
{
    struct kin__book *book = own(address);
    kin__journal_begin();
    start_freeing(book);
    kin__journal_end();
    give_back(book);
}

int kin__shelf_free(const void *address, const char *what)
{
    if (!kin__thread_self() || kin__sealed_refuse(what))
        return kin_error_code();
    kin__journal_begin();
    struct kin__book *book = find_sealed(address);
    if (book)
        start_freeing(book);
    kin__journal_end();
    if (!book)
        return kin__fail(KIN_EINVAL, "cannot %s: at %p there is none (freed?)", what, address);
    give_back(book);
    return 0;
}

size_t kin__shelf_size(const void *address)
{
    if (!kin__shelf_holds(address) || !kin__thread_self())
        return 0;
    kin__journal_begin();
    const struct kin__book *book = find_sealed(address);
    size_t size = book ? book->size : 0;
    kin__journal_end();
    return size;
}

/* ---- deaths ---------------------------------------------------------------------------------- */

static struct kin__book *left_by(kin__id id)
{
    struct kin__book *all = books(), *found = NULL;
    kin__journal_begin();
    for (uint32_t next = all[0].next; next && !found; next = all[next].next)
        if (all[next].owner == id)
            found = &all[next];
    if (found)
        kin__journal_set32(&found->state, KIN__BOOK_FREEING);
    kin__journal_end();
    return found;
}

void kin__shelf_recover(struct kin__member *dead)
{
    kin__id id = kin__member_id(dead);
    for (unsigned i = 0; i < KIN__BOOKS; i++) { /* not for ever, should one stay */
        struct kin__book *book = left_by(id);
        if (!book)
            return;
        give_back(book);
    }
}

int kin__shelf_check(void)
{
    const struct kin__book *all = books();
    uint32_t listed = 0, taken = 0, units = 0, place = 0;
    for (uint32_t i = 1; i < KIN__BOOKS; i++)
        taken += all[i].state != KIN__BOOK_FREE;
    for (uint32_t next = all[0].next; next && listed <= taken; next = all[next].next) {
        const struct kin__book *book = &all[next];
        if (book->first < place || !book->units || book->units > shelf_units() - book->first)
            return kin__fail(KIN_EINVAL, "B1: book %u lies at %u, %u units, behind %u", next, book->first,
                             book->units, place);
        const struct kin__book *main = book->main < KIN__BOOKS ? &all[book->main] : NULL;
        if (!main || (book->state == KIN__BOOK_PART ? main->main != book->main : main != book))
            return kin__fail(KIN_EINVAL, "B3: book %u of state %u has main book %u", next, book->state,
                             book->main);
        if (main->state != KIN__BOOK_SEALED || book->owner)
            return kin__fail(KIN_EINVAL, "B4: book %u has state %u and is member %#llx's", next, main->state,
                             (unsigned long long)book->owner);
        place = book->first + book->units;
        units += book->units;
        listed++;
    }
    if (listed != taken)
        return kin__fail(KIN_EINVAL, "B1: %u books are listed, %u are taken", listed, taken);
    if (units != kin__heap()->shelved)
        return kin__fail(KIN_EINVAL, "B2: %u units, noted %u", units, kin__heap()->shelved);
    return 0;
}
