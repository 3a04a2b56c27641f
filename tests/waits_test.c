/* waits_test.c - kin/waits.h: who waits for what. */
#include "sync_common.h"

#include "family/region.h"
#include "family/units.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define MOST 64

static kin_waiter waiters[MOST];

static size_t read_waiters(void)
{
    size_t count;
    ck_assert_int_eq(kin_waits_get(waiters, MOST, &count), 0);
    ck_assert_uint_le(count, MOST);
    return count;
}

/* Look until so many wait, so many of them in deadlocks. */
static void await_waiters(size_t count, size_t in_deadlocks)
{
    for (;;) {
        size_t found = read_waiters(), dead = 0;
        for (size_t i = 0; i < found; i++)
            dead += waiters[i].deadlock != 0;
        if (found == count && dead == in_deadlocks)
            return;
        usleep(500);
    }
}

static const kin_waiter *waiter_for(const char *name)
{
    for (size_t i = 0; i < MOST; i++)
        if (strcmp(waiters[i].name, name) == 0)
            return &waiters[i];
    ck_abort_msg("nobody waits for \"%s\"", name);
}

static void read_report(char *text, size_t size)
{
    int fd = memfd_create("report", MFD_CLOEXEC);
    ck_assert_int_eq(kin_report_waits(fd), 0);
    ssize_t length = pread(fd, text, size - 1, 0);
    ck_assert_int_gt(length, 0);
    text[length] = '\0';
    close(fd);
}

static kin_process *start_as(const char *name, kin_process_fn fn, void *arg)
{
    kin_process *process =
        kin_process_start_shared(fn, arg, KIN_PROCESS_OPTIONS(.name = name, .start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

static void end(kin_process *process)
{
    ck_assert_int_eq(kin_process_kill(process), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
}

/* ---- each kind ------------------------------------------------------------------------------- */

struct kinds {
    kin_lock *lock;
    kin_rlock *rlock;
    kin_semaphore *semaphore, *owned;
    kin_condition *condition;
    kin_event *event;
    kin_barrier *barrier;
    kin_queue *items, *room;
};
static struct kinds *all;

static int for_lock(void *arg)
{
    struct kinds *kinds = arg;
    return kin_lock_acquire(kinds->lock, KIN_FOREVER);
}

static int for_rlock(void *arg)
{
    struct kinds *kinds = arg;
    return kin_rlock_acquire(kinds->rlock, KIN_FOREVER);
}

static int for_semaphore(void *arg)
{
    struct kinds *kinds = arg;
    return kin_semaphore_acquire(kinds->semaphore, KIN_FOREVER);
}

static int for_owned(void *arg)
{
    struct kinds *kinds = arg;
    return kin_semaphore_acquire(kinds->owned, KIN_FOREVER);
}

static int for_condition(void *arg)
{
    struct kinds *kinds = arg;
    return kin_condition_acquire(kinds->condition, KIN_FOREVER) ||
           kin_condition_wait(kinds->condition, KIN_FOREVER);
}

static int for_event(void *arg)
{
    struct kinds *kinds = arg;
    return kin_event_wait(kinds->event, KIN_FOREVER);
}

static int for_barrier(void *arg)
{
    struct kinds *kinds = arg;
    return kin_barrier_wait(kinds->barrier, KIN_FOREVER, NULL);
}

static int for_items(void *arg)
{
    struct kinds *kinds = arg;
    int item;
    return kin_queue_get(kinds->items, &item, sizeof item, NULL, KIN_FOREVER);
}

static int for_room(void *arg)
{
    struct kinds *kinds = arg;
    int item = 1;
    return kin_queue_put(kinds->room, &item, sizeof item, KIN_FOREVER);
}

static void all_kinds_of_waits_are_told(void)
{
    static const kin_process_fn fns[] = {for_lock,  for_rlock,   for_semaphore, for_owned, for_condition,
                                         for_event, for_barrier, for_items,     for_room};
    enum { COUNT = sizeof fns / sizeof *fns };
    kin_process *processes[COUNT];
    char name[16], text[8000];
    int item = 0;
    test_init();
    all = kin_calloc(1, sizeof *all);
    all->lock = kin_lock_new(KIN_LOCK_OPTIONS(.name = "l"));
    all->rlock = kin_rlock_new(KIN_RLOCK_OPTIONS(.name = "r"));
    all->semaphore = kin_semaphore_new(0, KIN_SEMAPHORE_OPTIONS(.name = "s"));
    all->owned = kin_semaphore_new(1, KIN_SEMAPHORE_OPTIONS(.name = "o", .owned = true));
    all->condition = kin_condition_new(NULL, KIN_CONDITION_OPTIONS(.name = "c"));
    all->event = kin_event_new(KIN_EVENT_OPTIONS(.name = "e"));
    all->barrier = kin_barrier_new(3, KIN_BARRIER_OPTIONS(.name = "b"));
    all->items = kin_queue_new(NULL);
    all->room = kin_queue_new(KIN_QUEUE_OPTIONS(.maxsize = 1));
    ck_assert_int_eq(kin_lock_acquire(all->lock, 0), 0);
    ck_assert_int_eq(kin_rlock_acquire(all->rlock, 0), 0);
    ck_assert_int_eq(kin_semaphore_acquire(all->owned, 0), 0);
    ck_assert_int_eq(kin_queue_put(all->room, &item, sizeof item, 0), 0);
    ck_assert_uint_eq(read_waiters(), 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "w%d", i);
        processes[i] = start_as(name, fns[i], all);
    }
    do
        await_waiters(COUNT, 0); /* queues' naps have gaps, and a waiter may be seen twice in short */
    while (read_waiters() != COUNT);

    const kin_waiter *waiter = waiter_for("l");
    ck_assert_str_eq(waiter->kind, "lock");
    ck_assert_str_eq(waiter->process, "w0");
    ck_assert_int_eq(waiter->pid, kin_process_pid(processes[0]));
    ck_assert_ptr_eq(waiter->object, all->lock);
    ck_assert_int_eq(waiter->holders, 1);
    ck_assert_int_eq(waiter->holder_pid, getpid());
    ck_assert(!waiter->stuck && waiter->seconds >= 0 && waiter->seconds < 60);
    ck_assert_str_eq(waiter_for("r")->kind, "rlock");
    ck_assert_int_eq(waiter_for("r")->holder_pid, getpid());
    ck_assert_int_eq(waiter_for("s")->holders, 0);
    ck_assert_int_eq(waiter_for("o")->holder_pid, getpid());
    ck_assert_str_eq(waiter_for("c")->what, "a notification");
    ck_assert_str_eq(waiter_for("e")->kind, "event");
    ck_assert_str_eq(waiter_for("b")->what, "1 of 3 have come");
    int messages = 0, rooms = 0;
    for (int i = 0; i < COUNT; i++) {
        messages += strcmp(waiters[i].what, "a message") == 0 && waiters[i].object == all->items;
        rooms += strcmp(waiters[i].what, "room") == 0 && waiters[i].object == all->room;
    }
    ck_assert_int_eq(messages, 1);
    ck_assert_int_eq(rooms, 1);
    read_report(text, sizeof text);
    ck_assert_msg(strstr(text, "process \"w0\" (pid ") &&
                      strstr(text, ": for lock \"l\", held by process \"") &&
                      strstr(text, ": for barrier \"b\" (1 of 3 have come), since "),
                  "%s", text);
    for (int i = 0; i < COUNT; i++)
        end(processes[i]);
    while (read_waiters())
        usleep(500);
}

static void is_described(const void *object, const char *before, const char *behind)
{
    char text[KIN_DESCRIPTION], expected[KIN_DESCRIPTION];
    snprintf(expected, sizeof expected, "%s%p%s", before, object, behind);
    ck_assert_str_eq(kin_describe(object, text, sizeof text), expected);
}

static void objects_of_all_kinds_are_described(void)
{
    char text[300] = "";
    kin_lock *lock = NULL;
    is_described(&text, "", ", which is no object of the heap");
    test_init();
    is_described(&text, "", ", which is no object of the heap");
    ck_assert_ptr_nonnull(strstr(kin_describe(NULL, text, sizeof text), ", which is no object of the heap"));
    lock = kin_lock_new(KIN_LOCK_OPTIONS(.name = "l"));
    is_described(lock, "lock \"l\" at ", ", free");
    ck_assert_int_eq(kin_lock_acquire(lock, 0), 0);
    is_described(lock, "lock \"l\" at ", ", held by this thread of this process");
    ck_assert_str_eq(kin_describe(lock, text, 7), "lock \"");
    ck_assert_int_eq(kin_lock_release(lock), 0);
    kin_semaphore *semaphore = kin_semaphore_new(2, NULL);
    is_described(semaphore, "semaphore at ", ", value 2");
    kin_semaphore *owned = kin_semaphore_new(3, KIN_SEMAPHORE_OPTIONS(.owned = true, .name = "o"));
    is_described(owned, "semaphore \"o\" at ", ", value 3");
    ck_assert_int_eq(kin_semaphore_free(owned), 0);
    is_described(owned, "", ", which is no object of the heap");
    is_described(kin__region_at(KIN__HEADER_END), "",
                 ", which is no object of the heap"); /* a guard begins there */
    is_described(kin__region_at(kin__region->size / 2), "", ", which is no object of the heap");
    kin_dict *dict = kin_dict_new(KIN_DICT_OPTIONS(.name = "d"));
    is_described(dict, "dict \"d\" at ", "");
    ck_assert_int_eq(kin_dict_free(dict), 0);
    kin_barrier *barrier = kin_barrier_new(3, NULL);
    is_described(barrier, "barrier at ", ", 0 of 3 have come");
    ck_assert_int_eq(kin_barrier_abort(barrier), 0);
    is_described(barrier, "barrier at ", ", broken");
    kin_condition *condition = kin_condition_new(NULL, KIN_CONDITION_OPTIONS(.name = "c"));
    is_described(condition, "condition \"c\" at ", ", 0 wait");
    kin_value *value = KIN_VALUE(int, 1, KIN_VALUE_OPTIONS(.name = "v"));
    is_described(value, "value \"v\" at ", "");
    kin_queue *queue = kin_queue_new(NULL);
    is_described(queue, "queue at ", ", 0 messages");
    ck_assert_int_eq(kin_queue_put(queue, "x", 1, 0), 0);
    is_described(queue, "queue at ", ", 1 message");
    ck_assert_int_eq(kin_queue_close(queue), 0);
    is_described(queue, "queue at ", ", 1 message, closed");
    kin_broadcast *broadcast = kin_broadcast_new(KIN_BROADCAST_OPTIONS(.name = "b"));
    kin_reader *reader = kin_broadcast_join(broadcast, 0);
    is_described(broadcast, "broadcast \"b\" at ", ", 1 reader");
    ck_assert_int_eq(kin_reader_leave(reader), 0);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .name = "p"));
    is_described(pool, "pool \"p\" at ", ", 1 worker");
    kin_pool_free(pool);
    all = kin_calloc(1, sizeof *all);
    all->event = kin_event_new(NULL);
    kin_process *process = start_as("w", for_event, all);
    int pid = kin_process_pid(process);
    snprintf(text, sizeof text, ", pid %d", pid);
    is_described(process, "process \"w\" at ", text);
    ck_assert_int_eq(kin_event_set(all->event), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    snprintf(text, sizeof text, ", pid %d, has ended", pid);
    is_described(process, "process \"w\" at ", text);
    kin_process_free(process);
    ck_assert_int_eq(kin_lock_free(lock), 0);
    is_described(lock, "", ", which is no object of the heap");
}

/* ---- deadlocks ------------------------------------------------------------------------------- */

struct circle {
    kin_lock *lock[3];
    int count;
    _Atomic uint32_t started, holding;
};

static int take(kin_lock *lock)
{
    int error = kin_lock_acquire(lock, KIN_FOREVER);
    return error && error != KIN_EOWNERDIED;
}

static int take_two(void *arg)
{
    struct circle *circle = arg;
    int me = (int)atomic_fetch_add(&circle->started, 1), count = circle->count;
    kin_lock **locks = circle->lock;
    child_assert(kin_lock_acquire(locks[me], KIN_FOREVER) == 0);
    atomic_fetch_add(&circle->holding, 1);
    await(&circle->holding, (uint32_t)count);
    return take(locks[(me + 1) % count]);
}

static int wait_for_the_first(void *arg)
{
    struct circle *circle = arg;
    return take(circle->lock[0]);
}

static void deadlock_of_several_is_told(void)
{
    char text[8000];
    test_init();
    for (int count = 2; count <= 3; count++) {
        struct circle *circle = kin_calloc(1, sizeof *circle);
        kin_process *processes[4];
        static const char *const names[] = {"x", "y", "z"};
        circle->count = count;
        for (int i = 0; i < count; i++)
            circle->lock[i] = kin_lock_new(KIN_LOCK_OPTIONS(.name = names[i]));
        for (int i = 0; i < count; i++)
            processes[i] = start_as(names[i], take_two, circle);
        await_waiters((size_t)count, (size_t)count);
        processes[count] = start_as("outside", wait_for_the_first, circle);
        await_waiters((size_t)count + 1, (size_t)count);
        int at = 0, steps = 0;
        while (!waiters[at].deadlock)
            at++;
        for (int i = at; steps == 0 || i != at; i = waiters[i].next, steps++) {
            ck_assert_int_eq(waiters[i].deadlock, 1);
            ck_assert_int_eq(waiters[i].holder_pid, waiters[waiters[i].next].pid);
        }
        ck_assert_int_eq(steps, count);
        for (int i = 0; i <= count; i++)
            ck_assert(waiters[i].stuck);
        read_report(text, sizeof text);
        ck_assert_msg(strstr(text, "deadlock 1: process \"") && strstr(text, "; it waits for a deadlock") &&
                          strstr(text, "-> the first\n") && !strstr(text, "deadlock 2"),
                      "%s", text);
        ck_assert_int_eq(kin_process_kill(processes[0]), 0); /* one dies, all others go on */
        for (int i = 0; i <= count; i++) {
            ck_assert_int_eq(kin_process_join(processes[i], TOP), 0);
            kin_process_free(processes[i]);
        }
        ck_assert_uint_eq(read_waiters(), 0);
        for (int i = 0; i < count; i++)
            ck_assert_int_eq(kin_lock_free(circle->lock[i]), 0);
        kin_free(circle);
    }
}

static int hold_it(void *arg)
{
    struct world *world = arg;
    child_assert(kin_lock_acquire(world->lock, 0) == 0);
    atomic_store(&world->step, 1);
    pause();
    return 0;
}

static int wait_for_it(void *arg)
{
    struct world *world = arg;
    return take(world->lock);
}

static void stopped_holder_is_told(void)
{
    char text[8000];
    struct world *world = new_world();
    world->lock = kin_lock_new(KIN_LOCK_OPTIONS(.name = "l"));
    kin_process *holder = start_as("holder", hold_it, world);
    await(&world->step, 1);
    kin_process *waiter = start_as("waiter", wait_for_it, world);
    await_waiters(1, 0);
    ck_assert_int_eq(kill(kin_process_pid(holder), SIGSTOP), 0);
    do
        read_report(text, sizeof text);
    while (!strstr(text, "held by process \"holder\" (pid ") || !strstr(text, ", stopped)"));
    end(holder);
    ck_assert_int_eq(kin_process_join(waiter, TOP), 0);
    kin_process_free(waiter);
    ck_assert_int_eq(kin_lock_free(world->lock), 0);
    kin_free(world);
}

/* By members that are killed all the while: nobody is ever told to be in a deadlock. */
static int take_one_by_one(void *arg)
{
    struct circle *circle = arg;
    for (;;) {
        for (int i = 0; i < 3; i++) { /* one at a time: who waits holds nothing */
            child_assert(take(circle->lock[i]) == 0);
            usleep(20);
            (void)kin_lock_release(circle->lock[i]);
        }
    }
    return 0;
}

static void what_is_no_deadlock_is_never_told_as_one(void)
{
    test_init();
    struct circle *circle = kin_calloc(1, sizeof *circle);
    kin_process *processes[4];
    for (int i = 0; i < 3; i++)
        circle->lock[i] = kin_lock_new(NULL);
    for (int i = 0; i < 4; i++)
        processes[i] = start_as("taker", take_one_by_one, circle);
    for (int turn = 0; turn < (test_long() ? 2000 : 100); turn++) {
        for (int look = 0; look < 20; look++)
            for (size_t i = 0, count = read_waiters(); i < count; i++)
                ck_assert_int_eq(waiters[i].deadlock, 0);
        end(processes[turn % 4]);
        processes[turn % 4] = start_as("taker", take_one_by_one, circle);
    }
    for (int i = 0; i < 4; i++)
        end(processes[i]);
    kin_free(circle);
}

static void report_needs_a_family(void)
{
    size_t count;
    ck_assert_int_eq(kin_waits_get(NULL, 0, &count), KIN_ENOINIT);
    ck_assert_int_eq(kin_report_waits(2), KIN_ENOINIT);
    test_init();
    ck_assert_int_eq(kin_waits_get(NULL, 1, &count), KIN_EINVAL);
    ck_assert_int_eq(kin_report_waits(-1), KIN_ESYSTEM);
}

/* ---- processes ------------------------------------------------------------------------------- */

static int join_one_that_waits(void *arg)
{
    struct kinds *kinds = arg;
    kin_process *child = kin_process_start_shared(for_lock, kinds, KIN_PROCESS_OPTIONS(.name = "sleeper"));
    if (!child || kin_process_join(child, KIN_FOREVER))
        return 1;
    kin_process_free(child);
    return 0;
}

static void join_of_a_process_is_told(void)
{
    test_init();
    char text[4000];
    all = kin_calloc(1, sizeof *all);
    all->lock = kin_lock_new(KIN_LOCK_OPTIONS(.name = "lock"));
    ck_assert_int_eq(kin_lock_acquire(all->lock, 0), 0);
    kin_process *process = start_as("joiner", join_one_that_waits, all);
    await_waiters(2, 0);
    const kin_waiter *waiter = waiter_for("sleeper");
    ck_assert_str_eq(waiter->kind, "process");
    ck_assert_str_eq(waiter->what, "its end");
    ck_assert_str_eq(waiter->process, "joiner");
    ck_assert_str_eq(waiter->holder, "sleeper");
    ck_assert_int_eq(waiter->pid, kin_process_pid(process));
    ck_assert_int_eq(waiter->holder_pid, waiter_for("lock")->pid);
    read_report(text, sizeof text);
    ck_assert_msg(strstr(text, ": for process \"sleeper\" (its end), since ") != NULL, "%s", text);
    ck_assert_int_eq(kin_lock_release(all->lock), 0);
    join(process);
    ck_assert_uint_eq(read_waiters(), 0);
    ck_assert_int_eq(kin_lock_free(all->lock), 0);
    kin_free(all);
}

static int hold_and_join(void *arg)
{
    struct kinds *kinds = arg;
    if (kin_lock_acquire(kinds->lock, KIN_FOREVER))
        return 1;
    return join_one_that_waits(kinds);
}

static void process_that_joins_one_that_waits_for_it_is_a_deadlock(void)
{
    test_init();
    char text[4000];
    all = kin_calloc(1, sizeof *all);
    all->lock = kin_lock_new(KIN_LOCK_OPTIONS(.name = "lock"));
    kin_process *process = start_as("holder", hold_and_join, all);
    await_waiters(2, 2);
    read_report(text, sizeof text);
    ck_assert_msg(strstr(text, "deadlock 1: ") && strstr(text, "-> process \"sleeper\" -> ") &&
                      strstr(text, "-> lock \"lock\" -> "),
                  "%s", text);
    end(process); /* and its child goes with it */
    ck_assert_int_eq(kin_lock_acquire(all->lock, TOP), KIN_EOWNERDIED);
    ck_assert_int_eq(kin_lock_release(all->lock), 0);
    while (kin_lock_free(all->lock)) /* until the child is gone */
        usleep(500);
    kin_free(all);
}

/* ---- what lies in no heap, and pools ---------------------------------------------------------- */

static int until_set(kin_task *task, size_t index, void *context)
{
    (void)task, (void)index;
    return kin_event_wait(context, KIN_FOREVER);
}

static int until_set_alone(kin_task *task, const void *in, void *out)
{
    (void)task, (void)out;
    return kin_event_wait(*(kin_event *const *)in, KIN_FOREVER);
}

static kin_pool *pool_named(const char *name)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1, .name = name));
    child_assert(pool);
    return pool;
}

static kin_result *submit(kin_pool *pool, kin_event *event)
{
    kin_result *result =
        kin_pool_apply_async(pool, until_set_alone, KIN_APPLY_ARGS(.in = &event, .in_size = sizeof event));
    child_assert(result);
    return result;
}

static int for_map(void *arg)
{
    struct kinds *kinds = arg;
    kin_pool *pool = pool_named("mapper");
    int error = kin_pool_for(pool, until_set, KIN_MAP_ARGS(.context = kinds->event, .count = 2));
    kin_pool_free(pool);
    return error;
}

static int for_result(void *arg)
{
    struct kinds *kinds = arg;
    kin_pool *pool = pool_named("asker");
    kin_result *result = submit(pool, kinds->event);
    int error = kin_result_wait(result, KIN_FOREVER);
    kin_result_free(result);
    kin_pool_free(pool);
    return error;
}

static int for_results(void *arg)
{
    struct kinds *kinds = arg;
    kin_pool *pool = pool_named("collector");
    kin_result *results[2] = {submit(pool, kinds->event), submit(pool, kinds->event)};
    int error = kin_results_wait(results, 2, KIN_WAIT_ALL, KIN_FOREVER, NULL);
    for (int i = 0; i < 2; i++)
        kin_result_free(results[i]);
    kin_pool_free(pool);
    return error;
}

static int for_finish(void *arg)
{
    struct kinds *kinds = arg;
    kin_pool *pool = pool_named("finisher");
    kin_result *result = submit(pool, kinds->event);
    int error = kin_pool_finish(pool, KIN_FOREVER);
    kin_result_free(result);
    kin_pool_free(pool);
    return error;
}

/* These end with the process. */
static int for_message(void *arg)
{
    (void)arg;
    kin_connection *ends[2];
    char byte;
    child_assert(kin_pipe(ends, true) == 0);
    return kin_connection_recv(ends[0], &byte, 1, NULL, KIN_FOREVER);
}

static int for_client(void *arg)
{
    (void)arg;
    kin_listener *listener = kin_listener_new(NULL, NULL);
    child_assert(listener);
    return kin_listener_accept(listener, KIN_FOREVER) == NULL;
}

static int for_several(void *arg)
{
    (void)arg;
    kin_connection *one[2], *other[2];
    child_assert(kin_pipe(one, true) == 0 && kin_pipe(other, true) == 0);
    kin_waitable items[] = {{.object = one[0]}, {.object = other[1]}};
    return kin_wait(items, 2, NULL, KIN_FOREVER);
}

static const kin_waiter *waiter_called(const char *process)
{
    for (size_t i = 0; i < MOST; i++)
        if (strcmp(waiters[i].process, process) == 0)
            return &waiters[i];
    return NULL;
}

static void waits_for_pools_and_in_the_kernel_are_told(void)
{
    static const struct {
        kin_process_fn fn;
        const char *process, *kind, *name, *what;
    } expected[] = {
        {for_map, "maps", "pool", "mapper", "the items of a map"},
        {for_result, "asks", "pool", "asker", "a result"},
        {for_results, "collects", "pool", "collector", "some of its results"},
        {for_finish, "finishes", "pool", "finisher", "all its tasks"},
        {for_message, "receives", "connection", "", "a message, descriptor "},
        {for_client, "accepts", "listener", "", "a client, descriptor "},
        {for_several, "selects", "several things", "", "one of 2"},
    };
    enum { COUNT = sizeof expected / sizeof *expected };
    kin_process *processes[COUNT];
    char text[8000];
    test_init();
    all = kin_calloc(1, sizeof *all);
    all->event = kin_event_new(KIN_EVENT_OPTIONS(.name = "e"));
    for (int i = 0; i < COUNT; i++)
        processes[i] = start_as(expected[i].process, expected[i].fn, all);
    for (int i = 0; i < COUNT; i++) {
        const kin_waiter *waiter;
        memset(waiters, 0, sizeof waiters);
        while (!(read_waiters(), waiter = waiter_called(expected[i].process)) || waiter->seconds < 0.15)
            usleep(500);
        ck_assert_str_eq(waiter->kind, expected[i].kind);
        ck_assert_str_eq(waiter->name, expected[i].name);
        ck_assert_msg(strncmp(waiter->what, expected[i].what, strlen(expected[i].what)) == 0, "%s",
                      waiter->what);
        ck_assert(!waiter->stuck && waiter->holders == 0 && waiter->pid == kin_process_pid(processes[i]));
    }
    read_report(text, sizeof text);
    ck_assert_msg(strstr(text, ": for pool \"mapper\" (the items of a map), since ") &&
                      strstr(text, ": for connection (a message, descriptor ") &&
                      strstr(text, ": for several things (one of 2), since "),
                  "%s", text);
    ck_assert_int_eq(kin_event_set(all->event), 0);
    for (int i = 0; i < COUNT; i++)
        if (i < 4)
            join(processes[i]);
        else
            end(processes[i]);
    while (read_waiters())
        usleep(500);
    ck_assert_int_eq(kin_event_free(all->event), 0);
    kin_free(all);
}

static const struct test tests[] = {
    {"report_needs_a_family", report_needs_a_family, 5, 0},
    {"all_kinds_of_waits_are_told", all_kinds_of_waits_are_told, 20, TEST_EACH_METHOD},
    {"objects_of_all_kinds_are_described", objects_of_all_kinds_are_described, 20, TEST_EACH_METHOD},
    {"deadlock_of_several_is_told", deadlock_of_several_is_told, 20, TEST_EACH_METHOD},
    {"stopped_holder_is_told", stopped_holder_is_told, 20, 0},
    {"what_is_no_deadlock_is_never_told_as_one", what_is_no_deadlock_is_never_told_as_one, 300, 0},
    {"waits_for_pools_and_in_the_kernel_are_told", waits_for_pools_and_in_the_kernel_are_told, 20,
     TEST_EACH_METHOD},
    {"join_of_a_process_is_told", join_of_a_process_is_told, 30, TEST_EACH_METHOD},
    {"process_that_joins_one_that_waits_for_it_is_a_deadlock",
     process_that_joins_one_that_waits_for_it_is_a_deadlock, 30, TEST_EACH_METHOD},
};
TEST_MAIN("waits", tests)
