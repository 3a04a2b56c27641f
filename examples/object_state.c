/*
 * object_state.c - an object that cannot be copied to another process, sent with its state. Beside it, object_state.py.
 *
 * The counter holds a lock and a list, all in one arena but for the lock. It goes through the queue as it is, by its pointer: the child
 * works on the object itself, and nothing has to know how to take it apart. (Python pickles a copy; its lock it cannot pickle, so the
 * class has to say what is to be left out, and what to make anew.)
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

struct entry {
    struct entry *next;
    int value;
};

struct counter {
    kin_lock *lock;
    struct entry *entries;
    int count;
};

static void die(const char *what)
{
    fprintf(stderr, "object_state: %s: %s\n", what, kin_error_message());
    exit(1);
}

static int add(kin_arena *arena, struct counter *counter, int value)
{
    struct entry *entry = kin_arena_malloc(arena, sizeof *entry);
    if (!entry || kin_lock_acquire(counter->lock, KIN_FOREVER))
        return kin_error_code();
    *entry = (struct entry){.next = counter->entries, .value = value};
    counter->entries = entry;
    counter->count++;
    return kin_lock_release(counter->lock);
}

static int worker(void *arg)
{
    kin_queue **queues = arg;
    kin_message message;
    int error = kin_queue_take(queues[0], &message, KIN_FOREVER);
    if (!error)
        error = add(message.arena, message.data, 4);
    return error ? error : kin_queue_give_arena(queues[1], message.arena, message.data, KIN_FOREVER);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_queue *queues[2] = {kin_queue_new(NULL), kin_queue_new(NULL)};
    kin_arena *arena = kin_arena_new();
    struct counter *counter = arena ? kin_arena_malloc(arena, sizeof *counter) : NULL;
    if (!queues[0] || !queues[1] || !counter)
        die("memory");
    *counter = (struct counter){.lock = kin_lock_new(NULL)};
    for (int i = 1; i <= 3; i++)
        if (!counter->lock || add(arena, counter, i))
            die("add");
    kin_process *process = kin_process_start(worker, queues, sizeof queues, NULL);
    kin_message message;
    if (!process || kin_queue_give_arena(queues[0], arena, counter, KIN_FOREVER) ||
        kin_queue_take(queues[1], &message, KIN_FOREVER))
        die("there and back");
    counter = message.data;
    printf("%d entries:", counter->count);
    for (const struct entry *entry = counter->entries; entry; entry = entry->next)
        printf(" %d", entry->value);
    printf("\n");
    if (kin_process_join(process, KIN_FOREVER) || kin_lock_free(counter->lock))
        die("end");
    kin_process_free(process);
    kin_arena_free(message.arena);
    return kin_queue_free(queues[0]) || kin_queue_free(queues[1]);
}
