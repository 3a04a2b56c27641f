/*
 * process.c - the Process class: start, join, and how a process ended. Beside it, process.py.
 *
 *   Python                                     here
 *   ----------------------------------------   ---------------------------------------------------------
 *   p = Process(target=add, args=(1, 2))       p = kin_process_start(add, &args, sizeof args, NULL)
 *   p.start()                                  (it has started)
 *   p.join()                                   kin_process_join(p, KIN_FOREVER)
 *   p.exitcode: 3, or -15 for SIGTERM          kin_process_end(p, &end): an exit code or a signal, in
 *                                              fields of their own
 *   p.close()                                  kin_process_free(p)
 *
 * A process's body is any function of this type, a static one too:  int body(void *arg)
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What Python passes as args=(...) is a struct here. The child gets a copy of its bytes. */
struct numbers {
    int a, b;
};

static int add(void *arg)
{
    const struct numbers *numbers = arg;
    printf("child %s: %d + %d = %d\n", kin_process_name(kin_current_process()), numbers->a, numbers->b,
           numbers->a + numbers->b);
    return 0; /* the exit code, 0 to 255 */
}

static int give_up(void *arg)
{
    (void)arg;
    printf("child %s: this will not work\n", kin_process_name(kin_current_process()));
    return 3;
}

static int sleep_on(void *arg)
{
    (void)arg;
    sleep(3600);
    return 0;
}

/* Most functions of kin return 0 or a negative code, and constructors a pointer or NULL; either way
 * kin_error_message() tells what failed, on which object, and why. */
static void die(const char *what)
{
    fprintf(stderr, "process: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* Wait for a process, say how it ended, and let go of it. */
static void finish(kin_process *process)
{
    kin_end end;
    if (kin_process_join(process, KIN_FOREVER) || kin_process_end(process, &end))
        die("join");
    if (end.how == KIN_END_EXITED)
        printf("%s ended with exit code %d\n", kin_process_name(process), end.exit_code);
    else if (end.how == KIN_END_SIGNALED)
        printf("%s was ended by signal %d\n", kin_process_name(process), end.signal);
    else
        printf("%s ended, and the program itself took its exit status\n", kin_process_name(process));
    kin_process_free(process);
}

int main(int argc, char **argv)
{
    /* Stands first, as `if __name__ == "__main__":` does in Python: a spawned child goes no further. */
    if (kin_init(&argc, &argv))
        die("start");

    struct numbers numbers = {1, 2};
    kin_process *adder =
        kin_process_start(add, &numbers, sizeof numbers, KIN_PROCESS_OPTIONS(.name = "adder"));
    if (!adder)
        die("adder");
    finish(adder);

    kin_process *quitter = kin_process_start(give_up, NULL, 0, KIN_PROCESS_OPTIONS(.name = "quitter"));
    if (!quitter)
        die("quitter");
    finish(quitter);

    /* One that has to be stopped. */
    kin_process *sleeper = kin_process_start(sleep_on, NULL, 0, KIN_PROCESS_OPTIONS(.name = "sleeper"));
    if (!sleeper)
        die("sleeper");
    if (kin_process_join(sleeper, 0.1) == KIN_ETIMEDOUT) /* not a failure: it is what we asked for */
        printf("sleeper %s\n", kin_process_is_alive(sleeper) ? "is alive" : "is not alive");
    if (kin_process_terminate(sleeper))
        die("terminate");
    finish(sleeper);
    return 0;
}
