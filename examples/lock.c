/* lock.c - several processes count in one place, one at a time. */
#include <kin.h>
#include <stdio.h>

struct counter {
    kin_lock *lock;
    long value;
};

static int count(void *arg)
{
    struct counter *counter = arg;
    for (int i = 0; i < 1000; i++) {
        if (kin_lock_acquire(counter->lock, KIN_FOREVER))
            return 1;
        counter->value++;
        kin_lock_release(counter->lock);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv)) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    struct counter *counter = kin_calloc(1, sizeof *counter);
    if (!counter || !(counter->lock = kin_lock_new(NULL))) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    kin_process *processes[4];
    for (int i = 0; i < 4; i++)
        if (!(processes[i] = kin_process_start_shared(count, counter, NULL))) {
            fprintf(stderr, "%s\n", kin_error_message());
            return 1;
        }
    for (int i = 0; i < 4; i++) {
        kin_process_join(processes[i], KIN_FOREVER);
        kin_process_free(processes[i]);
    }
    printf("4 processes counted to %ld\n", counter->value);
    printf("acquired: %d\n", kin_lock_acquire(counter->lock, 0) == 0);
    printf("acquired again: %d\n", kin_lock_acquire(counter->lock, 0.1) == 0);
    kin_lock_release(counter->lock);
    kin_lock_free(counter->lock);
    kin_free(counter);
    return 0;
}
