/* manager_common.h - what tests of managers share. */
#ifndef KIN_TESTS_MANAGER_COMMON_H
#define KIN_TESTS_MANAGER_COMMON_H

#include "harness.h"

#include <kin.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, kin_error_message())
#define FAILS(code, text, call)                                                          \
    do {                                                                                 \
        ck_assert_int_eq((call), (code));                                                \
        ck_assert_msg(strstr(kin_error_message(), (text)) != NULL, "%s says: %s", #call, \
                      kin_error_message());                                              \
    } while (0)

static inline kin_manager *start_manager(const kin_manager_options *options)
{
    test_init();
    kin_manager *manager = kin_manager_start(options);
    ck_assert_msg(manager != NULL, "%s", kin_error_message());
    return manager;
}

static inline kin_proxy *make(kin_manager *manager, const char *type)
{
    kin_proxy *proxy = kin_proxy_new(manager, type, NULL, 0);
    ck_assert_msg(proxy != NULL, "%s", kin_error_message());
    return proxy;
}

/* What a method without arguments answers: true or false. */
static inline bool truth_of(kin_proxy *proxy, const char *method)
{
    kin_any value;
    OK(kin_proxy_call(proxy, method, NULL, 0, &value));
    ck_assert_int_eq(value.type, KIN_ANY_BOOL);
    return value.truth;
}

/* Objects, references, locks and waiting calls: none, as soon as the server has seen who is dead. */
static inline void expect_nothing_left(kin_manager *manager)
{
    kin_manager_counts counts;
    do {
        OK(kin_manager_counts_get(manager, &counts));
        if (!counts.objects && !counts.references && !counts.held && !counts.waiting && counts.clients == 1 &&
            !counts.bytes)
            return;
        poll(NULL, 0, 1);
    } while (test_time_left() > 1);
    ck_abort_msg("left: %zu objects, %zu references, %zu held, %zu waiting, %zu clients, %zu bytes",
                 counts.objects, counts.references, counts.held, counts.waiting, counts.clients,
                 counts.bytes);
}

/* What a test shares with its children. */
struct shared {
    kin_manager *manager;
    kin_proxy *proxy, *other;
    kin_token token;
    _Atomic int step;
    _Atomic int count;
};

static inline struct shared *new_shared(void)
{
    kin_manager *manager = start_manager(NULL);
    struct shared *shared = kin_calloc(1, sizeof *shared);
    ck_assert_ptr_nonnull(shared);
    shared->manager = manager;
    return shared;
}

static inline void free_shared(struct shared *shared)
{
    kin_manager_free(shared->manager);
    kin_free(shared);
}

static inline void await_step(struct shared *shared, int step)
{
    while (atomic_load(&shared->step) < step && test_time_left() > 0)
        poll(NULL, 0, 1);
    ck_assert_int_ge(atomic_load(&shared->step), step);
}

static inline void join_child(kin_process *child)
{
    kin_end end;
    char text[200];
    ck_assert_msg(child != NULL, "%s", kin_error_message());
    OK(kin_process_join(child, test_time_left()));
    OK(kin_process_end(child, &end));
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "%s",
                  kin_end_text(&end, text, sizeof text));
    kin_process_free(child);
}

static inline void run_child(kin_process_fn body, struct shared *shared)
{
    join_child(kin_process_start_shared(body, shared, NULL));
}

/* Until so many calls wait in the server. */
static inline void await_waiting(kin_manager *manager, size_t count)
{
    kin_manager_counts counts = {0};
    do {
        if (counts.waiting)
            poll(NULL, 0, 1);
        OK(kin_manager_counts_get(manager, &counts));
    } while (counts.waiting != count && test_time_left() > 1);
    ck_assert_uint_eq(counts.waiting, count);
}

static inline void *take_in_thread(void *queue)
{
    kin_any value;
    return kin_proxy_take(queue, &value, 30) ? NULL : queue;
}

/* Threads of this process wait for one queue, and each gets its message. */
static inline void threads_take_side_by_side(int count)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *queue = make(manager, "Queue");
    pthread_t threads[150];
    ck_assert_int_le(count, 150);
    for (int i = 0; i < count; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, take_in_thread, queue), 0);
    await_waiting(manager, (size_t)count);
    for (int i = 0; i < count; i++)
        OK(kin_proxy_put(queue, KIN_ANY(i), 0));
    for (int i = 0; i < count; i++) {
        void *result;
        pthread_join(threads[i], &result);
        ck_assert_ptr_nonnull(result);
    }
    kin_proxy_free(queue);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

#endif
