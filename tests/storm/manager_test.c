/*
 * manager_test.c - many clients of one manager, half of them waiting in it, and half of them killed: nothing that they held is left, nobody
 * hangs, and the server's memory is what it was.
 */
#include "../manager_common.h"

#include <signal.h>
#include <stdlib.h>

#define KEPT 4000 /* KiB: tables of the most that there was, and code that has run once */

struct arena {
    kin_manager *manager;
    kin_proxy *queue, *lock, *semaphore, *dict;
    _Atomic int ready;
};

static int work(struct arena *arena, unsigned kind, int number)
{
    kin_any value;
    int error = 0;
    switch (kind % 4) {
    case 0: /* waits for a message */
        error = kin_proxy_take(arena->queue, &value, KIN_FOREVER);
        return error || value.type == KIN_ANY_NULL ? 1 : 0;
    case 1: /* one at a time */
        error = kin_proxy_acquire(arena->lock, KIN_FOREVER);
        if (error && error != KIN_EOWNERDIED)
            return -1;
        error = kin_proxy_add(arena->dict, kin_any_text("under the lock"), kin_any_int(1), NULL);
        return error || kin_proxy_release(arena->lock) ? -1 : 0;
    case 2: /* three at a time */
        if (kin_proxy_acquire(arena->semaphore, KIN_FOREVER))
            return -1;
        error = kin_proxy_set(arena->dict, kin_any_int(number), kin_any_text("was here"));
        return error || kin_proxy_release(arena->semaphore) ? -1 : 0;
    default: { /* objects of its own, and a message */
        kin_proxy *mine = kin_proxy_new(arena->manager, "list", NULL, 0);
        error = mine ? kin_proxy_append(mine, kin_any_int(number)) : -1;
        error = error ? error : kin_proxy_set(arena->dict, kin_any_int(number), kin_any_object(mine));
        error = error ? error : kin_proxy_delete(arena->dict, kin_any_int(number));
        kin_proxy_free(mine);
        return error ? -1 : kin_proxy_put(arena->queue, kin_any_int(number), KIN_FOREVER) ? -1 : 0;
    }
    }
}

static int client(void *arg)
{
    struct arena *arena = arg;
    int number = kin_process_pid(kin_current_process());
    unsigned kind = (unsigned)number;
    kin_proxy *kept = kin_proxy_new(arena->manager, "dict", NULL, 0); /* until its end */
    child_assert(kept != NULL);
    atomic_fetch_add(&arena->ready, 1);
    for (;; kind += 3) {
        int done = work(arena, kind, number);
        child_assert(done >= 0);
        if (done) /* it was told to end */
            return 0;
    }
}

static void open_arena(struct arena *arena)
{
    arena->queue = make(arena->manager, "Queue");
    arena->lock = make(arena->manager, "Lock");
    arena->dict = make(arena->manager, "dict");
    arena->semaphore = kin_proxy_new(arena->manager, "Semaphore", (kin_any[]){kin_any_int(3)}, 1);
    ck_assert_ptr_nonnull(arena->semaphore);
}

static void close_arena(struct arena *arena)
{
    kin_proxy_free(arena->queue);
    kin_proxy_free(arena->lock);
    kin_proxy_free(arena->dict);
    kin_proxy_free(arena->semaphore);
}

static void kill_half(kin_process **clients, int count)
{
    srand(1);
    for (int killed = 0; killed < count / 2;) {
        int i = rand() % count;
        if (!clients[i])
            continue;
        OK(kin_process_kill(clients[i]));
        kin_process_free(clients[i]);
        clients[i] = NULL;
        if (++killed % 8 == 0)
            poll(NULL, 0, 1 + rand() % 3);
    }
}

static size_t blocks_in_use(void)
{
    kin_heap_stats stats = {.size = sizeof stats};
    OK(kin_heap_get_stats(&stats));
    return stats.small_blocks + stats.large_blocks;
}

/* KiB of private memory of the server's process. */
static long private_memory(kin_manager *manager)
{
    char path[64], line[256];
    long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", kin_process_pid(kin_manager_process(manager)));
    FILE *status = fopen(path, "re");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "RssAnon: %ld kB", &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib;
}

static void killed_clients_leave_nothing(void)
{
    static kin_process *clients[1000];
    int count = test_long() ? 1000 : 60;
    kin_manager_counts counts;
    kin_manager *manager = start_manager(NULL);
    struct arena *arena = kin_calloc(1, sizeof *arena);
    ck_assert_ptr_nonnull(arena);
    arena->manager = manager;
    open_arena(arena); /* the first time: what this process keeps for proxies stays */
    close_arena(arena);
    size_t blocks = blocks_in_use();
    long memory = private_memory(manager);
    open_arena(arena);
    for (int i = 0; i < count; i++) {
        clients[i] = kin_process_start_shared(client, arena, NULL);
        ck_assert_msg(clients[i] != NULL, "%s", kin_error_message());
    }
    while (atomic_load(&arena->ready) < count && test_time_left() > 5)
        poll(NULL, 0, 5);
    ck_assert_int_eq(atomic_load(&arena->ready), count);
    OK(kin_manager_counts_get(manager, &counts));
    printf("# %zu clients, %zu of them waiting\n", counts.clients - 1, counts.waiting);
    kill_half(clients, count);
    do { /* who is left, and the messages for them, until all have been told to end */
        OK(kin_manager_counts_get(manager, &counts));
        poll(NULL, 0, 1);
    } while (counts.clients > (size_t)(count - count / 2) + 1 && test_time_left() > 5);
    for (int i = 0; i < count - count / 2; i++)
        OK(kin_proxy_put(arena->queue, kin_any_null(), 0));
    for (int i = 0; i < count; i++)
        if (clients[i])
            join_child(clients[i]);
    close_arena(arena);
    expect_nothing_left(manager);
    OK(kin_manager_counts_get(manager, &counts));
    long left_memory = private_memory(manager);
    printf("# %zu calls; the server's private memory was %ld KiB, and is %ld\n", counts.calls, memory,
           left_memory);
    ck_assert_int_lt(left_memory, memory + KEPT);
    size_t left = blocks_in_use();
    ck_assert_msg(left == blocks, "%zu blocks were in use, and %zu are", blocks, left);
    kin_manager_free(manager);
    kin_free(arena);
}

static const struct test tests[] = {
    /* A family has 1,024 members at most, and each start has its cost: so long. */
    {"killed_clients_leave_nothing", killed_clients_leave_nothing, 240, TEST_NOT_VALGRIND},
};

TEST_MAIN("storm_manager", tests)
