/* manager_near_test.c - calls through shared memory: whose answer is whose, who is woken, and whose slot is whose. The orders of all steps
 * are searched in tests/model/near.pml. */
#include "manager_common.h"

#include "manager/near.h"

#include <signal.h>
#include <stdlib.h>

#define CALLERS 3
#define SIZE_MOST 3000

/* ---- answers ------------------------------------------------------------------------------------- */

struct caller {
    kin_manager *manager;
    kin_proxy *dict;
    uint32_t number;
    pthread_t thread;
    unsigned wrong, rounds;
};

static size_t fill(uint8_t *bytes, uint32_t number, uint32_t round)
{
    size_t size = 4 + (round * 37 + number * 11) % SIZE_MOST;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(round * 13 + number + i);
    return size;
}

static void *set_and_get(void *arg)
{
    struct caller *caller = arg;
    uint8_t bytes[SIZE_MOST + 4];
    for (uint32_t i = 0; i < caller->rounds; i++) {
        size_t size = fill(bytes, caller->number, i);
        kin_any value;
        if (kin_proxy_set(caller->dict, kin_any_int(caller->number), kin_any_bytes(bytes, size)) ||
            kin_proxy_get(caller->dict, kin_any_int(caller->number), &value)) {
            caller->wrong++;
            break;
        }
        caller->wrong +=
            value.type != KIN_ANY_BYTES || value.size != size || memcmp(value.data, bytes, size) != 0;
        kin_any_clear(&value);
    }
    return NULL;
}

/* Each call and each answer is of another size, so that one that is not whole is not right. */
static void answers_are_those_of_the_calls(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    struct caller callers[CALLERS];
    for (uint32_t i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){manager, dict, i, 0, 0, test_under_valgrind() ? 100 : 5000};
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, set_and_get, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_uint_eq(callers[i].wrong, 0);
    }
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

/* ---- sleepers --------------------------------------------------------------------------------------- */

static void *get_one(void *queue)
{
    kin_any value;
    return kin_proxy_take(queue, &value, KIN_FOREVER) == 0 && value.integer == 1 ? queue : NULL;
}

static bool somebody_sleeps(const kin_manager *manager)
{
    for (unsigned i = 0; i < KIN__NEAR_SLOTS; i++)
        if (atomic_load(&manager->near->slot[i].turn) == KIN__TURN_ASLEEP)
            return true;
    return false;
}

static void sleeper_is_woken_by_its_answer(void)
{
    kin__look_again = 1e6; /* so he is woken, or sleeps for ever */
    kin_manager *manager = start_manager(NULL);
    kin_proxy *queue = make(manager, "Queue");
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        void *well;
        ck_assert_int_eq(pthread_create(&thread, NULL, get_one, queue), 0);
        while (!somebody_sleeps(manager)) /* the test's deadline is the limit */
            poll(NULL, 0, 1);
        OK(kin_proxy_put(queue, KIN_ANY(1), KIN_FOREVER));
        pthread_join(thread, &well);
        ck_assert_ptr_nonnull(well);
    }
    kin_proxy_free(queue);
    kin_manager_free(manager);
}

/* ---- slots ------------------------------------------------------------------------------------------ */

/* The server ends a connection, and who had it can write into its slot still. */
static void slot_of_one_that_lives_is_given_to_nobody(void)
{
    kin_manager *manager = start_manager(NULL);
    kin_proxy *dict = make(manager, "dict");
    struct kin__near *near = manager->near;
    unsigned mine = 0;
    OK(kin_proxy_set(dict, KIN_ANY(1), KIN_ANY(1)));
    while (atomic_load(&near->slot[mine].turn) != KIN__TURN_ANSWERED)
        mine++;
    const uint64_t bit = UINT64_C(1) << mine % 64;
    kin_any value;
    int error = 0;
    while (!error) {               /* it may be at its sockets just then, and see the next call first */
        near->slot[mine].size = 1; /* no frame is so short */
        atomic_store(&near->slot[mine].turn, KIN__TURN_CALL);
        atomic_fetch_or(&near->pending[mine / 64], bit);
        for (int i = 0; i < 200 && atomic_load(&near->pending[mine / 64]) & bit; i++)
            poll(NULL, 0, 1); /* a slot that is hot is looked at without its bit */
        error = kin_proxy_get(dict, KIN_ANY(1), &value);
    }
    ck_assert_int_eq(error, KIN_EDIED);
    atomic_store(&near->slot[mine].turn, 77);
    struct caller callers[CALLERS];
    for (uint32_t i = 0; i < CALLERS; i++) { /* each has a connection of its own */
        callers[i] = (struct caller){manager, dict, i, 0, 0, 20};
        ck_assert_int_eq(pthread_create(&callers[i].thread, NULL, set_and_get, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        ck_assert_uint_eq(callers[i].wrong, 0);
    }
    ck_assert_uint_eq(atomic_load(&near->slot[mine].turn), 77);
    kin_proxy_free(dict);
    kin_manager_free(manager);
}

/* ---- the end of the manager ------------------------------------------------------------------------- */

struct waiter {
    kin_proxy *queue;
    _Atomic int error;
};

static int wait_for_one(void *arg)
{
    struct waiter *waiter = arg;
    kin_any value;
    atomic_store(&waiter->error, kin_proxy_take(waiter->queue, &value, KIN_FOREVER));
    return 0;
}

static kin_process *start_waiter(const kin_manager *manager, struct waiter *waiter)
{
    kin_process *process = kin_process_start_shared(wait_for_one, waiter, NULL);
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    while (!somebody_sleeps(manager))
        poll(NULL, 0, 1);
    return process;
}

static bool is_told(const struct waiter *waiter)
{
    int error = atomic_load(&waiter->error);
    return error == KIN_ECLOSED || error == KIN_EDIED || error == KIN_EINVAL;
}

/* Its slot is other memory by then, perhaps: nobody writes there. */
static void who_waits_is_out_of_his_slot_when_the_manager_is_free(void)
{
    enum { BLOCKS = 3, WORDS = sizeof(struct kin__near) / 4 };
    kin_manager *manager = start_manager(NULL);
    struct waiter *waiter = kin_calloc(1, sizeof *waiter);
    ck_assert_ptr_nonnull(waiter);
    waiter->queue = make(manager, "Queue");
    kin_process *process = start_waiter(manager, waiter);
    uint32_t *blocks[BLOCKS];
    kin_manager_free(manager);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = kin_malloc(WORDS * 4);
        ck_assert_ptr_nonnull(blocks[i]);
        for (size_t k = 0; k < WORDS; k++)
            blocks[i][k] = KIN__TURN_CALL;
    }
    OK(kin_process_join(process, KIN_FOREVER));
    kin_process_free(process);
    ck_assert_msg(is_told(waiter), "%d", waiter->error);
    size_t changed = 0;
    for (int i = 0; i < BLOCKS; i++) {
        for (size_t k = 0; k < WORDS; k++)
            changed += blocks[i][k] != KIN__TURN_CALL;
        kin_free(blocks[i]);
    }
    ck_assert_uint_eq(changed, 0);
    kin_free(waiter);
}

static void slots_of_one_who_is_stopped_stay(void)
{
    kin_manager *manager = start_manager(NULL);
    struct waiter *waiter = kin_calloc(1, sizeof *waiter);
    ck_assert_ptr_nonnull(waiter);
    waiter->queue = make(manager, "Queue");
    kin_process *process = start_waiter(manager, waiter);
    struct kin__near *near = manager->near;
    ck_assert_int_eq(kill(kin_process_pid(process), SIGSTOP), 0);
    kin_manager_free(manager);
    ck_assert_uint_ge(kin_usable_size(near), sizeof *near);
    ck_assert_int_eq(kill(kin_process_pid(process), SIGCONT), 0);
    OK(kin_process_join(process, KIN_FOREVER));
    kin_process_free(process);
    ck_assert_msg(is_told(waiter), "%d", waiter->error);
    kin_free(near);
    kin_free(waiter);
}

static const struct test tests[] = {
    {"who_waits_is_out_of_his_slot_when_the_manager_is_free",
     who_waits_is_out_of_his_slot_when_the_manager_is_free, 20, TEST_NOT_VALGRIND},
    {"slots_of_one_who_is_stopped_stay", slots_of_one_who_is_stopped_stay, 20, TEST_NOT_VALGRIND},
    {"answers_are_those_of_the_calls", answers_are_those_of_the_calls, 60, TEST_NOT_VALGRIND},
    {"sleeper_is_woken_by_its_answer", sleeper_is_woken_by_its_answer, 20, TEST_NOT_VALGRIND},
    {"slot_of_one_that_lives_is_given_to_nobody", slot_of_one_that_lives_is_given_to_nobody, 20,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("manager_near", tests)
