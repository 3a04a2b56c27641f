/*
 * family/sealed_heap.c - kin_malloc and its like in a sealed member: blocks of its own arena, in bins by size.
 *
 * Nothing of this is anybody else's: the bins are private, and what stands in front of the blocks can be overwritten by
 * the process that they belong to, and by no other. So it is checked, and not relied on more than its own end is worth.
 */
#include "family/sealed.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "family/arena.h"
#include "family/span.h"

#include <pthread.h>
#include <string.h>

#define MADE 0x6c616573u  /* "seal" */
#define FREED 0x64656572u /* "reed" */
#define BINS (KIN__CLASSES + 64u)

/* In front of each block. */
struct head {
    uint32_t state;
    uint32_t bin;
    char *raw; /* what the arena gave, of bin_size(bin) bytes; in what is in a bin: the next there */
};
_Static_assert(sizeof(struct head) == 16, "blocks stay aligned to 16");

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static kin_arena *arena;
static char *bins[BINS]; /* freed ones; each leads to the next */

void kin__sealed_heap_forked(void)
{
    kin__mutex_forked(&mutex);
    arena = NULL; /* the parent's */
    memset(bins, 0, sizeof bins);
}

static unsigned bin_of(size_t size)
{
    return size <= KIN__SMALL_MAX ? kin__class_of(size)
                                  : KIN__CLASSES + 64u - (unsigned)__builtin_clzll(size - 1);
}

static size_t bin_size(unsigned bin)
{
    return bin < KIN__CLASSES ? kin__classes[bin].size : (size_t)1 << (bin - KIN__CLASSES);
}

static char *take(unsigned bin)
{
    char *raw = bins[bin];
    if (raw) {
        bins[bin] = ((struct head *)(void *)raw)->raw;
        return raw;
    }
    if (!arena)
        arena = kin_arena_new();
    return arena ? kin_arena_malloc(arena, bin_size(bin)) : NULL;
}

void *kin__sealed_malloc(size_t size, size_t alignment)
{
    size_t needed = size + sizeof(struct head) + (alignment > 16 ? alignment : 0);
    if (size > kin__region_size || needed > kin__region_size) {
        kin__fail(KIN_ENOMEM, "cannot allocate %zu bytes of shared memory: the region has %zu", size,
                  (size_t)kin__region_size);
        return NULL;
    }
    unsigned bin = bin_of(needed);
    pthread_mutex_lock(&mutex);
    char *raw = take(bin);
    pthread_mutex_unlock(&mutex);
    if (!raw)
        return NULL;
    uintptr_t at = (uintptr_t)raw + sizeof(struct head);
    char *block = raw + sizeof(struct head) + (-at & (alignment - 1));
    ((struct head *)(void *)block)[-1] = (struct head){.state = MADE, .bin = bin, .raw = raw};
    return block;
}

/* What stands in front of a block in use; NULL with the record set. */
static struct head *head_of(const void *block, const char *what)
{
    struct head *head = (struct head *)block - 1;
    if (!kin__region_holds(block) || (uintptr_t)block & 15 || !kin__window_is_open(head)) {
        kin__fail(KIN_EPERM, "cannot %s %p: this process is sealed, and did not allocate it", what, block);
        return NULL;
    }
    bool freed = head->state == FREED;
    if (freed || head->state != MADE || head->bin >= BINS || !kin__window_is_open(head->raw)) {
        kin__fail(KIN_EINVAL, "cannot %s %p: it is %s", what, block,
                  freed ? "free already" : "not the start of a block");
        return NULL;
    }
    return head;
}

void kin__sealed_free(void *block)
{
    pthread_mutex_lock(&mutex);
    struct head *head = head_of(block, "free");
    if (head) {
        struct head *first = (struct head *)(void *)head->raw;
        unsigned bin = head->bin;
        head->state = FREED;
        *first = (struct head){.state = FREED, .bin = bin, .raw = bins[bin]};
        bins[bin] = (char *)first;
    }
    pthread_mutex_unlock(&mutex);
    if (!head)
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
}

size_t kin__sealed_size(const void *block)
{
    const struct head *head = head_of(block, "use");
    return head ? bin_size(head->bin) - (size_t)((const char *)block - head->raw) : 0;
}

void *kin__sealed_realloc(void *block, size_t size)
{
    size_t has = kin__sealed_size(block);
    if (!has || size <= has)
        return has ? block : NULL;
    void *moved = kin__sealed_malloc(size, 16);
    if (moved) {
        memcpy(moved, block, has);
        kin__sealed_free(block);
    }
    return moved;
}
