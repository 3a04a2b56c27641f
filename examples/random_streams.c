/* random_streams.c - pi from random points: each task draws from a stream of its own, so any number of workers finds the same. */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TASKS = 8, POINTS = 2000 };

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kin_error_message());
    exit(1);
}

static int throw_points(kin_task *task, const int *points, int *hits)
{
    kin_random *random = kin_task_random(task);
    int inside = 0;
    for (int i = 0; i < *points; i++) {
        double x = kin_random_double(random), y = kin_random_double(random);
        inside += x * x + y * y < 1;
    }
    *hits = inside;
    return 0;
}

static void run(int workers, int *hits)
{
    int points[TASKS];
    for (int i = 0; i < TASKS; i++)
        points[i] = POINTS;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = workers));
    if (!pool || kin_pool_map(pool, (kin_task_fn)throw_points,
                              KIN_MAP_ARGS(.in = points, .in_size = sizeof *points, .out = hits,
                                           .out_size = sizeof *hits, .count = TASKS, .seed = 2026)))
        die("map");
    kin_pool_free(pool);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    int one[TASKS] = {0}, three[TASKS] = {0}, sum = 0;
    run(1, one);
    run(3, three);
    for (int i = 0; i < TASKS; i++) {
        printf("task %d: %d of %d points\n", i, one[i], POINTS);
        sum += one[i];
    }
    printf("pi is about %.4f\n", 4.0 * sum / (TASKS * POINTS));
    printf("three workers find %s\n", memcmp(one, three, sizeof one) == 0 ? "the same" : "something else");
    return 0;
}
