/*
 * pool/interrupt.c - Ctrl-C during a map.
 *
 * With SIGINT at its default, the program would be gone before the map could return: a handler stands in
 * for the time of the map. Maps of several pools may run at once, in several threads. A map begins it only
 * when it has to sleep, as its three system calls would cost a short one more than all else: who presses
 * Ctrl-C in the first 20 us is served as if a moment earlier.
 */
#include "base/in_child.h"
#include "family/member.h"
#include "os/os.h"
#include "pool/map.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#define EVENTS 16

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int maps;
static struct sigaction before;
static bool installed;
static _Atomic(_Atomic uint32_t *) events[EVENTS]; /* whom to wake; those without a place look each 0.1 s */
static _Atomic bool interrupted;
static _Atomic int handling; /* threads in the handler, which may have read an entry of `events` */

/* A plain fork's child that has not come to give_back_in_child() yet: Ctrl-C means it, too. */
static bool in_new_child(void)
{
    return !__atomic_load_n(kin__alive_page, __ATOMIC_RELAXED);
}

static void on_interrupt(int number)
{
    int saved = errno;
    if (in_new_child()) {
        sigaction(number, &before, NULL);
        raise(number); /* delivered when this handler returns */
        return;
    }
    atomic_fetch_add(&handling, 1);
    atomic_store(&interrupted, true);
    for (int i = 0; i < EVENTS; i++) {
        _Atomic uint32_t *event = atomic_load(&events[i]);
        if (event) {
            atomic_fetch_add(event, 1);
            kin__os_futex_wake(event, INT_MAX);
        }
    }
    atomic_fetch_sub(&handling, 1);
    errno = saved;
}

void kin__interrupt_begin(_Atomic uint32_t *event)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < EVENTS; i++)
        if (!atomic_load(&events[i])) {
            atomic_store(&events[i], event);
            break;
        }
    if (maps++ == 0) {
        atomic_store(&interrupted, false);
        struct sigaction ours = {.sa_handler = on_interrupt};
        sigaction(SIGINT, NULL, &before);
        installed = !(before.sa_flags & SA_SIGINFO) && before.sa_handler == SIG_DFL;
        if (installed)
            sigaction(SIGINT, &ours, NULL);
    }
    pthread_mutex_unlock(&mutex);
}

void kin__interrupt_end(_Atomic uint32_t *event)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < EVENTS; i++)
        if (atomic_load(&events[i]) == event)
            atomic_store(&events[i], NULL);
    while (atomic_load(&handling)) /* the event may be freed as soon as we return */
        sched_yield();
    if (--maps == 0 && installed)
        sigaction(SIGINT, &before, NULL);
    pthread_mutex_unlock(&mutex);
}

/* A plain fork in the middle of a map is not to swallow Ctrl-C, whether or not it ever calls kin. */
KIN__IN_CHILD static void give_back_in_child(void)
{
    if (maps > 0 && installed)
        sigaction(SIGINT, &before, NULL);
}

void kin__interrupt_setup(void)
{
    pthread_atfork(NULL, NULL, give_back_in_child);
}

KIN__IN_CHILD void kin__interrupt_forked(void)
{
    kin__mutex_forked(&mutex);
    maps = 0;
    atomic_store(&handling, 0);
    for (int i = 0; i < EVENTS; i++)
        atomic_store(&events[i], NULL);
}

bool kin__interrupted(void)
{
    return atomic_load(&interrupted);
}
