/*
 * container_test.c - a dict and a list under load while those that write and read them are killed at random, thousands of times.
 *
 * Four writers number their steps. Each sets and deletes keys of its own, to values that tell their step and are of one pattern, small or large;
 * adds to a number that all share; appends to a list and pops from it. Four readers look whether values are whole, and never older
 * than what they have seen. A killer kills any of the eight, the founder starts another in its place. In a ledger stands which step a writer
 * began and which it finished: in the end each key has the value of the one or the other, the number is between the sums of both,
 * and the heap has as many blocks as before.
 */
#include "container/list_shared.h"
#include "container/table.h"
#include "harness.h"
#include "storm/killer.h"

#include <kin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIDE 4 /* writers, and as many readers */
#define KEYS 40
#define LIST_LENGTH 60
#define LARGE 36000
#define STANDS_STILL 30.0 /* seconds */

struct writer {
    _Atomic uint32_t begun, done; /* steps */
    _Atomic uint32_t adds_begun, adds_done;
    _Atomic uint32_t key_begun[KEYS], key_done[KEYS]; /* steps that were about this key */
};

struct ledger {
    kin_dict *dict;
    kin_list *list;
    _Atomic uint32_t stop, failed;
    _Atomic uint64_t reads;
    struct writer writer[SIDE];
};

struct job {
    struct ledger *ledger;
    uint32_t index; /* writer, or SIDE + reader */
};

enum what { SET, DELETE, ADD, LIST };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool must(struct ledger *ledger, bool fine, const char *what)
{
    if (!fine) {
        atomic_fetch_add(&ledger->failed, 1);
        fprintf(stderr, "%s: %s\n", what, kin_error_message());
    }
    return fine;
}

/* ---- steps ------------------------------------------------------------------------------------- */

static uint32_t hash_of(uint32_t step)
{
    return (step + 1) * 2654435761u >> 8;
}

static enum what what_of(uint32_t step)
{
    uint32_t kind = hash_of(step) % 16;
    return kind < 8 ? SET : kind < 11 ? DELETE : kind < 13 ? ADD : LIST;
}

static uint32_t key_number(uint32_t step)
{
    return hash_of(step) / 16 % KEYS;
}

static kin_any key_of(uint32_t writer, uint32_t key, char *buffer)
{
    if (key % 2)
        return kin_any_int((int64_t)writer * 1000 + key);
    sprintf(buffer, "a key of writer %u of some length, %u", writer, key);
    return kin_any_text(buffer);
}

/* The step's value: a number, or bytes that begin with it. */
static kin_any value_of(uint32_t step, unsigned char *buffer)
{
    uint32_t kind = hash_of(step) / 1024 % 64;
    if (kind < 24)
        return kin_any_int(step);
    size_t size = kind == 63 ? LARGE : 8 + kind * 7;
    for (size_t i = 0; i < size; i++)
        buffer[i] = (unsigned char)(step * 31 + i * 7);
    memcpy(buffer, &step, sizeof step);
    return kin_any_bytes(buffer, size);
}

/* The step that a value is of, if it is whole; else UINT32_MAX. */
static uint32_t step_of(const kin_any *value, unsigned char *buffer)
{
    uint32_t step = UINT32_MAX;
    if (value->type == KIN_ANY_INT)
        return (uint32_t)value->integer;
    if (value->type == KIN_ANY_BYTES && value->size >= sizeof step)
        memcpy(&step, value->data, sizeof step);
    kin_any expected = value_of(step, buffer);
    bool whole = expected.type == KIN_ANY_BYTES && expected.size == value->size &&
                 memcmp(expected.data, value->data, value->size) == 0;
    return whole ? step : UINT32_MAX;
}

/* ---- writers ----------------------------------------------------------------------------------- */

static void change_key(struct job *job, uint32_t step, unsigned char *buffer)
{
    struct writer *mine = &job->ledger->writer[job->index];
    uint32_t number = key_number(step);
    char name[64];
    kin_any key = key_of(job->index, number, name);
    atomic_store(&mine->key_begun[number], step);
    if (what_of(step) == SET) {
        must(job->ledger, kin_dict_set(job->ledger->dict, key, value_of(step, buffer)) == 0, "set");
    } else {
        int error = kin_dict_delete(job->ledger->dict, key);
        must(job->ledger, error == 0 || error == KIN_ENOTFOUND, "delete");
    }
    atomic_store(&mine->key_done[number], step);
}

static void change_list(struct job *job, uint32_t step)
{
    struct ledger *ledger = job->ledger;
    char text[64];
    int64_t id = (int64_t)job->index << 32 | step;
    sprintf(text, "%lld is an item in a block", (long long)id);
    kin_any value = step % 2 ? kin_any_int(id) : kin_any_text(text);
    must(ledger, kin_list_append(ledger->list, value) == 0, "append");
    if (kin_list_length(ledger->list) > LIST_LENGTH) {
        int error = kin_list_pop(ledger->list, step % 5 ? 0 : LIST_LENGTH / 2, NULL);
        must(ledger, error == 0 || error == KIN_ENOTFOUND, "pop");
    }
}

static int write_all_the_time(void *arg)
{
    static unsigned char buffer[LARGE];
    struct job *job = arg;
    struct writer *mine = &job->ledger->writer[job->index];
    uint32_t step = atomic_load(&mine->begun);
    /* What the one before had begun is done again, if that does no harm. */
    if (step && atomic_load(&mine->done) != step && what_of(step) <= DELETE)
        change_key(job, step, buffer);
    while (!atomic_load(&job->ledger->stop) && !atomic_load(&job->ledger->failed)) {
        atomic_store(&mine->begun, ++step);
        if (what_of(step) <= DELETE) {
            change_key(job, step, buffer);
        } else if (what_of(step) == ADD) {
            atomic_fetch_add(&mine->adds_begun, 1);
            must(job->ledger,
                 kin_dict_add(job->ledger->dict, kin_any_text("the sum"), kin_any_int(1), NULL) == 0, "add");
            atomic_fetch_add(&mine->adds_done, 1);
        } else {
            change_list(job, step);
        }
        atomic_store(&mine->done, step);
    }
    return 0;
}

/* ---- readers ----------------------------------------------------------------------------------- */

static void read_key(struct ledger *ledger, uint32_t writer, uint32_t number, uint32_t *last,
                     unsigned char *buffer)
{
    char name[64];
    kin_any value;
    int error = kin_dict_get(ledger->dict, key_of(writer, number, name), &value);
    if (error) {
        must(ledger, error == KIN_ENOTFOUND, "get");
        return;
    }
    uint32_t step = step_of(&value, buffer), newest = atomic_load(&ledger->writer[writer].begun);
    bool fine = step != UINT32_MAX && step <= newest && step >= *last && key_number(step) == number;
    if (!must(ledger, fine, "a value is torn, or older than what was read before"))
        fprintf(stderr, "writer %u, key %u, step %u, last %u, newest %u\n", writer, number, step, *last,
                newest);
    *last = step;
    kin_any_clear(&value);
}

static void read_list(struct ledger *ledger)
{
    kin_any items[LIST_LENGTH];
    int64_t last[SIDE] = {0};
    size_t got = 0;
    if (!must(ledger, kin_list_get_many(ledger->list, 0, LIST_LENGTH, items, &got) == 0, "get_many"))
        return;
    for (size_t i = 0; i < got; i++) {
        int64_t id = items[i].type == KIN_ANY_TEXT ? strtoll(items[i].data, NULL, 10) : items[i].integer;
        uint32_t writer = (uint32_t)(id >> 32) % SIDE;
        must(ledger, (id & 0xffffffff) > last[writer], "items are out of order, or came twice");
        last[writer] = id & 0xffffffff;
        kin_any_clear(&items[i]);
    }
}

static void go_through(struct ledger *ledger, unsigned char *buffer)
{
    kin_dict_iterator *iterator = kin_dict_iterate(ledger->dict);
    kin_any key, value;
    int error = 0;
    if (!must(ledger, iterator != NULL, "iterate"))
        return;
    while ((error = kin_dict_next(iterator, &key, &value)) == 0)
        must(ledger, step_of(&value, buffer) != UINT32_MAX, "a value is torn");
    must(ledger, error == KIN_ENOTFOUND, "next");
    kin_dict_iterator_free(iterator);
}

static int read_all_the_time(void *arg)
{
    static unsigned char buffer[LARGE];
    static uint32_t last[SIDE][KEYS];
    struct job *job = arg;
    struct ledger *ledger = job->ledger;
    uint32_t state = (uint32_t)getpid() | 1;
    for (uint32_t turn = 0; !atomic_load(&ledger->stop) && !atomic_load(&ledger->failed); turn++) {
        uint32_t writer = random_next(&state) % SIDE, number = random_next(&state) % KEYS;
        read_key(ledger, writer, number, &last[writer][number], buffer);
        if (turn % 64 == 0)
            read_list(ledger);
        if (turn % 512 == 0)
            go_through(ledger, buffer);
        if (turn % 100 == 0) {
            int error = kin_dict_wait_change(ledger->dict, kin_any_text("the sum"), NULL, NULL, 0.01);
            must(ledger, error == 0 || error == KIN_ETIMEDOUT, "wait");
        }
        atomic_fetch_add(&ledger->reads, 1);
    }
    return 0;
}

/* ---- the storm --------------------------------------------------------------------------------- */

struct storm {
    struct killer *killer;
    struct ledger *ledger;
    kin_process *process[2 * SIDE];
    uint32_t deaths[2];
    kin_heap_stats before;
};

static void heap_stats(kin_heap_stats *out)
{
    *out = (kin_heap_stats){.size = sizeof *out};
    ck_assert_int_eq(kin_heap_get_stats(out), 0);
}

static void start(struct storm *storm, uint32_t i)
{
    struct job job = {storm->ledger, i};
    storm->process[i] =
        kin_process_start(i < SIDE ? write_all_the_time : read_all_the_time, &job, sizeof job, NULL);
    ck_assert_msg(storm->process[i] != NULL, "%s", kin_error_message());
}

static void bury(struct storm *storm, uint32_t i, double timeout, bool again)
{
    kin_end end;
    int error = kin_process_join(storm->process[i], timeout);
    if (error == KIN_ETIMEDOUT && again)
        return;
    ck_assert_msg(error == 0, "member %u does not end: %s", i, kin_error_message());
    ck_assert_int_eq(kin_process_end(storm->process[i], &end), 0);
    if (end.how == KIN_END_SIGNALED)
        storm->deaths[i >= SIDE]++;
    else
        ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == 0, "member %u failed", i);
    kin_process_free(storm->process[i]);
    if (again)
        start(storm, i);
}

static void rage(struct storm *storm, uint32_t deaths)
{
    uint64_t reads = 0;
    double moved = now();
    atomic_store(&storm->killer->parent, getpid());
    while (storm->deaths[0] + storm->deaths[1] < deaths) {
        for (uint32_t i = 0; i < 2 * SIDE; i++)
            bury(storm, i, 0, true);
        if (atomic_load(&storm->ledger->reads) != reads)
            moved = now();
        reads = atomic_load(&storm->ledger->reads);
        ck_assert_msg(now() - moved < STANDS_STILL, "nobody reads anything after %u deaths",
                      storm->deaths[0] + storm->deaths[1]);
        ck_assert_uint_eq(atomic_load(&storm->ledger->failed), 0);
        usleep(200);
    }
    killer_stop(storm->killer);
    usleep(1000);
    atomic_store(&storm->ledger->stop, 1);
    for (uint32_t i = 0; i < 2 * SIDE; i++)
        bury(storm, i, STANDS_STILL, false);
}

static bool is_of(const kin_any *value, uint32_t step, unsigned char *buffer)
{
    if (step == 0 || what_of(step) == DELETE)
        return value->type == KIN_ANY_NOTHING;
    return value->type != KIN_ANY_NOTHING && step_of(value, buffer) == step;
}

static void account(struct storm *storm)
{
    static unsigned char buffer[LARGE];
    struct ledger *ledger = storm->ledger;
    uint64_t steps = 0, undecided = 0, begun = 0, done = 0;
    int64_t sum = 0;
    for (uint32_t w = 0; w < SIDE; w++) {
        struct writer *writer = &ledger->writer[w];
        steps += atomic_load(&writer->done);
        begun += atomic_load(&writer->adds_begun);
        done += atomic_load(&writer->adds_done);
        for (uint32_t k = 0; k < KEYS; k++) {
            char name[64];
            kin_any value = kin_any_nothing();
            uint32_t was = atomic_load(&writer->key_done[k]), is = atomic_load(&writer->key_begun[k]);
            int error = kin_dict_get(ledger->dict, key_of(w, k, name), &value);
            ck_assert(error == 0 || error == KIN_ENOTFOUND);
            if (error)
                value = kin_any_nothing();
            ck_assert_msg(is_of(&value, was, buffer) || is_of(&value, is, buffer),
                          "key %u of writer %u has the value of neither step %u nor %u", k, w, was, is);
            undecided += was != is;
            kin_any_clear(&value);
        }
    }
    ck_assert_int_eq(kin_dict_get_int(ledger->dict, kin_any_text("the sum"), &sum), 0);
    ck_assert_msg(sum >= (int64_t)done && sum <= (int64_t)begun, "the sum is %lld, not %llu to %llu",
                  (long long)sum, (unsigned long long)done, (unsigned long long)begun);
    printf("# storm: %u writers and %u readers killed, %llu steps, %llu reads; %llu keys were left between "
           "old and new\n",
           storm->deaths[0], storm->deaths[1], (unsigned long long)steps,
           (unsigned long long)atomic_load(&ledger->reads), (unsigned long long)undecided);
    ck_assert_uint_gt(steps, 1000);
}

/* Whoever takes a gate mends. Then nothing is left but what the statistics know of. */
static void count_what_is_left(struct storm *storm)
{
    struct ledger *ledger = storm->ledger;
    kin_heap_stats after;
    for (int i = 0; i < 1000; i++) /* in all stripes */
        ck_assert_int_eq(kin_dict_set(ledger->dict, kin_any_int(1000000 + i), kin_any_int(i)), 0);
    ck_assert_int_eq(kin_list_append(ledger->list, kin_any_int(1)), 0);
    ck_assert_msg(kin__dict_check((struct kin__dict *)ledger->dict) == 0, "%s", kin_error_message());
    ck_assert_msg(kin__list_check(ledger->list) == 0, "%s", kin_error_message());
    ck_assert_msg(kin_dict_free(ledger->dict) == 0, "%s", kin_error_message());
    ck_assert_msg(kin_list_free(ledger->list) == 0, "%s", kin_error_message());
    kin_free(ledger);
    heap_stats(&after);
    size_t left =
        after.small_blocks + after.large_blocks - storm->before.small_blocks - storm->before.large_blocks;
    uint64_t lost = after.possibly_lost - storm->before.possibly_lost;
    printf("# storm: %zu blocks left, %llu may be lost\n", left, (unsigned long long)lost);
    ck_assert_uint_le(left, lost);
}

static void every_key_has_its_old_or_its_new_value_whoever_is_killed(void)
{
    struct storm storm = {.killer = killer_start(1500, 88172645)};
    test_init();
    heap_stats(&storm.before);
    storm.ledger = kin_calloc(1, sizeof *storm.ledger);
    ck_assert_msg(storm.ledger != NULL, "%s", kin_error_message());
    storm.ledger->dict = kin_dict_new(KIN_DICT_OPTIONS(.stripes = 4));
    storm.ledger->list = kin_list_new(NULL);
    ck_assert(storm.ledger->dict && storm.ledger->list);
    for (uint32_t i = 0; i < 2 * SIDE; i++)
        start(&storm, i);
    rage(&storm, test_long() ? 10000 : 300);
    account(&storm);
    count_what_is_left(&storm);
}

static const struct test tests[] = {
    {"every_key_has_its_old_or_its_new_value_whoever_is_killed",
     every_key_has_its_old_or_its_new_value_whoever_is_killed, 900, 0},
};
TEST_MAIN("storm_container", tests)
