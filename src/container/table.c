/* container/table.c - making, changing and freeing tables. See table.h. */
#include "container/table.h"

#include "base/failure.h"
#include "kin/heap.h"

#include <string.h>
#include <sys/random.h>

/* ---- hashes ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

#define ODD_1 UINT64_C(0x9e3779b97f4a7c15)
#define ODD_2 UINT64_C(0xd1b54a32d192ed03)

/* Multiply and fold, as in wyhash (Wang Yi). The seed is each table's own, so that nobody can make keys that meet. */
static uint64_t hash_bytes(uint64_t seed, const unsigned char *bytes, size_t size)
{
    uint64_t hash = mix(seed ^ ODD_1, (uint64_t)size ^ ODD_2), a, b;
    for (; size > 16; bytes += 16, size -= 16) {
        memcpy(&a, bytes, 8);
        memcpy(&b, bytes + 8, 8);
        hash = mix(a ^ ODD_1, b ^ hash);
    }
    unsigned char rest[16] = {0};
    memcpy(rest, bytes, size);
    memcpy(&a, rest, 8);
    memcpy(&b, rest + 8, 8);
    return mix(a ^ ODD_2, b ^ hash);
}

int kin__place_make(struct kin__place *place, const struct kin__dict *table, const kin_any *key,
                    const char *what)
{
    int error = kin__form_make_key(&place->key, key, what);
    if (error)
        return error;
    uint64_t hash = place->key.word
                        ? mix(place->key.word ^ table->seed, ODD_1)
                        : hash_bytes(table->seed ^ place->key.type, place->key.data, place->key.size);
    hash = mix(hash ^ ODD_2, ODD_1);
    place->stripe = (struct kin__stripe *)&table->stripe[hash >> 2 & (table->stripes - 1)];
    place->hash = hash | KIN__NODE_BITS;
    return 0;
}

/* ---- making ------------------------------------------------------------------------------------ */

static int check_options(const struct kin__dict_options *options, const char *what)
{
    int stripes = options->stripes;
    if (stripes < 0 || stripes > KIN__STRIPES_MAX || (stripes & (stripes - 1)))
        return kin__fail(KIN_EINVAL, "cannot %s: %d stripes; it can have a power of two up to %d", what,
                         stripes, KIN__STRIPES_MAX);
    return kin__timeout_check(options->timeout);
}

struct kin__dict *kin__dict_new(const struct kin__dict_options *options, enum kin__object_magic magic,
                                const char *what)
{
    struct kin__call call;
    if (check_options(options, what) || kin__call_begin(&call, NULL, 0, what))
        return NULL;
    uint32_t stripes = options->stripes ? (uint32_t)options->stripes : KIN__STRIPES_DEFAULT;
    size_t size = sizeof(struct kin__dict) + stripes * sizeof(struct kin__stripe);
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = kin__os_now_ns() ^ (uint64_t)(uintptr_t)&call;
    struct kin__dict *table = kin__heap_open_aligned(size, _Alignof(struct kin__dict), NULL);
    if (!table)
        return NULL;
    memset(table, 0, size);
    table->seed = seed;
    table->timeout = options->timeout > 0 ? options->timeout : KIN_FOREVER;
    table->stripes = stripes;
    for (uint32_t i = 0; i < stripes; i++) {
        atomic_store_explicit(&table->stripe[i].level, KIN__LEVEL_FIRST, memory_order_relaxed);
        table->stripe[i].marks[0].hash = KIN__MARK_READY;
    }
    atomic_store_explicit(&table->ordinal, 1, memory_order_relaxed);
    if (options->name)
        strncpy(table->sync.name, options->name, KIN__NAME_MAX - 1);
    kin__sync_publish(table, magic);
    kin__heap_close();
    return table;
}

/* ---- finding ----------------------------------------------------------------------------------- */

static struct kin__link *link_at(uint64_t address)
{
    return (struct kin__link *)(uintptr_t)address;
}

/* Put a mark into the list, behind one before it. */
static void put_mark(struct kin__link *mark, uint64_t start, struct kin__link *before)
{
    uint64_t *at = &before->next;
    while (*at && link_at(*at)->hash < start)
        at = &link_at(*at)->next;
    if (link_at(*at) != mark) {
        __atomic_store_n(&mark->hash, start, __ATOMIC_RELAXED);
        __atomic_store_n(&mark->next, *at, __ATOMIC_RELAXED);
        kin__crash_fence();
        /* Release: partner is the acquire of readers that come along the list. */
        __atomic_store_n(at, (uint64_t)(uintptr_t)mark, __ATOMIC_RELEASE);
        kin__crash_fence();
    }
    /* Release: partner is the acquire in kin__mark_is_ready. */
    __atomic_store_n(&mark->hash, start | KIN__MARK_READY, __ATOMIC_RELEASE);
}

/* The mark of a bucket, in the list. Those that it needs before it: one a level at most. */
static struct kin__link *ready_mark(struct kin__stripe *stripe, uint64_t bucket, uint32_t level)
{
    uint64_t chain[KIN__LEVEL_MOST + 1];
    uint32_t missing = 0;
    struct kin__link *mark;
    for (mark = kin__mark_at(stripe, bucket, level); !kin__mark_is_ready(mark);
         mark = kin__mark_at(stripe, bucket, level)) {
        chain[missing++] = bucket;
        bucket &= bucket - 1;
    }
    while (missing) {
        struct kin__link *before = mark;
        bucket = chain[--missing];
        mark = kin__mark_at(stripe, bucket, level);
        put_mark(mark, kin__bucket_start(bucket, level), before);
    }
    return mark;
}

static bool is_key(const struct kin__node *node, const struct kin__place *place)
{
    return node->key == kin__form_key(&place->key) &&
           (place->key.word || memcmp(node->bytes, place->key.data, place->key.size) == 0);
}

static inline struct kin__found find(struct kin__place *place, uint64_t ordinal)
{
    struct kin__stripe *stripe = place->stripe;
    uint32_t level = atomic_load_explicit(&stripe->level, memory_order_relaxed);
    struct kin__link *mark = ready_mark(stripe, kin__bucket_of(place->hash, level), level);
    uint64_t *at = &mark->next;
    for (; *at && link_at(*at)->hash <= place->hash; at = &link_at(*at)->next) {
        struct kin__node *node = (struct kin__node *)link_at(*at);
        if (node->link.hash == place->hash && (ordinal ? node->ordinal == ordinal : is_key(node, place)))
            return (struct kin__found){at, node};
    }
    return (struct kin__found){at, NULL};
}

struct kin__found kin__dict_find(struct kin__place *place)
{
    return find(place, 0);
}

struct kin__found kin__dict_find_ordinal(struct kin__place *place, uint64_t ordinal)
{
    return find(place, ordinal);
}

/* ---- growing ----------------------------------------------------------------------------------- */

/* A record that the caller has is not to be lost for something that it does not need. */
static void *try_segment(uint64_t *word, size_t size)
{
    kin_error before;
    kin_error_get(&before);
    void *segment = kin__heap_open_zeroed(size, word);
    if (!segment) {
        kin__fail_with(&before);
        return NULL;
    }
    __atomic_store_n(word, (uint64_t)(uintptr_t)segment, __ATOMIC_RELAXED);
    kin__heap_close();
    return segment;
}

/* Twice as many buckets. Without memory for them, chains get longer: no harm. */
static void grow(struct kin__stripe *stripe)
{
    uint32_t level = atomic_load_explicit(&stripe->level, memory_order_relaxed);
    if (level == KIN__LEVEL_MOST)
        return;
    uint64_t *word = &stripe->segment[level - KIN__LEVEL_FIRST];
    if (!*word && !try_segment(word, sizeof(struct kin__link) << level))
        return;
    stripe->cursor = 0;
    kin__crash_fence();
    /* Release: partner is the acquire in table_read.c, which finds the segment then. */
    atomic_store_explicit(&stripe->level, level + 1, memory_order_release);
}

/* Insertions put in the marks of the last doubling, so that all are there before the next. */
static void put_next_mark(struct kin__stripe *stripe)
{
    uint32_t level = atomic_load_explicit(&stripe->level, memory_order_relaxed);
    uint64_t bucket = 2 * (uint64_t)stripe->cursor + 1;
    if (bucket >> level)
        return;
    ready_mark(stripe, bucket, level);
    stripe->cursor++;
}

/* ---- changing ---------------------------------------------------------------------------------- */

int kin__dict_insert(struct kin__dict *table, struct kin__place *place, struct kin__found found,
                     struct kin__value *value)
{
    struct kin__stripe *stripe = place->stripe;
    struct kin__shard *shard = &stripe->shard;
    size_t bytes = place->key.word ? 0 : place->key.size;
    uint64_t word = kin__value_word(value, &shard->step.spare[1]);
    struct kin__node *node =
        word ? kin__shard_block(&shard->step.spare[0], sizeof(struct kin__node) + bytes) : NULL;
    if (!node) {
        kin__shard_abandon(shard);
        return kin_error_code();
    }
    uint64_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    node->link.next = *found.at;
    node->link.hash = place->hash;
    node->ordinal = atomic_fetch_add_explicit(&table->ordinal, 1, memory_order_relaxed);
    node->cell = word;
    node->key = kin__form_key(&place->key);
    if (bytes)
        memcpy(node->bytes, place->key.data, bytes);
    kin__shard_commit(shard, found.at, (uint64_t)(uintptr_t)node, count + 1);
    put_next_mark(stripe);
    if (count >> atomic_load_explicit(&stripe->level, memory_order_relaxed))
        grow(stripe);
    return 0;
}

void kin__dict_remove(struct kin__place *place, struct kin__found found)
{
    struct kin__shard *shard = &place->stripe->shard;
    uint64_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    shard->step.doomed[0] = (uint64_t)(uintptr_t)found.node;
    shard->step.doomed[1] = kin__cell_is_block(found.node->cell) ? found.node->cell : 0;
    kin__shard_commit(shard, found.at, found.node->link.next, count - 1);
}

/* ---- ending ------------------------------------------------------------------------------------ */

static void clear_stripe(struct kin__stripe *stripe)
{
    uint64_t *at = &stripe->marks[0].next;
    struct kin__place place = {.stripe = stripe};
    while (*at) {
        struct kin__link *link = link_at(*at);
        if ((link->hash & KIN__NODE_BITS) == KIN__NODE_BITS)
            kin__dict_remove(&place, (struct kin__found){at, (struct kin__node *)link});
        else
            at = &link->next;
    }
}

int kin__dict_clear(struct kin__dict *table, struct kin__call *call)
{
    int error = 0;
    for (uint32_t i = 0; i < table->stripes && !error; i++) {
        error = kin__shard_acquire(&table->stripe[i].shard, call);
        if (!error) {
            clear_stripe(&table->stripe[i]);
            kin__shard_release_changed(&table->stripe[i].shard);
        }
    }
    return error;
}

static void let_go(struct kin__dict *table, uint32_t held)
{
    while (held-- > 0) {
        kin__use_begin(kin__thread_mine, table); /* each release ends it */
        kin__shard_release(&table->stripe[held].shard);
    }
}

/* All gates are ours, or none: KIN_ETIMEDOUT. */
static int hold_all(struct kin__dict *table, struct kin__call *call)
{
    int error = 0;
    for (uint32_t i = 0; i < table->stripes && !error; i++) {
        error = kin__shard_acquire(&table->stripe[i].shard, call);
        if (error)
            let_go(table, i);
    }
    return error;
}

int kin__dict_is_empty(struct kin__dict *table, struct kin__call *call, bool *empty)
{
    int error = hold_all(table, call);
    if (error)
        return error;
    *empty = kin__dict_length(table) == 0;
    let_go(table, table->stripes);
    return 0;
}

/* Of a list without nodes. T1 holds meanwhile: should we die, others may use or free the table. */
static void free_marks(struct kin__stripe *stripe)
{
    struct kin__link *first = &stripe->marks[0];
    while (first->next) {
        struct kin__link *mark = link_at(first->next);
        mark->hash &= ~KIN__MARK_READY;
        kin__crash_fence();
        first->next = mark->next;
        kin__crash_fence();
    }
    atomic_store(&stripe->level, KIN__LEVEL_FIRST);
    kin__crash_fence();
    for (uint32_t k = 0; k < KIN__LEVEL_MOST + 1 - KIN__LEVEL_FIRST; k++)
        if (stripe->segment[k])
            kin__heap_free_at(&stripe->segment[k]);
}

int kin__dict_free(struct kin__dict *table, const char *what)
{
    struct kin__call call;
    int error = kin__call_begin(&call, table, 0, what);
    if (!error)
        error = kin__waits_none(table);
    if (error)
        return error;
    if (hold_all(table, &call))
        return kin__fail(KIN_EBUSY, "cannot free %s: another process is in a call of it",
                         kin__title(table).text);
    for (uint32_t i = 0; i < table->stripes; i++) {
        struct kin__stripe *stripe = &table->stripe[i];
        clear_stripe(stripe);
        free_marks(stripe);
    }
    kin__sync_free_opened(table);
    kin__use_end(kin__thread_mine);
    return 0;
}
