/*
 * journal_test.c - kin/journal.h: a map that is run again does what is missing and nothing else; damage, other jobs, full disks.
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kin.h"
#include "os/os.h"
#include "pool/journal_file.h"

#define TOP (test_time_left() - 0.5)

static char directory[64], path[96];

static void remove_all(void)
{
    unlink(path);
    rmdir(directory);
}

/* A name for a journal in a directory of its own, which goes at the test's end. */
static void begin(void)
{
    snprintf(directory, sizeof directory, "/tmp/kin-journal-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/journal", directory);
    atexit(remove_all);
}

static kin_journal_info info(void)
{
    kin_journal_info info = {.size = sizeof info};
    ck_assert_msg(kin_journal_read(path, &info) == 0, "%s", kin_error_message());
    return info;
}

/* How often each item was run; shared with what is forked. */
static _Atomic int *runs;

static void count_runs(size_t items)
{
    runs = mmap(NULL, items * sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(runs, MAP_FAILED);
}

static int sum_of_runs(size_t items)
{
    int sum = 0;
    for (size_t i = 0; i < items; i++)
        sum += runs[i];
    return sum;
}

struct pair {
    uint64_t square, bits;
};

/* Items in `failing` fail, and what is at `wait_at` waits to be killed. */
struct how {
    size_t fail_from, fail_to;
};

static int work(kin_task *task, const int *in, struct pair *out)
{
    const struct how *how = kin_task_context(task);
    size_t index = kin_task_index(task);
    atomic_fetch_add(&runs[index], 1);
    if (how && index >= how->fail_from && index < how->fail_to)
        return kin_task_fail(task, "not now");
    out->square = (uint64_t)*in * (uint64_t)*in;
    out->bits = kin_random_bits(kin_task_random(task));
    return 0;
}

enum { ITEMS = 1000 };

static int in[ITEMS];
static struct pair out[ITEMS];

static kin_pool *new_pool(void)
{
    for (int i = 0; i < ITEMS; i++)
        in[i] = i + 7;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = KIN_START_FORK));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    return pool;
}

static int map(kin_pool *pool, struct how *how, const kin_map_args *more, size_t *failures)
{
    kin_map_args args = *more;
    args.in = in;
    args.in_size = sizeof *in;
    args.out = out;
    args.out_size = sizeof *out;
    args.count = args.count ? args.count : ITEMS;
    args.context = how;
    args.context_size = how ? sizeof *how : 0;
    args.failures = failures;
    args.journal = path;
    memset(out, 0xee, sizeof out);
    return kin_pool_map(pool, (kin_task_fn)work, &args);
}

static void all_are_right(void)
{
    uint64_t seen = 0;
    for (int i = 0; i < ITEMS; i++) {
        ck_assert_uint_eq(out[i].square, (uint64_t)(i + 7) * (uint64_t)(i + 7));
        ck_assert_uint_ne(out[i].bits, seen);
        seen = out[i].bits;
    }
}

static void second_run_does_nothing(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    size_t resumed = 7;
    ck_assert_msg(map(pool, NULL, KIN_MAP_ARGS(.resumed = &resumed), NULL) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(resumed, 0);
    all_are_right();
    struct pair first[ITEMS];
    memcpy(first, out, sizeof out);
    ck_assert_uint_eq(info().done, ITEMS);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.resumed = &resumed), NULL), 0);
        ck_assert_uint_eq(resumed, ITEMS);
        ck_assert_mem_eq(out, first, sizeof out);
    }
    ck_assert_int_eq(sum_of_runs(ITEMS), ITEMS);
    kin_journal_info all = info();
    ck_assert_uint_eq(all.total, ITEMS);
    ck_assert_uint_eq(all.in_size, sizeof *in);
    ck_assert_uint_eq(all.out_size, sizeof *out);
    ck_assert_uint_eq(all.torn, 0);
    kin_pool_free(pool);
}

static void what_failed_is_tried_again(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    struct how how = {100, 350};
    size_t failures, resumed;
    /* Named, as the context that says what fails is another each time. */
    ck_assert_int_eq(map(pool, &how, KIN_MAP_ARGS(.on_failure = KIN_COLLECT, .job = "squares"), &failures),
                     KIN_EFAILED);
    ck_assert_uint_eq(failures, 250);
    ck_assert_uint_eq(info().done, ITEMS - 250);
    how.fail_to = 150;
    ck_assert_int_eq(map(pool, &how,
                         KIN_MAP_ARGS(.on_failure = KIN_COLLECT, .job = "squares", .resumed = &resumed),
                         &failures),
                     KIN_EFAILED);
    ck_assert_uint_eq(failures, 50);
    ck_assert_uint_eq(resumed, ITEMS - 250);
    how.fail_to = 100;
    ck_assert_int_eq(map(pool, &how, KIN_MAP_ARGS(.on_failure = KIN_STOP, .job = "squares"), &failures), 0);
    all_are_right();
    for (size_t i = 0; i < ITEMS; i++)
        ck_assert_int_eq(runs[i], i < 100 || i >= 350 ? 1 : i < 150 ? 3 : 2);
    kin_pool_free(pool);
}

static void stop_at_a_failure_keeps_what_was_done(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    struct how how = {500, 501};
    size_t failures;
    ck_assert_int_eq(map(pool, &how, KIN_MAP_ARGS(.chunk = 1, .job = "x"), &failures), KIN_EFAILED);
    uint64_t done = info().done;
    ck_assert_uint_ge(done, 490);
    ck_assert_int_eq(sum_of_runs(ITEMS), (int)done + 1);
    how.fail_to = 500;
    ck_assert_int_eq(map(pool, &how, KIN_MAP_ARGS(.chunk = 1, .job = "x"), &failures), 0);
    all_are_right();
    ck_assert_int_eq(sum_of_runs(ITEMS), ITEMS + 1);
    kin_pool_free(pool);
}

/* ---- other files, other jobs ------------------------------------------------------------------ */

static void expect_refused(kin_pool *pool, const kin_map_args *args, int code, const char *why)
{
    ck_assert_int_eq(map(pool, NULL, args, NULL), code);
    ck_assert_msg(strstr(kin_error_message(), why) != NULL, "%s", kin_error_message());
    ck_assert_ptr_nonnull(strstr(kin_error_message(), path));
}

static void other_jobs_are_refused(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5), NULL), 0);
    expect_refused(pool, KIN_MAP_ARGS(.seed = 6), KIN_EMISMATCH, "another job");
    expect_refused(pool, KIN_MAP_ARGS(.seed = 5, .job = "named"), KIN_EMISMATCH, "another job");
    expect_refused(pool, KIN_MAP_ARGS(.seed = 5, .count = 999), KIN_EMISMATCH, "of 1000 items of 4 bytes");
    in[999]++;
    expect_refused(pool, KIN_MAP_ARGS(.seed = 5), KIN_EMISMATCH, "another job");
    in[999]--;
    struct how how = {0, 0};
    ck_assert_int_eq(map(pool, &how, KIN_MAP_ARGS(.seed = 5), NULL), KIN_EMISMATCH);
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5), NULL), 0);
    ck_assert_int_eq(sum_of_runs(ITEMS), ITEMS);
    kin_pool_free(pool);
}

static void write_file(const void *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static size_t read_file(char *bytes, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ssize_t size = read(fd, bytes, room);
    ck_assert_int_ge(size, 0);
    close(fd);
    return (size_t)size;
}

static void what_is_no_journal_is_left_alone(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    static const char *const texts[] = {
        "my thesis, chapter one", "kinjrnl\nbut then something else that is longer than a head of one is",
        "k", "#!/bin/sh\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(texts[i], strlen(texts[i]));
        if (i == 2) { /* it could be the beginning of one */
            ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5), NULL), 0);
            continue;
        }
        expect_refused(pool, KIN_MAP_ARGS(.seed = 5), KIN_EINVAL, "none");
        char found[200];
        ck_assert_uint_eq(read_file(found, sizeof found), strlen(texts[i]));
        ck_assert_mem_eq(found, texts[i], strlen(texts[i]));
        kin_journal_info none = {.size = sizeof none};
        ck_assert_int_eq(kin_journal_read(path, &none), KIN_EINVAL);
    }
    unlink(path);
    kin_journal_info none = {.size = sizeof none};
    ck_assert_int_eq(kin_journal_read(path, &none), KIN_ENOTFOUND);
    none.size = 0;
    ck_assert_int_eq(kin_journal_read(path, &none), KIN_EINVAL);
    ck_assert_int_eq(kin_journal_read(NULL, &none), KIN_EINVAL);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5), NULL), KIN_ESYSTEM);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    expect_refused(pool, KIN_MAP_ARGS(.seed = 5), KIN_EINVAL, "no regular file");
    kin_pool_free(pool);
}

/* ---- damage ---------------------------------------------------------------------------------- */

enum { FEW = 12 };

static struct kin__journal_header few_of(uint64_t out_size)
{
    return (struct kin__journal_header){.count = FEW, .in_size = 4, .out_size = out_size, .job = 99};
}

/* A journal with three records: items 0 to 3, 8 to 11, 4 to 7; of FEW items whose outputs are their numbers. */
static size_t write_few(char *bytes, size_t room)
{
    struct kin__journal_file file;
    struct kin__journal_header header = few_of(4);
    uint32_t outputs[FEW];
    for (uint32_t i = 0; i < FEW; i++)
        outputs[i] = i * 1000003;
    unlink(path);
    ck_assert_int_eq(kin__journal_open(&file, path, &header), 0);
    ck_assert_int_eq(kin__journal_note(&file, 0, 4, outputs), 0);
    ck_assert_int_eq(kin__journal_flush(&file), 0);
    ck_assert_int_eq(kin__journal_note(&file, 8, 4, outputs + 8), 0);
    ck_assert_int_eq(kin__journal_note(&file, 4, 4, outputs + 4), 0);
    ck_assert_int_eq(kin__journal_flush(&file), 0);
    ck_assert_int_eq(kin__journal_sync(&file), 0);
    kin__journal_close(&file);
    return read_file(bytes, room);
}

/* What is taken from it is right; how many items. */
static uint64_t right_ones(const struct kin__journal_file *file)
{
    uint64_t items = 0;
    for (size_t i = 0; i < file->run_count; i++) {
        uint32_t outputs[FEW];
        ck_assert_int_eq(
            kin__journal_load(file, &file->runs[i], file->runs[i].first, file->runs[i].items, outputs), 0);
        for (uint32_t j = 0; j < file->runs[i].items; j++)
            ck_assert_uint_eq(outputs[j], (uint32_t)(file->runs[i].first + j) * 1000003u);
        items += file->runs[i].items;
    }
    ck_assert_uint_eq(items, file->done);
    return items;
}

static void torn_end_is_cut_at_any_byte(void)
{
    begin();
    static char bytes[4096];
    size_t size = write_few(bytes, sizeof bytes);
    struct kin__journal_header header = few_of(4);
    size_t record = 24 + 16;
    ck_assert_uint_eq(size, 64 + 3 * record);
    for (size_t length = 0; length <= size; length++) {
        write_file(bytes, length);
        struct kin__journal_file file;
        ck_assert_msg(kin__journal_open(&file, path, &header) == 0, "%zu bytes: %s", length,
                      kin_error_message());
        ck_assert_uint_eq(right_ones(&file), length < 64 ? 0 : (length - 64) / record * 4);
        /* And goes on from there, with a record that is shorter than what may be left of the torn one. */
        uint32_t last = 8 * 1000003u;
        ck_assert_int_eq(kin__journal_note(&file, 8, 1, &last), 0);
        ck_assert_int_eq(kin__journal_flush(&file), 0);
        uint64_t end = file.end, done = file.done + 1;
        kin__journal_close(&file);
        kin_journal_info about = info();
        ck_assert_uint_eq(about.done, done);
        ck_assert_uint_eq(about.bytes, end);
        ck_assert_uint_eq(about.torn, 0);
    }
}

static void no_changed_byte_passes(void)
{
    begin();
    static char bytes[4096];
    size_t size = write_few(bytes, sizeof bytes);
    struct kin__journal_header header = few_of(4);
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit += 3) {
            bytes[at] ^= (char)(1 << bit);
            write_file(bytes, size);
            struct kin__journal_file file;
            int error = kin__journal_open(&file, path, &header);
            if (at < 64)
                ck_assert(error == KIN_EINVAL || error == KIN_EMISMATCH);
            else {
                ck_assert_int_eq(error, 0);
                ck_assert_uint_eq(right_ones(&file), (at - 64) / 40 * 4);
                kin__journal_close(&file);
            }
            bytes[at] ^= (char)(1 << bit);
        }
}

/* A record that is whole, but of another place of the file: left there by an earlier, longer one. */
static void old_records_do_not_pass_for_new_ones(void)
{
    begin();
    static char bytes[4096];
    size_t size = write_few(bytes, sizeof bytes);
    struct kin__journal_header header = few_of(4);
    memmove(bytes + 64, bytes + 64 + 40, size - 64 - 40);
    write_file(bytes, size - 40);
    struct kin__journal_file file;
    ck_assert_int_eq(kin__journal_open(&file, path, &header), 0);
    ck_assert_uint_eq(right_ones(&file), 0);
    kin__journal_close(&file);
}

static void outputs_larger_than_the_buffer_go_in(void)
{
    begin();
    size_t size = ((size_t)3 << 20) + 5;
    unsigned char *large = malloc(size), *back = malloc(size);
    struct kin__journal_header header = few_of(size);
    for (int round = 0; round < 3; round++) {
        struct kin__journal_file file;
        ck_assert_int_eq(kin__journal_open(&file, path, &header), 0);
        ck_assert_uint_eq(kin__journal_most(&file), 1);
        ck_assert_uint_eq(file.done, (uint64_t)round);
        for (int i = 0; i < round; i++) {
            memset(large, i + 1, size);
            ck_assert_int_eq(kin__journal_load(&file, &file.runs[i], (uint64_t)i, 1, back), 0);
            ck_assert_mem_eq(back, large, size);
        }
        memset(large, round + 1, size);
        ck_assert_int_eq(kin__journal_note(&file, (uint64_t)round, 1, large), 0);
        ck_assert_int_eq(kin__journal_flush(&file), 0);
        kin__journal_close(&file);
    }
    ck_assert_int_eq(truncate(path, (off_t)(64 + 2 * (24 + size + 3) + size)), 0);
    ck_assert_uint_eq(info().done, 2);
    free(large);
    free(back);
}

/* ---- the disk -------------------------------------------------------------------------------- */

/* A disk of that many bytes in place of the directory. (Not RLIMIT_FSIZE: the heap is a file too.) */
static bool disk(const char *options, unsigned long flags)
{
    return mount("tmpfs", directory, "tmpfs", flags, options) == 0;
}

/* The map does all its items, and says that the journal has not got them; a journal that is full is gone on with. */
static void full_disk_is_told_and_costs_no_results(void)
{
    begin();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        !disk("size=4k", 0))
        test_skip("only root can make a small disk");
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5), NULL), KIN_ESYSTEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "could not write journal"));
    all_are_right();
    size_t resumed, done = info().done;
    ck_assert_uint_lt(done, ITEMS);
    ck_assert(disk("size=1m", MS_REMOUNT));
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 5, .resumed = &resumed), NULL), 0);
    all_are_right();
    ck_assert_uint_eq(resumed, done);
    ck_assert_int_eq(sum_of_runs(ITEMS), 2 * ITEMS - (int)done);
    ck_assert_uint_eq(info().done, ITEMS);
    kin_pool_free(pool);
    ck_assert_int_eq(umount2(directory, MNT_DETACH), 0);
}

/* ---- other kinds of maps --------------------------------------------------------------------- */

static int count_index(kin_task *task, size_t index, void *context)
{
    (void)task;
    (void)context;
    atomic_fetch_add(&runs[index], 1);
    return index == 77 ? 1 : 0;
}

static void loops_and_inline_pools_have_journals(void)
{
    begin();
    count_runs(100);
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.kind = KIN_POOL_INLINE));
    const kin_map_args *args = KIN_MAP_ARGS(.count = 100, .journal = path);
    ck_assert_int_eq(kin_pool_for(pool, count_index, args), KIN_EFAILED);
    ck_assert_int_eq(kin_pool_for(pool, count_index, args), KIN_EFAILED);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(runs[i], i < 77 ? 1 : i == 77 ? 2 : 0);
    kin_pool_free(pool);
    pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    kin_map_args all = *args;
    all.on_failure = KIN_COLLECT;
    ck_assert_int_eq(kin_pool_for(pool, count_index, &all), KIN_EFAILED);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(runs[i], i == 77 ? 3 : 1);
    kin_pool_free(pool);
}

#define LATE (((size_t)1 << 22) + 500) /* in the second window */

static int number(kin_task *task, const char *unused, uint8_t *byte)
{
    (void)unused;
    atomic_fetch_add(&runs[0], 1);
    *byte = (uint8_t)(kin_task_index(task) % 251);
    return kin_task_index(task) == LATE;
}

/* More than one window: 4 million items. */
static void windows_are_resumed_each(void)
{
    begin();
    count_runs(1);
    test_init();
    size_t count = ((size_t)1 << 22) + 1000, failures, resumed;
    char *unused = calloc(count, 1);
    uint8_t *bytes = malloc(count);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    for (int round = 0; round < 2; round++) {
        memset(bytes, 0xee, count);
        int error = kin_pool_map(pool, (kin_task_fn)number,
                                 KIN_MAP_ARGS(.in = unused, .in_size = 1, .out = bytes, .out_size = 1,
                                              .count = count, .on_failure = KIN_COLLECT,
                                              .failures = &failures, .journal = path, .resumed = &resumed));
        ck_assert_int_eq(error, KIN_EFAILED);
        ck_assert_uint_eq(failures, 1);
        ck_assert_uint_eq(resumed, round ? count - 1 : 0);
        size_t wrong = 0;
        for (size_t i = 0; i < count; i++)
            wrong += bytes[i] != (i == LATE ? 0 : i % 251);
        ck_assert_uint_eq(wrong, 0);
    }
    ck_assert_int_eq(runs[0], (int)count + 1);
    kin_pool_free(pool);
    free(unused);
    free(bytes);
}

static int take_memory(kin_task *task, size_t index, void *context)
{
    (void)index;
    (void)context;
    return kin_task_malloc(task, 10) ? 0 : kin_error_code();
}

static void maps_that_are_not_waited_for_have_none(void)
{
    begin();
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    ck_assert_ptr_null(kin_pool_for_async(pool, take_memory, KIN_MAP_ARGS(.count = 3, .journal = path)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    kin_pool_free(pool);
}

static void memory_that_goes_with_results_is_refused(void)
{
    begin();
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    ck_assert_int_eq(kin_pool_for(pool, take_memory, KIN_MAP_ARGS(.count = 3, .journal = path)), KIN_ENOTSUP);
    ck_assert_int_eq(kin_pool_for(pool, take_memory, KIN_MAP_ARGS(.count = 3)), 0);
    kin_pool_free(pool);
}

/* ---- kills ----------------------------------------------------------------------------------- */

static int work_slowly(kin_task *task, const int *item, struct pair *result)
{
    usleep(2000);
    return work(task, item, result);
}

/* A program of its own that does the job, in a process group of its own. */
static pid_t start_program(void)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child)
        return child;
    setpgid(0, 0);
    if (kin_init(NULL, NULL) != 0)
        _exit(1);
    for (int i = 0; i < ITEMS; i++)
        in[i] = i + 7;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .start_method = KIN_START_FORK));
    kin_map_args args = {.size = sizeof args,
                         .in = in,
                         .in_size = sizeof *in,
                         .out = out,
                         .out_size = sizeof *out,
                         .count = ITEMS,
                         .journal = path};
    int error = kin_pool_map(pool, (kin_task_fn)work_slowly, &args);
    kin_pool_free(pool);
    if (error)
        fprintf(stderr, "%s\n", kin_error_message());
    _exit(error ? 2 : 0);
}

static uint64_t done_so_far(void)
{
    kin_journal_info so_far = {.size = sizeof so_far};
    return kin_journal_read(path, &so_far) == 0 ? so_far.done : 0;
}

static void kills_of_everything_cost_a_moments_work(void)
{
    begin();
    count_runs(ITEMS);
    int kills = 0, status = 1;
    for (uint64_t until = 50;; until += 90) {
        pid_t child = start_program();
        bool ended = false;
        while (!ended && (done_so_far() < until || kills == 8)) {
            ended = waitpid(child, &status, WNOHANG) == child;
            usleep(2000);
        }
        if (ended)
            break;
        kill(-child, SIGKILL); /* all of them */
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        kills++;
    }
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
    ck_assert_int_ge(kills, 5);
    ck_assert_uint_eq(info().done, ITEMS);
    /* Two workers, 2 ms an item: 100 items a look, and a look that was late for the machine's load. */
    ck_assert_int_le(sum_of_runs(ITEMS), ITEMS + kills * 250);
    test_init();
    kin_pool *pool = new_pool();
    int before = sum_of_runs(ITEMS);
    ck_assert_msg(map(pool, NULL, KIN_MAP_ARGS(.seed = 0), NULL) == 0, "%s", kin_error_message());
    ck_assert_int_eq(sum_of_runs(ITEMS), before);
    all_are_right();
    kin_pool_free(pool);
}

static void one_map_at_a_time_has_a_journal(void)
{
    begin();
    count_runs(ITEMS);
    pid_t child = start_program();
    while (done_so_far() < 20)
        usleep(1000);
    kill(-child, SIGSTOP);
    test_init();
    kin_pool *pool = new_pool();
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 0), NULL), KIN_EBUSY);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "another map is at it"));
    kill(-child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    ck_assert_int_eq(map(pool, NULL, KIN_MAP_ARGS(.seed = 0), NULL), 0);
    all_are_right();
    kin_pool_free(pool);
}

static int die_once(kin_task *task, const int *item, struct pair *result)
{
    if (kin_task_index(task) % 100 == 50 && kin_task_attempt(task) == 0)
        kill(getpid(), SIGKILL);
    return work(task, item, result);
}

/* A worker that is started in the middle of a map has the journal's descriptor too, and outlives the map. */
static void workers_replaced_meanwhile_do_not_keep_it(void)
{
    begin();
    count_runs(ITEMS);
    test_init();
    kin_pool *pool = new_pool();
    kin_map_args args = {.size = sizeof args,
                         .in = in,
                         .in_size = sizeof *in,
                         .out = out,
                         .out_size = sizeof *out,
                         .count = ITEMS,
                         .journal = path,
                         .retries = 1};
    ck_assert_msg(kin_pool_map(pool, (kin_task_fn)die_once, &args) == 0, "%s", kin_error_message());
    double began = kin__os_now();
    ck_assert_msg(kin_pool_map(pool, (kin_task_fn)die_once, &args) == 0, "%s", kin_error_message());
    ck_assert_double_lt(kin__os_now() - began, 1.5);
    all_are_right();
    ck_assert_int_eq(sum_of_runs(ITEMS), ITEMS);
    kin_pool_free(pool);
}

static const struct test tests[] = {
    {"second_run_does_nothing", second_run_does_nothing, 10, TEST_NOT_VALGRIND},
    {"what_failed_is_tried_again", what_failed_is_tried_again, 10, TEST_NOT_VALGRIND},
    {"stop_at_a_failure_keeps_what_was_done", stop_at_a_failure_keeps_what_was_done, 10, TEST_NOT_VALGRIND},
    {"other_jobs_are_refused", other_jobs_are_refused, 10, TEST_NOT_VALGRIND},
    {"what_is_no_journal_is_left_alone", what_is_no_journal_is_left_alone, 10, TEST_NOT_VALGRIND},
    {"torn_end_is_cut_at_any_byte", torn_end_is_cut_at_any_byte, 10, 0},
    {"no_changed_byte_passes", no_changed_byte_passes, 10, 0},
    {"old_records_do_not_pass_for_new_ones", old_records_do_not_pass_for_new_ones, 10, 0},
    {"outputs_larger_than_the_buffer_go_in", outputs_larger_than_the_buffer_go_in, 10, 0},
    {"full_disk_is_told_and_costs_no_results", full_disk_is_told_and_costs_no_results, 20, TEST_NOT_VALGRIND},
    {"loops_and_inline_pools_have_journals", loops_and_inline_pools_have_journals, 10, TEST_NOT_VALGRIND},
    /* AddressSanitizer: four million items take it a minute */
    {"windows_are_resumed_each", windows_are_resumed_each, 60, TEST_NOT_VALGRIND | TEST_NOT_ASAN},
    {"maps_that_are_not_waited_for_have_none", maps_that_are_not_waited_for_have_none, 10, TEST_NOT_VALGRIND},
    {"memory_that_goes_with_results_is_refused", memory_that_goes_with_results_is_refused, 10,
     TEST_NOT_VALGRIND},
    {"kills_of_everything_cost_a_moments_work", kills_of_everything_cost_a_moments_work, 60,
     TEST_NOT_VALGRIND},
    {"one_map_at_a_time_has_a_journal", one_map_at_a_time_has_a_journal, 30, TEST_NOT_VALGRIND},
    {"workers_replaced_meanwhile_do_not_keep_it", workers_replaced_meanwhile_do_not_keep_it, 20,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("journal", tests)
