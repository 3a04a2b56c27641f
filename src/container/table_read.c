/*
 * container/table_read.c - reading tables without a lock. See container/shard.h for how a reader knows that what it reads is in
 * use, and table.h for the list that it goes along.
 *
 * Nodes never move, so a reader that finds no node where it would stand has seen that there was none at that moment.
 */
#include "container/table.h"

#include "base/failure.h"
#include "family/sealed.h"

#include <stdlib.h>

#define TRIES 100 /* before the gate is taken */
#define GATHERS 4 /* the same, for all nodes of a stripe */
#define FIRST_ROOM 64

static const struct kin__link *next_of(const struct kin__link *link)
{
    /* Acquire: partner is the release in kin__shard_commit and put_mark. */
    return (const struct kin__link *)(uintptr_t)__atomic_load_n(&link->next, __ATOMIC_ACQUIRE);
}

static struct kin__version_watch watch_of(const struct kin__stripe *stripe)
{
    const _Atomic uint64_t *version = &stripe->shard.version;
    /* Acquire: what was unlinked before it became that is not found any more. */
    return (struct kin__version_watch){version, atomic_load_explicit(version, memory_order_acquire)};
}

enum kin__got kin__node_read(const struct kin__node *node, const struct kin__wanted *wanted,
                             const struct kin__version_watch *watch)
{
    enum kin__got got = kin__key_read(__atomic_load_n(&node->key, __ATOMIC_RELAXED), node->bytes, wanted->key,
                                      wanted->outlet, watch);
    if (got != KIN__GOT)
        return got;
    /* Acquire: partner is the release of who stored it, and wrote its block before. */
    got =
        kin__cell_read(__atomic_load_n(&node->cell, __ATOMIC_ACQUIRE), wanted->value, wanted->outlet, watch);
    if (got != KIN__GOT)
        kin__any_drop(wanted->key);
    return got;
}

/* Where the search for a hash begins: at the mark of its bucket, or one before that. */
static const struct kin__link *start_of(const struct kin__stripe *stripe, uint64_t hash)
{
    uint32_t level = atomic_load_explicit(&stripe->level, memory_order_acquire);
    uint64_t bucket = kin__bucket_of(hash, level);
    const struct kin__link *mark = kin__mark_at(stripe, bucket, level);
    while (!kin__mark_is_ready(mark)) {
        bucket &= bucket - 1;
        mark = kin__mark_at(stripe, bucket, level);
    }
    return mark;
}

enum match { NO, YES, STALE };

static inline enum match matches(const struct kin__node *node, const struct kin__place *place,
                                 uint64_t ordinal, const struct kin__version_watch *watch)
{
    if (ordinal)
        return __atomic_load_n(&node->ordinal, __ATOMIC_RELAXED) == ordinal ? YES : NO;
    if (__atomic_load_n(&node->key, __ATOMIC_RELAXED) != kin__form_key(&place->key))
        return NO;
    if (place->key.word)
        return YES;
    if (!kin__watch_holds(watch))
        return STALE; /* it may have fewer bytes by now */
    return kin__bytes_equal(node->bytes, place->key.data, place->key.size) ? YES : NO;
}

/* One try. NULL and KIN__GOT: it is not there. */
static enum kin__got look(const struct kin__place *place, uint64_t ordinal, const struct kin__wanted *wanted,
                          const struct kin__version_watch *watch, bool *there)
{
    const struct kin__link *link = next_of(start_of(place->stripe, place->hash));
    *there = false;
    for (; link; link = next_of(link)) {
        if (!kin__watch_holds(watch))
            return KIN__GOT_STALE;
        uint64_t hash = __atomic_load_n(&link->hash, __ATOMIC_RELAXED);
        if (hash < place->hash)
            continue;
        if (hash > place->hash)
            break;
        const struct kin__node *node = (const struct kin__node *)link;
        enum match match = matches(node, place, ordinal, watch);
        if (match == STALE)
            return KIN__GOT_STALE;
        if (match == YES) {
            *there = true;
            return kin__node_read(node, wanted, watch);
        }
    }
    return kin__watch_holds(watch) ? KIN__GOT : KIN__GOT_STALE;
}

static int result_of(enum kin__got got, bool there)
{
    if (got != KIN__GOT)
        return got == KIN__GOT_TOO_LARGE ? KIN_ETOOLARGE : KIN_ENOMEM;
    return there ? 0 : KIN_ENOTFOUND;
}

/* Others free something in this stripe all the time: keep them out for once. A sealed member cannot. */
static int read_under_gate(const struct kin__dict *table, const struct kin__place *place, uint64_t ordinal,
                           const struct kin__wanted *wanted)
{
    struct kin__call call;
    bool there;
    int error = kin__call_begin(&call, table, table->timeout, "read");
    if (!error)
        error = kin__shard_acquire(&place->stripe->shard, &call);
    if (error)
        return error;
    enum kin__got got = look(place, ordinal, wanted, KIN__UNDER_GATE, &there);
    kin__shard_release(&place->stripe->shard);
    return result_of(got, there);
}

int kin__dict_read(const struct kin__dict *table, const struct kin__place *place, uint64_t ordinal,
                   const struct kin__wanted *wanted)
{
    size_t used = wanted->outlet->used;
    for (unsigned tries = 0; tries < TRIES || kin__is_sealed(); tries++) {
        struct kin__version_watch watch = watch_of(place->stripe);
        bool there;
        enum kin__got got = look(place, ordinal, wanted, &watch, &there);
        if (__builtin_expect(got != KIN__GOT_STALE, 1))
            return result_of(got, there);
        wanted->outlet->used = used;
    }
    return read_under_gate(table, place, ordinal, wanted);
}

/* A dead one may have changed something and not counted it. A sealed member cannot mend that. */
static void mend_if_dead(const struct kin__dict *table, const struct kin__shard *shard)
{
    struct kin__call call;
    kin__id owner = atomic_load_explicit(&shard->gate.owner, memory_order_relaxed);
    if (__builtin_expect(owner == 0, 1) || owner == kin__self_id() || kin__is_sealed() ||
        kin__member_recover(owner) == KIN_EBUSY)
        return;
    if (kin__call_begin(&call, table, 0, "count it") == 0 &&
        kin__shard_acquire((struct kin__shard *)(uintptr_t)shard, &call) == 0)
        kin__shard_release((struct kin__shard *)(uintptr_t)shard);
}

size_t kin__dict_length(const struct kin__dict *table)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < table->stripes; i++) {
        mend_if_dead(table, &table->stripe[i].shard);
        size += atomic_load_explicit(&table->stripe[i].shard.count, memory_order_relaxed);
    }
    return size;
}

/* ---- all nodes --------------------------------------------------------------------------------- */

struct entries {
    struct kin__entry *all;
    size_t count, room;
};

static int add_entry(struct entries *entries, const struct kin__entry *entry)
{
    if (entries->count == entries->room) {
        size_t room = entries->room ? 2 * entries->room : FIRST_ROOM;
        struct kin__entry *all = realloc(entries->all, room * sizeof *all);
        if (!all)
            return kin__fail(KIN_ENOMEM, "could not go through %zu entries: no private memory",
                             entries->count);
        entries->all = all;
        entries->room = room;
    }
    entries->all[entries->count++] = *entry;
    return 0;
}

/* 0; KIN_EBUSY: somebody freed something meanwhile, nothing was added; KIN_ENOMEM. */
static int gather(struct kin__stripe *stripe, struct entries *entries, const struct kin__version_watch *watch)
{
    size_t before = entries->count;
    for (const struct kin__link *link = next_of(&stripe->marks[0]); link; link = next_of(link)) {
        if (!kin__watch_holds(watch))
            break;
        const struct kin__node *node = (const struct kin__node *)link;
        struct kin__entry entry = {.hash = __atomic_load_n(&link->hash, __ATOMIC_RELAXED), .stripe = stripe};
        if ((entry.hash & KIN__NODE_BITS) != KIN__NODE_BITS)
            continue;
        entry.ordinal = __atomic_load_n(&node->ordinal, __ATOMIC_RELAXED);
        int error = add_entry(entries, &entry);
        if (error)
            return error;
    }
    if (kin__watch_holds(watch))
        return 0;
    entries->count = before;
    return KIN_EBUSY;
}

static int gather_stripe(const struct kin__dict *table, struct kin__stripe *stripe, struct entries *entries)
{
    int error = KIN_EBUSY;
    for (unsigned tries = 0; error == KIN_EBUSY && (tries < GATHERS || kin__is_sealed()); tries++) {
        struct kin__version_watch watch = watch_of(stripe);
        error = gather(stripe, entries, &watch);
    }
    if (error != KIN_EBUSY)
        return error;
    struct kin__call call;
    error = kin__call_begin(&call, table, table->timeout, "go through it");
    if (!error)
        error = kin__shard_acquire(&stripe->shard, &call);
    if (error)
        return error;
    error = gather(stripe, entries, KIN__UNDER_GATE);
    kin__shard_release(&stripe->shard);
    return error;
}

static int by_ordinal(const void *a, const void *b)
{
    uint64_t x = ((const struct kin__entry *)a)->ordinal, y = ((const struct kin__entry *)b)->ordinal;
    return (x > y) - (x < y);
}

int kin__dict_entries(const struct kin__dict *table, struct kin__entry **out, size_t *count)
{
    struct entries entries = {0};
    int error = 0;
    for (uint32_t i = 0; i < table->stripes && !error; i++)
        error = gather_stripe(table, (struct kin__stripe *)&table->stripe[i], &entries);
    if (error) {
        free(entries.all);
        return error;
    }
    if (entries.count)
        qsort(entries.all, entries.count, sizeof *entries.all, by_ordinal);
    *out = entries.all;
    *count = entries.count;
    return 0;
}

/* ---- waiting ----------------------------------------------------------------------------------- */

/* Whether the key is as `seen` (NULL: it is not there). What it is goes to *now, its own. */
static int look_for_change(const struct kin__dict *table, const struct kin__place *place, const kin_any *seen,
                           kin_any *now, bool *changed)
{
    struct kin__outlet owned = {.owned = true};
    int error = kin__dict_read(table, place, 0, &(struct kin__wanted){.value = now, .outlet = &owned});
    if (error == KIN_ENOTFOUND) {
        *changed = seen != NULL;
        return 0;
    }
    if (error)
        return error == KIN_ENOMEM ? kin__got_error(KIN__GOT_NO_MEMORY, now, &owned) : error;
    *changed = !seen || !kin__any_equals(now, seen);
    return 0;
}

int kin__dict_wait(struct kin__dict *table, struct kin__place *place, const kin_any *seen, kin_any *out,
                   double timeout)
{
    struct kin__call call;
    struct kin__form form;
    bool changed = false;
    int error = kin__timeout_check(timeout);
    if (!error && seen)
        error = kin__form_make(&form, seen, "wait for a change");
    if (!error)
        error = kin__call_begin(&call, table, timeout, "wait for a change");
    if (error)
        return error;
    struct kin__event *event = &place->stripe->shard.changed;
    kin_any now = {.type = KIN_ANY_NOTHING};
    error = look_for_change(table, place, seen, &now, &changed);
    while (!error && !changed) {
        kin__any_drop(&now);
        struct kin__nap nap = kin__event_prepare(event);
        error = look_for_change(table, place, seen, &now, &changed);
        if (!error && !changed && kin__event_sleep(event, table, nap, kin__patience_deadline(&call.patience)))
            error = kin__fail(KIN_ETIMEDOUT, "it has not changed for %g seconds", timeout);
    }
    if (error || !out)
        kin__any_drop(&now);
    else
        *out = now;
    return error || now.type != KIN_ANY_NOTHING ? error : kin__fail(KIN_ENOTFOUND, "the key is gone");
}
