/*
 * pool/dispatch.c - done functions, and the pool's descriptor.
 *
 * Functions are the maker's, in its private memory. Whoever finishes a record that wants it counts pool.finished and
 * calls the warden, which makes the descriptor readable; kin_pool_dispatch looks through all that have a done
 * function.
 */
#include "base/failure.h"
#include "os/os.h"
#include "pool/local.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define FIRST_CALLS 64

static int place_of_call(struct kin__desk *desk, size_t *place)
{
    for (size_t i = desk->calls_count; i-- > 0 && i + FIRST_CALLS > desk->calls_count;)
        if (!desk->calls[i].record) {
            *place = i;
            return 0;
        }
    if (desk->calls_count == desk->calls_room) {
        size_t room = desk->calls_room ? 2 * desk->calls_room : FIRST_CALLS;
        struct kin__call *calls = realloc(desk->calls, room * sizeof *calls);
        if (!calls)
            return kin__fail(KIN_ENOMEM, "could not note a done function: out of private memory");
        desk->calls = calls;
        desk->calls_room = room;
    }
    *place = desk->calls_count++;
    return 0;
}

static void note_limit(struct kin__desk *desk, double limit)
{
    if (limit <= 0 || (desk->least_limit > 0 && desk->least_limit <= limit))
        return;
    atomic_store(&desk->least_limit, limit);
    kin__call_warden(desk->pool); /* it looks that often from now on, while there is work */
}

int kin__desk_note(struct kin__desk *desk, kin_result *record, const kin_apply_args *args)
{
    size_t place = 0;
    if (args->done) {
        if (place_of_call(desk, &place) != 0)
            return kin_error_code();
        desk->calls[place] = (struct kin__call){.done = args->done, .arg = args->done_arg, .record = record};
        record->call = (uint32_t)place + 1;
    }
    if (args->done || desk->fd >= 0)
        atomic_store_explicit(&record->wants, KIN__WANTS_WARDEN, memory_order_relaxed);
    note_limit(desk, args->time_limit);
    note_limit(desk, args->soft_time_limit);
    note_limit(desk, args->cpu_limit);
    return 0;
}

static void forget(struct kin__desk *desk, size_t place)
{
    desk->calls[place].record = NULL;
    while (desk->calls_count && !desk->calls[desk->calls_count - 1].record)
        desk->calls_count--;
}

void kin__desk_forget(struct kin__desk *desk, kin_result *record)
{
    size_t place = record->call - 1;
    if (place < desk->calls_count && desk->calls[place].record == record)
        forget(desk, place);
}

/* Take the next call, of those from *from on, whose record is finished. */
static bool next_call(struct kin__desk *desk, size_t *from, struct kin__call *call)
{
    bool found = false;
    pthread_mutex_lock(&desk->mutex);
    for (size_t i = *from; i < desk->calls_count && !found; i++) {
        *from = i + 1;
        if (!desk->calls[i].record || !kin__work_finished(kin__record_state(desk->calls[i].record)))
            continue;
        *call = desk->calls[i];
        call->record->call = 0;
        forget(desk, i);
        found = true;
    }
    pthread_mutex_unlock(&desk->mutex);
    return found;
}

static int dispatch(struct kin__local *local, size_t *count)
{
    struct kin__desk *desk = &local->desk;
    struct kin__call call;
    size_t from = 0;
    eventfd_t told;
    pthread_mutex_lock(&desk->mutex);
    bool already = desk->dispatching;
    desk->dispatching = true;
    if (!already && desk->fd >= 0)
        eventfd_read(desk->fd, &told); /* before looking: what finishes later makes it readable again */
    pthread_mutex_unlock(&desk->mutex);
    if (already)
        return kin__fail(KIN_EBUSY, "pool \"%s\" is in the middle of a dispatch", local->pool->name);
    while (next_call(desk, &from, &call)) {
        call.done(call.record, call.arg);
        ++*count;
    }
    pthread_mutex_lock(&desk->mutex);
    desk->dispatching = false;
    pthread_mutex_unlock(&desk->mutex);
    return 0;
}

int kin_pool_dispatch(kin_pool *pool, size_t *count)
{
    size_t unasked;
    if (!count)
        count = &unasked;
    *count = 0;
    struct kin__local *local = kin__local_hold(pool, "dispatch");
    if (!local)
        return kin_error_code();
    int error = dispatch(local, count);
    kin__local_release(local);
    return error;
}

static int open_fd(struct kin__desk *desk)
{
    pthread_mutex_lock(&desk->mutex);
    if (desk->fd < 0)
        desk->fd = kin__os_high(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    int fd = desk->fd;
    int error = errno;
    if (fd >= 0 && desk->calls_count)
        eventfd_write(fd, 1); /* some may have finished already */
    pthread_mutex_unlock(&desk->mutex);
    if (fd >= 0)
        return fd;
    return kin__fail_errno(KIN_ESYSTEM, error, "could not make a descriptor for pool \"%s\"",
                           desk->pool->name);
}

int kin_pool_fd(kin_pool *pool)
{
    struct kin__local *local = kin__local_hold(pool, "make a descriptor");
    if (!local)
        return kin_error_code();
    int fd = open_fd(&local->desk);
    kin__local_release(local);
    return fd;
}
