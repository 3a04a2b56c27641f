/* c_syncs.c - what the C library and the kernel have: robust mutexes, POSIX semaphores, and a bare futex. */
#include "run_c.h"
#include "syncs.h"

#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct objects {
    _Alignas(128) pthread_mutex_t mutex;
    _Alignas(128) sem_t semaphore;
    _Alignas(128) _Atomic uint32_t word; /* permits */
};

/* As their users have to: an owner may have died, a wait may be interrupted. */
static void check(int error)
{
    if (error)
        bench_fail("no lock, or no permit");
}

static void acquire_mutex(void *object)
{
    check(pthread_mutex_lock(object));
}

static void release_mutex(void *object)
{
    check(pthread_mutex_unlock(object));
}

static void acquire_semaphore(void *object)
{
    check(sem_wait(object));
}

static void release_semaphore(void *object)
{
    check(sem_post(object));
}

/* The least that a wake needs. */
static void acquire_futex(void *object)
{
    _Atomic uint32_t *word = object;

    while (!atomic_exchange(word, 0))
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void release_futex(void *object)
{
    _Atomic uint32_t *word = object;

    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void c_sync_open(const char *who)
{
    struct objects *objects =
        mmap(NULL, sizeof *objects, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;

    if (objects == MAP_FAILED)
        bench_fail("no memory");
    if (!strcmp(who, "futex")) {
        bench_sync_open(&(struct bench_sync){acquire_futex, release_futex, &objects->word, true});
    } else if (!strcmp(who, "sem_t")) {
        sem_init(&objects->semaphore, 1, bench_sync_begins_empty() ? 0 : 1);
        bench_sync_open(
            &(struct bench_sync){acquire_semaphore, release_semaphore, &objects->semaphore, true});
    } else {
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&objects->mutex, &attributes);
        pthread_mutexattr_destroy(&attributes);
        bench_sync_open(&(struct bench_sync){acquire_mutex, release_mutex, &objects->mutex, false});
    }
}
