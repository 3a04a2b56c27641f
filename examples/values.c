/* values.c - a number and an array in shared memory, each with a lock, changed by a child; and what several add up. */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>

struct shared {
    kin_value *number, *count;
    kin_array *array, *text;
};

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kin_error_message());
    exit(1);
}

static int change(void *arg)
{
    struct shared *shared = arg;
    double pi = 3.1415927;
    if (kin_value_set(shared->number, &pi, sizeof pi) ||
        kin_array_set_string(shared->text, "hello from a child"))
        return 1;
    int *items = kin_array_get_obj(shared->array);
    if (kin_array_acquire(shared->array, KIN_FOREVER))
        return 1;
    for (size_t i = 0; i < kin_array_count(shared->array); i++)
        items[i] = -items[i];
    return kin_array_release(shared->array);
}

static int count_up(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 1000; i++)
        if (kin_value_fetch_add(shared->count, 1, NULL)) /* under the value's lock */
            return 1;
    return 0;
}

static void run(kin_process_fn fn, struct shared *shared, int count)
{
    kin_process *processes[4];
    for (int i = 0; i < count; i++)
        if (!(processes[i] = kin_process_start_shared(fn, shared, NULL)))
            die("start");
    for (int i = 0; i < count; i++) {
        kin_process_join(processes[i], KIN_FOREVER);
        kin_process_free(processes[i]);
    }
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    const int numbers[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct shared *shared = kin_calloc(1, sizeof *shared);
    if (!shared || !(shared->number = KIN_VALUE(double, 0.0, NULL)) ||
        !(shared->count = KIN_VALUE(long, 0, NULL)) || !(shared->array = KIN_ARRAY(int, 10, numbers, NULL)) ||
        !(shared->text = KIN_ARRAY(char, 20, NULL, NULL)))
        die("values");
    run(change, shared, 1);
    double number;
    int slice[5];
    char text[21];
    if (kin_value_get(shared->number, &number, sizeof number) ||
        kin_array_get_slice(shared->array, (kin_slice){.start = 5, .stop = KIN_END}, slice, sizeof slice) ||
        kin_array_get_string(shared->text, text, sizeof text, NULL))
        die("get");
    printf("number: %.7f\n", number);
    printf("array from 5 on: %d %d %d %d %d\n", slice[0], slice[1], slice[2], slice[3], slice[4]);
    printf("text: %s\n", text);
    run(count_up, shared, 4);
    printf("4 processes counted to %ld\n", *(long *)kin_value_get_obj(shared->count));
    kin_value_free(shared->number);
    kin_value_free(shared->count);
    kin_array_free(shared->array);
    kin_array_free(shared->text);
    kin_free(shared);
    return 0;
}
