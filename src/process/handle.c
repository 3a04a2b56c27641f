/* process/handle.c - see handle.h. */
#include "process/handle.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/member.h"
#include "family/region.h"
#include "family/sealed.h"
#include "os/os.h"

#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLOSING (INT_MIN / 2)

static struct kin__handle *used; /* list, by the mutex */
static unsigned char *area;      /* NULL: not mapped yet; by the mutex, never changed once it is set */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

bool kin__handle_area_holds(const void *pointer)
{
    return kin__region && kin__region->base - (uintptr_t)pointer - 1 < KIN__HANDLES_AREA;
}

bool kin__handle_is(const void *pointer, uint32_t magic)
{
    if (!kin__handle_area_holds(pointer) || ((uintptr_t)pointer & (KIN__HANDLE_SIZE - 1)) != 0 || !area)
        return false;
    const struct kin__object *head = pointer;
    return atomic_load_explicit(&head->magic, memory_order_acquire) == magic; /* pairs with publish */
}

static int refuse(const void *pointer, uint32_t magic, const char *what)
{
    const char *wanted = kin__object_kind(magic);
    if (!pointer || !kin__handle_area_holds(pointer))
        return kin__object_refuse(pointer, magic, what);
    const char *found = area && ((uintptr_t)pointer & (KIN__HANDLE_SIZE - 1)) == 0
                            ? kin__object_kind(atomic_load(&((const struct kin__object *)pointer)->magic))
                            : NULL;
    if (found)
        return kin__fail(KIN_EINVAL, "cannot %s: %p is not a %s but a %s", what, pointer, wanted, found);
    return kin__fail(
        KIN_EINVAL,
        "cannot %s: this process has no %s %p: it is closed, or another process's (children have what "
        "their argument names, others what was sent to them)",
        what, wanted, pointer);
}

int kin__handle_enter(const void *pointer, uint32_t magic, const char *what)
{
    if (!kin__handle_is(pointer, magic))
        return refuse(pointer, magic, what);
    struct kin__handle *handle = (struct kin__handle *)pointer;
    if (atomic_fetch_add(&handle->users, 1) >= 0 && kin__handle_is(pointer, magic))
        return 0;
    atomic_fetch_sub(&handle->users, 1);
    return refuse(pointer, magic, what);
}

void kin__handle_leave(const void *pointer)
{
    atomic_fetch_sub(&((struct kin__handle *)pointer)->users, 1);
}

/* Under the mutex. */
static int map_area(void)
{
    void *at = NULL;
    if (area)
        return 0;
    if (kin__os_map_private((void *)(kin__region->base - KIN__HANDLES_AREA), KIN__HANDLES_AREA, &at) != 0)
        return kin_error_code();
    area = at;
    return 0;
}

/* Under the mutex. The place is nobody's: magic and users are 0. */
static struct kin__handle *find_place(void)
{
    _Atomic uint32_t *numbers = kin__own(&kin__region->handles);
    for (unsigned tries = 0; tries < KIN__HANDLES; tries++) {
        uint32_t number = atomic_fetch_add(numbers, 1) % KIN__HANDLES;
        struct kin__handle *handle = (struct kin__handle *)(void *)(area + number * (size_t)KIN__HANDLE_SIZE);
        if (atomic_load(&handle->users) == 0 && !atomic_load(&handle->head.magic))
            return handle;
    }
    kin__fail(KIN_ELIMIT, "this process has %u connections and listeners, the most there can be",
              KIN__HANDLES);
    return NULL;
}

static void fill(struct kin__handle *handle, int fd, uint32_t flags)
{
    memset((char *)handle + sizeof handle->head, 0, KIN__HANDLE_SIZE - sizeof handle->head);
    handle->fd = fd;
    handle->flags = flags;
    pthread_mutex_init(&handle->locks[0], NULL);
    pthread_mutex_init(&handle->locks[1], NULL);
    atomic_store(&handle->users, 1);
    handle->next = used;
    used = handle;
}

struct kin__handle *kin__handle_new(int fd, uint32_t flags)
{
    if (!kin__self_id())
        return NULL;
    pthread_mutex_lock(&mutex);
    struct kin__handle *handle = map_area() == 0 ? find_place() : NULL;
    if (handle)
        fill(handle, fd, flags);
    pthread_mutex_unlock(&mutex);
    return handle;
}

void *kin__handle_publish(struct kin__handle *handle, enum kin__object_magic magic)
{
    atomic_store_explicit(&handle->head.magic, magic, memory_order_release); /* pairs with kin__handle_is */
    kin__handle_leave(handle);
    return handle;
}

bool kin__handle_lock(struct kin__handle *handle, unsigned which, double deadline)
{
    pthread_mutex_t *lock = &handle->locks[which];
    if (pthread_mutex_trylock(lock) == 0)
        return true;
    double left = kin__os_left(deadline);
    if (left > INT32_MAX) /* beyond what a time_t has room for, perhaps; some 60 years */
        return pthread_mutex_lock(lock) == 0;
    return kin__os_mutex_lock_for(lock, (uint64_t)(left * 1e9)) == 0;
}

int kin__handle_free(void *pointer, const char *what, int *fd)
{
    struct kin__handle *handle = pointer;
    int32_t alone = 1;
    if (!atomic_compare_exchange_strong(&handle->users, &alone, CLOSING))
        return kin__fail(KIN_EBUSY, "could not %s: another thread is in a call of it", what);
    pthread_mutex_lock(&mutex);
    *fd = handle->fd;
    atomic_store(&handle->head.magic, 0);
    struct kin__handle **link = &used;
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    /* Who has come too late takes back its own count: so what is added is taken off again, and nothing is stored. */
    atomic_fetch_sub(&handle->users, CLOSING);
    pthread_mutex_unlock(&mutex);
    return 0;
}

bool kin__handles_any(void)
{
    return area != NULL;
}

uint32_t kin__handle_place(const void *pointer)
{
    return (uint32_t)(((uintptr_t)pointer - (kin__region->base - KIN__HANDLES_AREA)) / KIN__HANDLE_SIZE);
}

void *kin__handle_at(uint32_t place)
{
    return (void *)(kin__region->base - KIN__HANDLES_AREA + place * (size_t)KIN__HANDLE_SIZE);
}

int kin__handle_put(uint32_t place, enum kin__object_magic magic, uint32_t flags, int fd)
{
    struct kin__handle *handle = kin__handle_at(place);
    int error = 0;
    pthread_mutex_lock(&mutex);
    if (map_area() != 0)
        error = kin_error_code();
    else if (atomic_load(&handle->head.magic))
        error = kin__fail(KIN_EBUSY, "cannot have the %s %p here: another one lies there",
                          kin__object_kind(magic), (void *)handle);
    else
        fill(handle, fd, flags);
    pthread_mutex_unlock(&mutex);
    if (!error)
        kin__handle_publish(handle, magic);
    return error;
}

void kin__handles_before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

void kin__handles_after_fork(void)
{
    pthread_mutex_unlock(&mutex);
}

/* As many as threads may be at it at once; of more, children keep their copies. 0: none, as descriptors of kin are high ones. */
static _Atomic int passing[64];
#define PASSING (sizeof passing / sizeof *passing)

void kin__passing_note(int fd)
{
    for (size_t i = 0; i < PASSING; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&passing[i], &none, fd))
            return;
    }
}

void kin__passing_forget(int fd)
{
    for (size_t i = 0; i < PASSING; i++) {
        int its = fd;
        if (atomic_compare_exchange_strong(&passing[i], &its, 0))
            return;
    }
}

void kin__passing_close(int fd)
{
    pthread_mutex_lock(&mutex); /* no fork in between */
    kin__passing_forget(fd);
    close(fd);
    pthread_mutex_unlock(&mutex);
}

/* The calls of the parent's other threads are not this process's. */
KIN__IN_CHILD void kin__handles_forked(void)
{
    for (size_t i = 0; i < PASSING; i++) {
        int fd = atomic_load(&passing[i]);
        if (!fd) /* mostly: a store would be a page to fault in and to copy */
            continue;
        close(fd);
        atomic_store(&passing[i], 0);
    }
    if (area)
        for (struct kin__handle *handle = used; handle; handle = handle->next) {
            kin__mutex_forked(&handle->locks[0]);
            kin__mutex_forked(&handle->locks[1]);
            atomic_store(&handle->users, atomic_load(&handle->head.magic) ? 0 : 1);
        }
    kin__mutex_forked(&mutex);
}
