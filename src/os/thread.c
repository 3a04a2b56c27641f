/*
 * os/thread.c - threads of kin's own.
 *
 * Under AddressSanitizer's runtime a new thread takes locks before its first line of code: it asks for its stack by
 * pthread_getattr_np, which allocates, from a cache that is empty. Until LLVM 18 (llvm-project pull request 75290; gcc 12 is
 * before it) a fork does not wait for these locks, and the child of one at that moment waits for ever in an
 * allocation. Whoever forks holds what kin's threads would need for going on, but that keeps only those that have come to
 * code of kin's. So there, who starts one waits until it has.
 */
#include "os/os.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

/* AddressSanitizer's and LeakSanitizer's runtimes have it; it is public, in sanitizer/lsan_interface.h. */
void __lsan_do_leak_check(void) __attribute__((weak));

struct beginning {
    void *(*run)(void *arg);
    void *arg;
    _Atomic uint32_t begun;
};

static void *begin(void *arg)
{
    struct beginning *beginning = arg;
    void *(*run)(void *arg) = beginning->run;
    void *its = beginning->arg;
    /* Release: partner is the acquire in begin_and_wait. After it the starter's stack is not ours to look at: a wake may
     * be of nobody. */
    atomic_store_explicit(&beginning->begun, 1, memory_order_release);
    kin__os_futex_wake(&beginning->begun, 1);
    return run(its);
}

static int begin_and_wait(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    struct beginning beginning = {.run = run, .arg = arg};
    int error = pthread_create(thread, NULL, begin, &beginning);
    while (!error && !atomic_load_explicit(&beginning.begun, memory_order_acquire))
        kin__os_futex_wait(&beginning.begun, 0, INFINITY);
    return error;
}

int kin__os_mutex_lock_for(pthread_mutex_t *mutex, uint64_t ns)
{
#if defined(__SANITIZE_THREAD__)
    /* gcc's ThreadSanitizer has no interceptor for pthread_mutex_clocklock, and that for pthread_mutex_timedlock forgets a mutex which comes
     * from a dead owner (gcc 12, libsanitizer/tsan/tsan_interceptors_posix.cpp): it takes their unlock for a fault. */
    uint64_t until = kin__os_now_ns() + ns;
    int error;
    while ((error = pthread_mutex_trylock(mutex)) == EBUSY) {
        if (kin__os_now_ns() >= until)
            return ETIMEDOUT;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
    return error;
#else
    struct timespec until = kin__os_moment_in(ns);
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#endif
}

static int start_blocking(const sigset_t *blocked, pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, blocked, &before);
    int error =
        __lsan_do_leak_check ? begin_and_wait(thread, run, arg) : pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int kin__os_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t every;
    sigfillset(&every);
    return start_blocking(&every, thread, run, arg);
}

int kin__os_user_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t others;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&others, faults[i]);
    return start_blocking(&others, thread, run, arg);
}
