/*
 * container_races_test.c - dicts and lists between threads of one process, and beside members that are stopped or die while they have a
 * gate. (Not under ThreadSanitizer: docs/design/container.md.)
 */
#include "container/list_shared.h"
#include "container/table.h"
#include "container_common.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define THREADS 2 /* that write, and as many that read */
#define KEYS 24

struct shared {
    kin_dict *dict;
    kin_list *list;
    _Atomic uint32_t stop, number, torn, holds, release;
    int rounds;
};

static kin_any value_of(uint32_t number, unsigned char *bytes)
{
    if (number % 3 == 0)
        return kin_any_int(number);
    size_t size = 8 + number % 90;
    pattern(bytes, number, size);
    memcpy(bytes, &number, sizeof number);
    return kin_any_bytes(bytes, size);
}

static bool is_whole(const kin_any *value)
{
    unsigned char bytes[128];
    uint32_t number;
    if (value->type == KIN_ANY_INT)
        return true;
    if (value->type != KIN_ANY_BYTES || value->size < sizeof number)
        return false;
    memcpy(&number, value->data, sizeof number);
    kin_any expected = value_of(number, bytes);
    return expected.size == value->size && memcmp(expected.data, value->data, value->size) == 0;
}

static void *write_in_a_thread(void *arg)
{
    struct shared *shared = arg;
    unsigned char bytes[128];
    for (int i = 0; i < shared->rounds; i++) {
        uint32_t number = atomic_fetch_add(&shared->number, 1);
        kin_any key = kin_any_int(number % KEYS);
        int error = number % 5 == 4 ? kin_dict_delete(shared->dict, key)
                                    : kin_dict_set(shared->dict, key, value_of(number, bytes));
        if (error && error != KIN_ENOTFOUND)
            abort();
        if (kin_list_append(shared->list, value_of(number, bytes)))
            abort();
        if (kin_list_length(shared->list) > 20 && kin_list_pop(shared->list, number % 7 ? 0 : 3, NULL) &&
            kin_error_code() != KIN_ENOTFOUND)
            abort();
    }
    return NULL;
}

static void *read_in_a_thread(void *arg)
{
    struct shared *shared = arg;
    for (uint32_t i = 0; !atomic_load(&shared->stop); i++) {
        kin_any value;
        if (kin_dict_get(shared->dict, kin_any_int(i % KEYS), &value) == 0) {
            atomic_fetch_add(&shared->torn, !is_whole(&value));
            kin_any_clear(&value);
        }
        if (kin_list_get(shared->list, i % 20, &value) == 0) {
            atomic_fetch_add(&shared->torn, !is_whole(&value));
            kin_any_clear(&value);
        }
        if (i % 64 == 0) {
            kin_dict_iterator *iterator = kin_dict_iterate(shared->dict);
            while (kin_dict_next(iterator, NULL, &value) == 0)
                atomic_fetch_add(&shared->torn, !is_whole(&value));
            kin_dict_iterator_free(iterator);
        }
    }
    return NULL;
}

static struct shared *new_shared(void)
{
    test_init();
    struct shared *shared = kin_calloc(1, sizeof *shared);
    ck_assert_ptr_nonnull(shared);
    shared->dict = kin_dict_new(KIN_DICT_OPTIONS(.name = "stock", .stripes = 1, .timeout = 0.2));
    shared->list = kin_list_new(KIN_LIST_OPTIONS(.timeout = 0.2));
    ck_assert(shared->dict && shared->list);
    return shared;
}

static void free_shared(struct shared *shared)
{
    ck_assert_msg(kin_dict_free(shared->dict) == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_list_free(shared->list), 0);
    kin_free(shared);
}

static void threads_see_whole_values(void)
{
    pthread_t threads[2 * THREADS];
    struct shared *shared = new_shared();
    kin_dict *narrow = shared->dict;
    kin_list *impatient = shared->list;
    shared->dict = kin_dict_new(KIN_DICT_OPTIONS(.stripes = 2)); /* these wait as long as it takes */
    shared->list = kin_list_new(NULL);
    ck_assert(shared->dict && shared->list);
    ck_assert_int_eq(kin_dict_free(narrow), 0);
    ck_assert_int_eq(kin_list_free(impatient), 0);
    shared->rounds = test_long() ? 100000 : 5000;
    for (int i = 0; i < 2 * THREADS; i++)
        ck_assert_int_eq(
            pthread_create(&threads[i], NULL, i < THREADS ? write_in_a_thread : read_in_a_thread, shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&shared->stop, 1);
    for (int i = THREADS; i < 2 * THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(&shared->torn), 0);
    ck_assert_msg(kin__dict_check((struct kin__dict *)shared->dict) == 0, "%s", kin_error_message());
    ck_assert_msg(kin__list_check(shared->list) == 0, "%s", kin_error_message());
    free_shared(shared);
}

/* ---- who is stopped in the middle of a change -------------------------------------------------- */

static int hold_both_gates(void *arg)
{
    struct shared *shared = arg;
    struct kin__call call;
    struct kin__items items;
    struct kin__shard *shard = &((struct kin__dict *)shared->dict)->stripe[0].shard;
    child_assert(kin__call_begin(&call, shared->dict, KIN_FOREVER, "hold it") == 0);
    child_assert(kin__shard_acquire(shard, &call) == 0);
    child_assert(kin__list_enter(shared->list, "hold it", &call, &items) == 0);
    atomic_store(&shared->holds, 1);
    while (!atomic_load(&shared->release))
        usleep(1000);
    kin__list_leave(shared->list, 0);
    kin__shard_release(shard);
    return 0;
}

/* It has both gates, and is stopped. */
static kin_process *start_and_stop(struct shared *shared)
{
    kin_process *process =
        kin_process_start_shared(hold_both_gates, shared, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    await(&shared->holds, 1);
    ck_assert_int_eq(kill(kin_process_pid(process), SIGSTOP), 0);
    return process;
}

static struct shared *filled(void)
{
    struct shared *shared = new_shared();
    ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("a"), kin_any_text("a value in a block")), 0);
    ck_assert_int_eq(kin_list_append(shared->list, kin_any_int(1)), 0);
    return shared;
}

static void reads_are_as_ever(const struct shared *shared)
{
    kin_any value;
    ck_assert_int_eq(kin_dict_get(shared->dict, kin_any_text("a"), &value), 0);
    ck_assert_str_eq((const char *)value.data, "a value in a block");
    kin_any_clear(&value);
    ck_assert_int_eq(kin_list_get(shared->list, 0, &value), 0);
    ck_assert_uint_eq(kin_dict_length(shared->dict), 1);
    ck_assert_uint_eq(kin_list_length(shared->list), 1);
}

static void stopped_member_delays_changes_until_their_timeout(void)
{
    struct shared *shared = filled();
    kin_process *process = start_and_stop(shared);
    reads_are_as_ever(shared);
    ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("a"), kin_any_int(2)), KIN_ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "\"stock\""));
    ck_assert_int_eq(kin_dict_delete(shared->dict, kin_any_text("a")), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_list_append(shared->list, kin_any_int(2)), KIN_ETIMEDOUT);
    ck_assert_int_eq(kin_dict_free(shared->dict), KIN_EBUSY);
    ck_assert_int_eq(kin_list_free(shared->list), KIN_EBUSY);
    reads_are_as_ever(shared);
    atomic_store(&shared->release, 1);
    ck_assert_int_eq(kill(kin_process_pid(process), SIGCONT), 0);
    join(process);
    ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("a"), kin_any_int(2)), 0);
    ck_assert_int_eq(kin_list_append(shared->list, kin_any_int(2)), 0);
    free_shared(shared);
}

static void gate_of_one_that_was_killed_is_free(void)
{
    struct shared *shared = filled();
    kin_process *process = start_and_stop(shared);
    ck_assert_int_eq(kill(kin_process_pid(process), SIGKILL), 0);
    ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("b"), kin_any_int(2)), 0);
    ck_assert_int_eq(kin_list_append(shared->list, kin_any_int(2)), 0);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    free_shared(shared);
}

/* A report says what they wait for, and who has it. */
static int wait_for_a_change(void *arg)
{
    const struct shared *shared = arg;
    kin_any value;
    child_assert(kin_dict_wait_change(shared->dict, kin_any_text("b"), NULL, &value, KIN_FOREVER) == 0);
    return 0;
}

static void waits_are_reported(void)
{
    struct shared *shared = filled();
    kin_waiter waiter;
    size_t count = 0;
    kin_process *process = kin_process_start_shared(wait_for_a_change, shared,
                                                    KIN_PROCESS_OPTIONS(.start_method = test_method()));
    while (count == 0) /* the test's deadline is the limit */
        ck_assert_int_eq(kin_waits_get(&waiter, 1, &count), 0);
    ck_assert_str_eq(waiter.kind, "dict");
    ck_assert_str_eq(waiter.name, "stock");
    ck_assert_str_eq(waiter.what, "a change");
    ck_assert_int_eq(waiter.pid, kin_process_pid(process));
    ck_assert_int_eq(kin_dict_free(shared->dict), KIN_EBUSY);
    ck_assert_int_eq(kin_dict_set(shared->dict, kin_any_text("b"), kin_any_int(1)), 0);
    join(process);
    free_shared(shared);
}

/* ---- a stripe that doubles its buckets --------------------------------------------------------- */

#define GROWN 60000u /* 13 doublings */
#define FACTOR 7

static int insert_all(void *arg)
{
    struct shared *shared = arg;
    for (uint32_t i = 0; i < GROWN; i++) {
        child_assert(kin_dict_set(shared->dict, kin_any_int(i), kin_any_int((int64_t)i * FACTOR)) == 0);
        atomic_store(&shared->number, i + 1);
    }
    return 0;
}

/* A key that is there has its value; one that is not yet may be, with its. */
static void read_one(const struct shared *shared, uint32_t key, uint32_t there)
{
    int64_t value;
    int error = kin_dict_get_int(shared->dict, kin_any_int(key), &value);
    ck_assert_msg(error == 0 || (error == KIN_ENOTFOUND && key >= there), "key %u of %u: %s", key, there,
                  kin_error_message());
    ck_assert(error || value == (int64_t)key * FACTOR);
}

static void read_some(const struct shared *shared, uint64_t *state, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t there = atomic_load(&shared->number);
        read_one(shared, random_next(state) % (there + 10), there);
    }
}

static char state_of(int pid)
{
    char path[64], state = '?';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "re");
    if (stat && fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
        state = '?';
    if (stat)
        fclose(stat);
    return state;
}

/* Wherever the writer is stopped, with the gate or without, in the middle of a doubling or not. */
static void read_beside_a_stopped_writer(const struct shared *shared, int pid, uint64_t *state)
{
    ck_assert_int_eq(kill(pid, SIGSTOP), 0);
    while (state_of(pid) != 'T' && state_of(pid) != 'Z') /* the test's deadline is the limit */
        usleep(100);
    read_some(shared, state, 500);
    ck_assert_int_eq(kill(pid, SIGCONT), 0);
}

static void readers_do_not_wait_while_a_stripe_doubles(void)
{
    struct shared *shared = new_shared();
    struct rusage before, after;
    uint64_t state = 1;
    unsigned stops = 0;
    kin_process *process =
        kin_process_start_shared(insert_all, shared, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    await(&shared->number, 1);
    long slept = 0;
    while (atomic_load(&shared->number) < GROWN) {
        ck_assert_int_eq(getrusage(RUSAGE_SELF, &before), 0);
        read_some(shared, &state, 2000);
        ck_assert_int_eq(getrusage(RUSAGE_SELF, &after), 0);
        slept += after.ru_nvcsw - before.ru_nvcsw; /* who waits for a gate sleeps sooner or later */
        if (atomic_load(&shared->number) < GROWN && stops < 100) {
            read_beside_a_stopped_writer(shared, kin_process_pid(process), &state);
            stops++;
        }
    }
    join(process);
    ck_assert_int_lt(slept, 20);
    for (uint32_t i = 0; i < GROWN; i++)
        read_one(shared, i, GROWN);
    ck_assert_int_eq(kin__dict_length((struct kin__dict *)shared->dict), GROWN);
    free_shared(shared);
}

static const struct test tests[] = {
    {"readers_do_not_wait_while_a_stripe_doubles", readers_do_not_wait_while_a_stripe_doubles, 60,
     TEST_EACH_METHOD},
    {"waits_are_reported", waits_are_reported, 20, TEST_EACH_METHOD},
    {"threads_see_whole_values", threads_see_whole_values, 60, 0},
    {"stopped_member_delays_changes_until_their_timeout", stopped_member_delays_changes_until_their_timeout,
     20, TEST_EACH_METHOD},
    {"gate_of_one_that_was_killed_is_free", gate_of_one_that_was_killed_is_free, 20, TEST_EACH_METHOD},
};
TEST_MAIN("container_races", tests)
