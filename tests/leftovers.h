/* leftovers.h - what a test left behind: processes, named IPC objects, descriptors. */
#ifndef KIN_TESTS_LEFTOVERS_H
#define KIN_TESTS_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Text that grows up to its end and is cut there. */
struct report {
    char text[6000];
    size_t length;
};
void report_add(struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Whether this program is run by valgrind, whose version 3.19 lacks newer system calls. */
bool under_valgrind(void);

/* ---- processes ------------------------------------------------------------------------------- */

/* Adopt every orphan among the descendants from now on. */
void leftovers_adopt(void);

/* Wait until a process has ended (not: is reaped), up to `seconds`; whether it has. */
bool leftovers_wait(pid_t pid, double seconds);

/*
 * Wait up to `grace` seconds for all descendants to end, and reap them. Those that did not are described in
 * `report`, killed and reaped. The number of these.
 */
int leftovers_end_processes(double grace, struct report *report);

/* Say what each descendant is doing. */
void leftovers_describe_processes(struct report *report);

/* ---- named objects --------------------------------------------------------------------------- */

/* Sorted lines: "/dev/shm/NAME", "mqueue NAME", "sysv shm 0 32769", ... */
struct names {
    char (*line)[160];
    size_t count, capacity;
};

/* Give this process and what it will fork an IPC namespace and a /dev/shm of their own; false: not allowed. */
bool leftovers_isolate(void);

/*
 * The same for the files below some directories: each is empty then, but for this program, which stays where it is.
 * False: not allowed.
 */
bool leftovers_isolate_files(const char *const *directories, size_t count);

void leftovers_list_names(struct names *names);
/* Add what is in `after` and not in `before` to the report; the number of these. Frees both. */
int leftovers_new_names(struct names *before, struct names *after, struct report *report);

/* ---- descriptors ----------------------------------------------------------------------------- */

struct descriptor {
    int fd;
    char target[120];
};
struct descriptors {
    struct descriptor at[1024];
    size_t count;
};

void leftovers_list_descriptors(struct descriptors *out);
/*
 * The same for descriptors open now and not in `before`. Not counted is what a family keeps open in a member
 * for as long as it lives, at most once each (see the list in leftovers.c).
 */
int leftovers_new_descriptors(const struct descriptors *before, struct report *report);

#endif
