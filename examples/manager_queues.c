/*
 * manager_queues.c - a queue that is shared by inheritance, and one in a manager, side by side. Beside it, manager_queues.py.
 *
 * Python's Queue goes to children only, when they are started; Manager().Queue() is a proxy, which goes anywhere. kin's queue is a
 * pointer that any member of the family may be given at any time; a manager's is for those beyond it, and for values of any type.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

#define MESSAGES 3

static void die(const char *what)
{
    fprintf(stderr, "manager_queues: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct queues {
    kin_queue *inherited;
    kin_proxy *managed;
};

static int produce(void *arg)
{
    const struct queues *queues = arg;
    for (int i = 1; i <= MESSAGES; i++) {
        if (kin_queue_put(queues->inherited, &i, sizeof i, KIN_FOREVER))
            return 1;
        if (kin_proxy_put(queues->managed, KIN_ANY(i), KIN_FOREVER))
            return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_manager *manager = kin_manager_start(NULL);
    struct queues queues = {
        .inherited = kin_queue_new(NULL),
        .managed = kin_proxy_new(manager, "Queue", NULL, 0),
    };
    if (!queues.inherited || !queues.managed)
        die("queues");
    kin_process *producer = kin_process_start(produce, &queues, sizeof queues, NULL);
    if (!producer)
        die("process");
    for (int i = 0; i < MESSAGES; i++) {
        int number;
        kin_any value;
        if (kin_queue_get(queues.inherited, &number, sizeof number, NULL, KIN_FOREVER))
            die("get");
        if (kin_proxy_take(queues.managed, &value, KIN_FOREVER))
            die("take");
        printf("%d by inheritance, %d by the manager\n", number, (int)value.integer);
    }
    if (kin_process_join(producer, KIN_FOREVER))
        die("join");
    kin_process_free(producer);
    kin_proxy_free(queues.managed);
    kin_manager_free(manager);
    return kin_queue_free(queues.inherited);
}
