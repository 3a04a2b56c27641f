/* random_test.c - kin/random.h and kin_task_random: published vectors, another's implementation, distributions, the same numbers
 * whoever runs the task. */
#include "harness.h"

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/random.h"
#include "kin.h"

#ifdef HAVE_RANDOM123
#include <Random123/philox.h>
#endif

/* From kat_vectors of Random123 1.14, by the authors of the paper: counter, key, result. */
static const uint64_t published[][10] = {
    {0, 0, 0, 0, 0, 0, 0x16554d9eca36314c, 0xdb20fe9d672d0fdc, 0xd7e772cee186176b, 0x7e68b68aec7ba23b},
    {-1ull, -1ull, -1ull, -1ull, -1ull, -1ull, 0x87b092c3013fe90b, 0x438c3c67be8d0224, 0x9cc7d7c69cd777b6,
     0xa09caebf594f0ba0},
    {0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89, 0x452821e638d01377,
     0xbe5466cf34e90c6c, 0xa528f45403e61d95, 0x38c72dbd566e9788, 0xa5a1610e72fd18b5, 0x57bd43b5e52b7fe6},
};

static void published_vectors_are_met(void)
{
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        uint64_t out[4];
        kin__philox(published[i], published[i] + 4, out);
        ck_assert_mem_eq(out, published[i] + 6, sizeof out);
    }
}

static void stream_is_what_the_authors_library_gives(void)
{
#ifdef HAVE_RANDOM123
    kin_random seeds, random;
    kin_random_start(&seeds, 1, 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t seed = kin_random_bits(&seeds), stream = i % 2 ? kin_random_bits(&seeds) : (uint64_t)i;
        kin_random_start(&random, seed, stream);
        for (uint64_t block = 0; block < 8; block++) {
            philox4x64_ctr_t counter = {{block, 0, stream, 0}};
            philox4x64_key_t key = {{seed, 0}};
            philox4x64_ctr_t theirs = philox4x64(counter, key);
            for (int word = 0; word < 4; word++)
                ck_assert_uint_eq(kin_random_bits(&random), theirs.v[word]);
        }
    }
#else
    test_skip("librandom123-dev is not installed");
#endif
}

static void copy_goes_on_where_the_original_was(void)
{
    kin_random random, copy;
    kin_random_start(&random, 5, 6);
    for (int i = 0; i < 7; i++)
        kin_random_bits(&random);
    copy = random;
    for (int i = 0; i < 100; i++)
        ck_assert_uint_eq(kin_random_bits(&random), kin_random_bits(&copy));
}

static void damaged_state_reads_no_memory_beyond(void)
{
    for (uint64_t left = 0; left < 300; left++) {
        kin_random random;
        memset(&random, 0xff, sizeof random);
        random.left = left < 200 ? left : -left;
        kin_random_bits(&random);
        ck_assert_uint_lt(random.left, 4);
    }
}

/* Pearson's statistic of `count` draws into cells of equal probability. */
static double chi_square(const size_t *seen, size_t cells, size_t count)
{
    double expected = (double)count / (double)cells, sum = 0;
    for (size_t i = 0; i < cells; i++)
        sum += ((double)seen[i] - expected) * ((double)seen[i] - expected) / expected;
    return sum;
}

/* The draws are always the same, so nothing here is left to chance: each bound holds or does not. */
static void below_is_uniform_for_any_bound(void)
{
    kin_random random;
    for (uint64_t bound = 1; bound <= 40; bound++) {
        size_t seen[40] = {0}, count = 20000;
        kin_random_start(&random, 11, bound);
        for (size_t i = 0; i < count; i++) {
            uint64_t drawn = kin_random_below(&random, bound);
            ck_assert_uint_lt(drawn, bound);
            seen[drawn]++;
        }
        double freedom = (double)bound - 1;
        ck_assert_double_lt(chi_square(seen, bound, count), freedom + 5 * sqrt(2 * freedom) + 1e-9);
    }
}

/* With a bound of three quarters of 2^64 a plain product (or remainder) makes a third of the results twice as likely. */
static void below_is_not_biased_for_huge_bounds(void)
{
    kin_random random;
    kin_random_start(&random, 12, 0);
    uint64_t bound = (uint64_t)3 << 62;
    size_t residues[3] = {0}, thirds[3] = {0}, count = 60000;
    for (size_t i = 0; i < count; i++) {
        uint64_t drawn = kin_random_below(&random, bound);
        ck_assert_uint_lt(drawn, bound);
        residues[drawn % 3]++;
        thirds[drawn >> 62]++;
    }
    ck_assert_double_lt(chi_square(residues, 3, count), 12);
    ck_assert_double_lt(chi_square(thirds, 3, count), 12);
}

static void below_without_a_bound_gives_all_bits(void)
{
    kin_random random, copy;
    kin_random_start(&random, 13, 0);
    copy = random;
    ck_assert_uint_eq(kin_random_below(&random, 0), kin_random_bits(&copy));
}

static void doubles_are_uniform_and_never_one(void)
{
    kin_random random;
    kin_random_start(&random, 14, 0);
    size_t seen[100] = {0}, pairs[100] = {0}, count = 200000;
    double last = 0;
    for (size_t i = 0; i < count; i++) {
        double drawn = kin_random_double(&random);
        ck_assert(drawn >= 0 && drawn < 1);
        ck_assert(drawn * 0x1p53 == floor(drawn * 0x1p53));
        seen[(size_t)(drawn * 100)]++;
        pairs[(size_t)(drawn * 10) * 10 + (size_t)(last * 10)]++;
        last = drawn;
    }
    ck_assert_double_lt(chi_square(seen, 100, count), 99 + 5 * sqrt(2 * 99.0));
    ck_assert_double_lt(chi_square(pairs, 100, count), 99 + 5 * sqrt(2 * 99.0));
    /* The ends: all bits set is the largest below 1, none set is 0. */
    random = (kin_random){.words = {0, 0, UINT64_MAX, 0}, .left = 2};
    ck_assert(kin_random_double(&random) == 1 - 0x1p-53);
    ck_assert(kin_random_double(&random) == 0);
}

/* The largest distance of the distribution seen from the normal one (Kolmogorov and Smirnov), and moments. */
static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void normal_is_normal(void)
{
    enum { COUNT = 200000 };
    double *drawn = malloc(COUNT * sizeof *drawn), sum = 0, squares = 0, fourths = 0, far = 0;
    kin_random random;
    kin_random_start(&random, 15, 0);
    for (int i = 0; i < COUNT; i++) {
        double x = drawn[i] = kin_random_normal(&random);
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
        far += fabs(x) > 3;
    }
    qsort(drawn, COUNT, sizeof *drawn, ascending);
    double distance = 0;
    for (int i = 0; i < COUNT; i++) {
        double expected = erfc(-drawn[i] / sqrt(2)) / 2;
        distance = fmax(distance,
                        fmax(fabs(expected - i / (double)COUNT), fabs(expected - (i + 1) / (double)COUNT)));
    }
    free(drawn);
    ck_assert_double_lt(distance * sqrt(COUNT), 1.63); /* one in a hundred of true samples is beyond */
    ck_assert_double_lt(fabs(sum / COUNT), 4 / sqrt(COUNT));
    ck_assert_double_lt(fabs(squares / COUNT - 1), 4 * sqrt(2.0 / COUNT));
    ck_assert_double_lt(fabs(fourths / COUNT - 3), 4 * sqrt(96.0 / COUNT));
    double tail = erfc(3 / sqrt(2)) * COUNT;
    ck_assert_double_lt(fabs(far - tail), 4 * sqrt(tail));
}

static void bytes_are_the_words_bytes(void)
{
    kin_random random, words;
    kin_random_start(&random, 16, 0);
    words = random;
    unsigned char bytes[21] = {[20] = 77}; /* 20 of them asked for: two words and half of the third */
    kin_random_bytes(&random, bytes, 20);
    for (int i = 0; i < 20; i += 8) {
        uint64_t word = kin_random_bits(&words);
        for (int j = 0; j < 8 && i + j < 20; j++)
            ck_assert_uint_eq(bytes[i + j], word >> 8 * j & 0xff);
    }
    ck_assert_uint_eq(bytes[20], 77);
    ck_assert_uint_eq(kin_random_bits(&random), kin_random_bits(&words));
    kin_random_bytes(&random, NULL, 0);
}

static void streams_differ_from_their_neighbours(void)
{
    kin_random a, b;
    for (uint64_t i = 0; i < 64; i++) {
        int same = 0;
        kin_random_start(&a, 0, i);
        kin_random_start(&b, i % 2 ? 0 : 1, i + i % 2);
        for (int word = 0; word < 100; word++)
            same += __builtin_popcountll(~(kin_random_bits(&a) ^ kin_random_bits(&b)));
        ck_assert_int_lt(abs(same - 3200), 5 * 40); /* of 6,400 bits, half of them; standard deviation 40 */
    }
}

/* ---- tasks ----------------------------------------------------------------------------------- */

enum { TASKS = 200 };

struct drawn {
    uint64_t bits;
    double normal;
};

/* Tasks draw different numbers of numbers, and some kill their worker on the way when they are asked to. */
static int draw(kin_task *task, const int *deaths, struct drawn *out)
{
    kin_random *random = kin_task_random(task);
    if (kin_task_random(task) != random)
        return kin_task_fail(task, "another stream");
    double normal = 0; /* not in `out`, where the attempt before may have left something */
    for (size_t i = 0; i < kin_task_index(task) % 7; i++)
        normal += kin_random_normal(random);
    out->normal = normal;
    if (kin_task_attempt(task) < *deaths)
        kill(getpid(), SIGKILL);
    out->bits = kin_random_bits(random);
    return 0;
}

static void map_draws(const kin_pool_options *options, const kin_map_args *args, int deaths,
                      struct drawn *out)
{
    static int in[TASKS];
    for (int i = 0; i < TASKS; i++)
        in[i] = i % 40 == 5 ? deaths : 0;
    kin_map_args all = *args;
    all.in = in;
    all.in_size = sizeof *in;
    all.out = out;
    all.out_size = sizeof *out;
    all.count = TASKS;
    memset(out, 0, TASKS * sizeof *out);
    kin_pool *pool = kin_pool_new(options);
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    ck_assert_msg(kin_pool_map(pool, (kin_task_fn)draw, &all) == 0, "%s", kin_error_message());
    kin_pool_free(pool);
}

static void expect_streams(const struct drawn *out, uint64_t seed)
{
    for (uint64_t i = 0; i < TASKS; i++) {
        kin_random random;
        double normal = 0;
        kin_random_start(&random, seed, i);
        for (uint64_t j = 0; j < i % 7; j++)
            normal += kin_random_normal(&random);
        ck_assert(out[i].normal == normal);
        ck_assert_uint_eq(out[i].bits, kin_random_bits(&random));
    }
}

static void results_do_not_depend_on_who_works(void)
{
    test_init();
    static struct drawn out[TASKS];
    for (int workers = 1; workers <= 3; workers++)
        for (int deaths = 0; deaths <= 2; deaths += 2) {
            map_draws(KIN_POOL_OPTIONS(.workers = workers, .start_method = test_method()),
                      KIN_MAP_ARGS(.seed = 99, .retries = 2), deaths, out);
            expect_streams(out, 99);
        }
    map_draws(KIN_POOL_OPTIONS(.kind = KIN_POOL_INLINE), KIN_MAP_ARGS(.seed = 99), 0, out);
    expect_streams(out, 99);
    map_draws(KIN_POOL_OPTIONS(.workers = 2, .sealed = true, .start_method = test_method()),
              KIN_MAP_ARGS(.seed = 99), 0, out);
    expect_streams(out, 99);
}

static int draw_one(kin_task *task, size_t index, uint64_t *out)
{
    out[index] = kin_random_bits(kin_task_random(task));
    return 0;
}

/* The first numbers of some maps in a row. */
static void maps_in_a_row(uint64_t pool_seed, uint64_t *out, int maps)
{
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2, .seed = pool_seed));
    ck_assert_msg(pool != NULL, "%s", kin_error_message());
    uint64_t *shared = kin_malloc(2 * sizeof *shared);
    for (int i = 0; i < maps; i++) {
        ck_assert_int_eq(kin_for(pool, draw_one, shared, 2), 0);
        out[2 * i] = shared[0];
        out[2 * i + 1] = shared[1];
    }
    kin_free(shared);
    kin_pool_free(pool);
}

static void maps_without_a_seed_differ_and_come_again(void)
{
    test_init();
    uint64_t a[8], b[8], c[8], d[8];
    maps_in_a_row(7, a, 4);
    maps_in_a_row(7, b, 4);
    maps_in_a_row(0, c, 4);
    maps_in_a_row(0, d, 4);
    ck_assert_mem_eq(a, b, sizeof a); /* the same seed of the pool */
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            ck_assert(i == j || a[i] != a[j]);
            ck_assert(a[i] != c[j] && c[i] != d[j]); /* pools without a seed differ, too */
        }
}

/* Beyond a window (of 4 million items) streams go on by the index of the whole map. */
static int draw_if_late(kin_task *task, size_t index, uint64_t *out)
{
    if (index == (size_t)1 << 22)
        *out = kin_random_bits(kin_task_random(task));
    return 0;
}

static void streams_go_by_the_index_of_the_whole_map(void)
{
    test_init();
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 2));
    uint64_t *out = kin_calloc(1, sizeof *out);
    ck_assert_int_eq(kin_pool_for(pool, (kin_for_fn)draw_if_late,
                                  KIN_MAP_ARGS(.context = out, .count = ((size_t)1 << 22) + 1, .seed = 3)),
                     0);
    kin_random random;
    kin_random_start(&random, 3, (uint64_t)1 << 22);
    ck_assert_uint_eq(*out, kin_random_bits(&random));
    kin_free(out);
    kin_pool_free(pool);
}

static const struct test tests[] = {
    {"published_vectors_are_met", published_vectors_are_met, 5, 0},
    {"stream_is_what_the_authors_library_gives", stream_is_what_the_authors_library_gives, 5, 0},
    {"copy_goes_on_where_the_original_was", copy_goes_on_where_the_original_was, 5, 0},
    {"damaged_state_reads_no_memory_beyond", damaged_state_reads_no_memory_beyond, 5, 0},
    {"below_is_uniform_for_any_bound", below_is_uniform_for_any_bound, 10, 0},
    {"below_is_not_biased_for_huge_bounds", below_is_not_biased_for_huge_bounds, 10, 0},
    {"below_without_a_bound_gives_all_bits", below_without_a_bound_gives_all_bits, 5, 0},
    {"doubles_are_uniform_and_never_one", doubles_are_uniform_and_never_one, 10, 0},
    {"normal_is_normal", normal_is_normal, 10, 0},
    {"bytes_are_the_words_bytes", bytes_are_the_words_bytes, 5, 0},
    {"streams_differ_from_their_neighbours", streams_differ_from_their_neighbours, 5, 0},
    {"results_do_not_depend_on_who_works", results_do_not_depend_on_who_works, 40, TEST_EACH_METHOD},
    {"maps_without_a_seed_differ_and_come_again", maps_without_a_seed_differ_and_come_again, 20,
     TEST_NOT_VALGRIND},
    {"streams_go_by_the_index_of_the_whole_map", streams_go_by_the_index_of_the_whole_map, 30,
     TEST_NOT_VALGRIND},
};
TEST_MAIN("random", tests)
