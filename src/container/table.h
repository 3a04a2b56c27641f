/*
 * container/table.h - the hash table that dicts, sets and namespaces are.
 *
 * A table is cut into stripes by the low bits of a key's hash; each is a shard of its own. A stripe is one list of nodes, in the
 * order of their hashes, and marks in the list where the range of each bucket begins: a search starts at its bucket's mark. When a
 * stripe has more nodes than buckets, it gets twice as many. No node moves for that: each range is cut in two by one more mark, which
 * is put in when somebody first changes something there; until then the mark before it serves. So nothing that a death
 * interrupts is ever half moved, and growth costs each insertion a little. (Split-ordered lists: Shalev, Shavit 2006. Theirs are
 * in the order of reversed hashes; here the buckets are cut by the hash's high bits.)
 *
 * The marks of a stripe lie in segments. Segment k has those that come with the doubling to 2^k buckets: 2^(k-1) of them, in the
 * order of their ranges. The first four are in the stripe.
 *
 *   field            written by    rule                                    when the writer dies there
 *   --------------   -----------   -------------------------------------   ------------------------------------
 *   first fields     who made it   before anybody knows it                 nobody knows it
 *   ordinal          inserter      atomic: each insertion gets its own     a number is left out
 *   segment          gate owner    when its marks are zeroed; for good     `level` is as it was, the next one
 *                                                                          raises it
 *   level            gate owner    after its segment; only grows           as stored
 *   cursor           gate owner    which mark to put in next: a hint       as stored
 *   next             gate owner    of a mark or node in the list: one      a node is in the list or out; see
 *                                  store takes another one in or out       container/shard.h
 *   mark's hash      gate owner    first of its range; READY when it       the next one that needs it finds it in
 *                                  is in the list                          the list, or not
 *   node's hash,     gate owner    before it is in the list                the node is spare, and goes
 *   key, ordinal
 *   cell             gate owner    one store: see container/cell.h         old or new
 *
 *   T1  a stripe's list is in the order of its hashes, without a key twice; marks that are READY are in it
 *   T2  its count is how many nodes are in the list, while nobody has the gate
 */
#ifndef KIN_CONTAINER_TABLE_H
#define KIN_CONTAINER_TABLE_H

#include "container/shard.h"

#define KIN__STRIPES_DEFAULT 16
#define KIN__STRIPES_MAX 256
#define KIN__LEVEL_FIRST 3u /* 8 buckets, whose marks are in the stripe */
#define KIN__LEVEL_MOST 34u

struct kin__link {
    uint64_t next; /* address of the next link; 0: the end */
    uint64_t hash;
};
/* The two lowest bits of `hash`. A mark comes before the nodes of its range. */
#define KIN__MARK_READY UINT64_C(2)
#define KIN__NODE_BITS UINT64_C(3)

struct kin__node {
    struct kin__link link;
    uint64_t ordinal;
    uint64_t cell;
    uint64_t key; /* kin__form_key */
    unsigned char bytes[];
};

struct kin__stripe {
    _Alignas(64) struct kin__shard shard;
    _Atomic uint32_t level; /* 2^level buckets */
    uint32_t cursor;
    struct kin__link
        marks[1u << KIN__LEVEL_FIRST]; /* the list's first; then those of segments 1 to LEVEL_FIRST */
    uint64_t segment[KIN__LEVEL_MOST + 1 - KIN__LEVEL_FIRST];
};

struct kin__dict {
    struct kin__sync sync;
    uint64_t seed;
    double timeout;
    uint32_t stripes; /* a power of two */
    _Alignas(64) _Atomic uint64_t ordinal;
    struct kin__stripe stripe[];
};

struct kin__dict_options {
    const char *name;
    int stripes;
    double timeout;
};

/* `what` is the call, for errors. Each function begins by looking whether it is a table of that kind. */
struct kin__dict *kin__dict_new(const struct kin__dict_options *options, enum kin__object_magic magic,
                                const char *what);
int kin__dict_free(struct kin__dict *table, const char *what);

/* A key, and where it belongs. */
struct kin__place {
    struct kin__form key;
    uint64_t hash;
    struct kin__stripe *stripe;
};
int kin__place_make(struct kin__place *place, const struct kin__dict *table, const kin_any *key,
                    const char *what);

/* ---- changes (table.c) ------------------------------------------------------------------------- */

/* Under the gate of its stripe: where the key is, or would be. */
struct kin__found {
    uint64_t *at;           /* the word that leads to it */
    struct kin__node *node; /* NULL: it is not there */
};
struct kin__found kin__dict_find(struct kin__place *place);
struct kin__found kin__dict_find_ordinal(struct kin__place *place, uint64_t ordinal);

/* Under the gate. 0, or an error, and nothing changed. */
int kin__dict_insert(struct kin__dict *table, struct kin__place *place, struct kin__found found,
                     struct kin__value *value);
void kin__dict_remove(struct kin__place *place, struct kin__found found);

/* All nodes of all stripes, one by one. */
int kin__dict_clear(struct kin__dict *table, struct kin__call *call);

/* Whether there was no key at all, at one moment: kin__dict_length may have counted one stripe before another lost its last. */
int kin__dict_is_empty(struct kin__dict *table, struct kin__call *call, bool *empty);

/* ---- reading (table_read.c) -------------------------------------------------------------------- */

/* What is wanted of a node; keys and values that are not are NULL. */
struct kin__wanted {
    kin_any *key;
    kin_any *value;
    struct kin__outlet *outlet;
};

/* Copy a node's values, under the gate or while `watch` holds. */
enum kin__got kin__node_read(const struct kin__node *node, const struct kin__wanted *wanted,
                             const struct kin__version_watch *watch);

/* The key of `place`; or, if `ordinal` is not 0, the node of that hash and ordinal. 0, KIN_ENOTFOUND, KIN_ETOOLARGE, all without a
 * record; KIN_ETIMEDOUT with its. */
int kin__dict_read(const struct kin__dict *table, const struct kin__place *place, uint64_t ordinal,
                   const struct kin__wanted *wanted);

size_t kin__dict_length(const struct kin__dict *table);

/* Every node's name, in the order of insertion: what an iterator goes by. KIN_ENOMEM, KIN_ETIMEDOUT. */
struct kin__entry {
    uint64_t ordinal;
    uint64_t hash;
    struct kin__stripe *stripe;
};
int kin__dict_entries(const struct kin__dict *table, struct kin__entry **out, size_t *count);

/* Wait until a key is not `seen` (NULL: not there) any more; as kin_dict_wait_change. */
int kin__dict_wait(struct kin__dict *table, struct kin__place *place, const kin_any *seen, kin_any *out,
                   double timeout);

/* Whether T1, T2 and H1 hold, with all members at rest: 0, or KIN_EINVAL with a record that tells which does not. For tests. */
int kin__dict_check(const struct kin__dict *table);

/* ---- the marks --------------------------------------------------------------------------------- */

/* The first hash of a bucket, of 2^level. */
static inline uint64_t kin__bucket_start(uint64_t bucket, uint32_t level)
{
    return bucket << (64 - level);
}

static inline uint64_t kin__bucket_of(uint64_t hash, uint32_t level)
{
    return hash >> (64 - level);
}

/* Where its mark lies: the range begins where one began already when there were 2^k buckets, and not before. */
static inline struct kin__link *kin__mark_at(const struct kin__stripe *stripe, uint64_t bucket,
                                             uint32_t level)
{
    if (bucket == 0)
        return (struct kin__link *)&stripe->marks[0];
    uint32_t zeros = (uint32_t)__builtin_ctzll(bucket), k = level - zeros;
    uint64_t index = bucket >> (zeros + 1);
    if (k <= KIN__LEVEL_FIRST)
        return (struct kin__link *)&stripe->marks[(UINT64_C(1) << (k - 1)) + index];
    uint64_t segment = __atomic_load_n(&stripe->segment[k - KIN__LEVEL_FIRST - 1], __ATOMIC_RELAXED);
    return (struct kin__link *)(uintptr_t)segment + index;
}

static inline bool kin__mark_is_ready(const struct kin__link *mark)
{
    /* Acquire: partner is the release of who put it in, and wrote its next before. */
    return (__atomic_load_n(&mark->hash, __ATOMIC_ACQUIRE) & KIN__MARK_READY) != 0;
}

#endif
