/*
 * os/streams.c - what stdio and C++ streams hold: written out, dropped, or saved from a process that crashes.
 *
 * It goes by what glibc exports and declares for its own macros: the list of all streams (libio), and in each the link to the
 * next and the ends of what it holds. Where that is not to be had, less can be done.
 */
#include "os/os.h"

#include "base/in_child.h"
#include "os/raw.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <time.h>

#define AT_ONCE 4096
#define SAVE_PATIENCE_MS 1000 /* for a terminal that was stopped, a pipe that is full */

#ifdef __GLIBC__
extern FILE *_IO_list_all __attribute__((weak));
#define NEXT(stream) ((stream)->_chain)
#define FIRST() (&_IO_list_all ? _IO_list_all : NULL)
#define KNOWN() (&_IO_list_all != NULL)

/* Of a wide stream it is not known: its buffer is elsewhere. */
static bool holds(const FILE *stream)
{
    return stream->_mode > 0 ? __fwriting((FILE *)stream) : stream->_IO_write_ptr > stream->_IO_write_base;
}

/* As in glibc's stdio-lock.h. */
struct lock {
    int word, count;
    void *owner; /* as pthread_self() */
};

static bool is_at_work(const FILE *stream, bool by_others)
{
    const struct lock *lock = (const struct lock *)stream->_lock;
    if (!lock || !lock->word)
        return false;
    return (lock->owner == (void *)pthread_self()) != by_others;
}

static void save(FILE *stream)
{
    const char *from = stream->_IO_write_base, *to = stream->_IO_write_ptr;
    if (stream->_mode > 0 || from >= to || from < stream->_IO_buf_base || to > stream->_IO_buf_end)
        return;
    while (from < to) {
        struct pollfd one = {.fd = stream->_fileno, .events = POLLOUT};
        const struct timespec patience = {.tv_sec = SAVE_PATIENCE_MS / 1000};
        struct timespec left = patience; /* the kernel writes what is left */
        if (kin__raw(SYS_ppoll, (long)&one, 1, (long)&left, 0, 0) <= 0)
            break;
        size_t part = (size_t)(to - from) < AT_ONCE ? (size_t)(to - from) : AT_ONCE;
        long written = kin__raw(SYS_write, stream->_fileno, (long)from, (long)part, 0, 0);
        if (written <= 0) /* EFAULT too, if it has been overwritten */
            break;
        from += written;
    }
    stream->_IO_write_ptr = stream->_IO_write_base; /* should somebody catch the signal and go on */
}

void kin__os_save_output(bool interrupted)
{
    for (FILE *stream = FIRST(); stream; stream = NEXT(stream))
        if (!is_at_work(stream, true) && !(interrupted && is_at_work(stream, false)))
            save(stream);
}
#else
#define NEXT(stream) ((FILE *)NULL)
#define FIRST() ((FILE *)NULL)
#define KNOWN() false

static bool holds(const FILE *stream)
{
    return __fpending((FILE *)stream) > 0;
}

void kin__os_save_output(bool interrupted)
{
    (void)interrupted;
}
#endif

/* ---- C++ ------------------------------------------------------------------------------------------ */

/* libstdc++'s, where the program has it: by std::ios::sync_with_stdio(false) they have buffers of their own. */
extern char _ZSt4cout[] __attribute__((weak));
extern char _ZSt4clog[] __attribute__((weak));
extern char _ZSt5wcout[] __attribute__((weak));
extern void *_ZNSo5flushEv(void *stream) __attribute__((weak));
extern void *_ZNSt13basic_ostreamIwSt11char_traitsIwEE5flushEv(void *stream) __attribute__((weak));

/* They are made by whoever includes <iostream>. The library may be there for others' sake: then they are all zero. */
static void flush_cxx(char *stream, void *(*flush)(void *stream))
{
    if (stream && flush && *(void **)(void *)stream)
        flush(stream);
}

void kin__os_flush_cxx(void)
{
    flush_cxx(_ZSt4cout, _ZNSo5flushEv);
    flush_cxx(_ZSt4clog, _ZNSo5flushEv);
    flush_cxx(_ZSt5wcout, _ZNSt13basic_ostreamIwSt11char_traitsIwEE5flushEv);
}

/* ---- stdio ---------------------------------------------------------------------------------------- */

/* fflush(NULL) takes a lock, and runs through two places of libc's text: three page faults in a forked child, and one more
 * in its parent. So look first whether a stream holds anything. */
KIN__IN_CHILD void kin__os_flush_all(void)
{
    bool any = !KNOWN();
    for (const FILE *stream = FIRST(); stream && !any; stream = NEXT(stream))
        any = holds(stream);
    if (any)
        fflush(NULL);
}

/* fflush(NULL) would wait for a stream that another thread reads from. Streams the program opened itself are left to it:
 * glibc offers no walk that does not block. */
KIN__IN_CHILD void kin__os_flush_output(void)
{
    FILE *const streams[] = {stdout, stderr};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        if (ftrylockfile(streams[i]) == 0) {
            if (__fpending(streams[i]) > 0)
                fflush(streams[i]);
            funlockfile(streams[i]);
        }
}

KIN__IN_CHILD void kin__os_drop_output(void)
{
    for (FILE *stream = FIRST(); stream; stream = NEXT(stream))
        if (holds(stream))
            __fpurge(stream);
    if (KNOWN())
        return; /* to look at stdout and stderr by name would be one more page to fault in */
    __fpurge(stdout);
    __fpurge(stderr);
}
