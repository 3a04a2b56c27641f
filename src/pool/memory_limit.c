/* pool/memory_limit.c - see memory_limit.h. */
#include "pool/memory_limit.h"

#include "family/thread.h"
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define SIGNAL_STACK 16384
#define FATALS (sizeof fatal / sizeof *fatal)

static struct kin__seat *limited;
static struct sigaction before[FATALS];
static size_t data_before; /* the soft limit that the worker has by itself */

/* Errno still tells why the last allocation failed: no success resets it. The signal is raised again with its
 * former disposition when this handler returns (a fault repeats, abort() insists). */
static void on_fatal(int number)
{
    limited->death_errno = errno;
    limited->death_data = kin__os_private_data();
    for (size_t i = 0; i < FATALS; i++)
        sigaction(fatal[i], &before[i], NULL);
    raise(number);
}

void kin__memory_limit_begin(struct kin__seat *seat, size_t limit)
{
    if (limit == 0)
        return;
    limited = seat;
    seat->death_errno = -1;
    seat->death_data = 0;
    static void
        *signal_stack; /* on the heap: in .bss it would spread what each fork copies over more pages */
    if (!signal_stack)
        signal_stack = malloc(SIGNAL_STACK);
    stack_t stack = {.ss_sp = signal_stack, .ss_size = SIGNAL_STACK};
    if (signal_stack)
        sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    for (size_t i = 0; i < FATALS; i++)
        sigaction(fatal[i], &action, &before[i]);
    errno = 0;
    data_before = kin__os_private_data_limit();
    if (seat->data_ready + limit < data_before)
        kin__os_limit_private_data(seat->data_ready + limit);
    kin__thread_set_quota(limit);
}

void kin__memory_limit_end(struct kin__seat *seat, size_t limit)
{
    if (limit == 0)
        return;
    (void)seat;
    kin__thread_set_quota(SIZE_MAX);
    kin__os_limit_private_data(data_before);
    for (size_t i = 0; i < FATALS; i++)
        sigaction(fatal[i], &before[i], NULL);
}
