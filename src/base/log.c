/* base/log.c - one message, one write: lines of several processes do not mix. */
#include "base/log.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/screen.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"", "debug", "info", "warning", "error", "off"};

static _Atomic int level = 0; /* 0: KIN_LOG not read yet */

/* Function and argument change together; a reader must not see one of each. */
static pthread_mutex_t callback_mutex = PTHREAD_MUTEX_INITIALIZER;
static kin_log_fn callback;
static void *callback_arg;

int kin_log_level(void)
{
    int now = atomic_load_explicit(&level, memory_order_relaxed);
    if (now)
        return now;
    now = KIN_LOG_WARNING;
    const char *wanted = getenv("KIN_LOG");
    for (int i = KIN_LOG_DEBUG; wanted && i <= KIN_LOG_OFF; i++)
        if (strcmp(wanted, names[i]) == 0)
            now = i;
    atomic_store_explicit(&level, now, memory_order_relaxed);
    return now;
}

int kin_log_set_level(int wanted)
{
    if (wanted < KIN_LOG_DEBUG || wanted > KIN_LOG_OFF)
        return kin__fail(KIN_EINVAL, "cannot set log level %d: it is not one of enum kin_log_level", wanted);
    atomic_store_explicit(&level, wanted, memory_order_relaxed);
    return 0;
}

void kin_log_set_callback(kin_log_fn fn, void *arg)
{
    pthread_mutex_lock(&callback_mutex);
    callback = fn;
    callback_arg = arg;
    pthread_mutex_unlock(&callback_mutex);
}

/* Apart, so that what is not logged takes no page of stack for a line: after a fork that would be a page fault. */
static __attribute__((noinline)) void log_line(int at, const char *format, va_list args)
{
    char line[1024];
    int head = snprintf(line, sizeof line, "kin: [%d] %s: ", (int)getpid(), names[at]);
    int length = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, args);
    if (length < 0)
        return;
    pthread_mutex_lock(&callback_mutex);
    kin_log_fn fn = callback;
    void *arg = callback_arg;
    pthread_mutex_unlock(&callback_mutex);
    if (fn) {
        fn(at, line + head, arg);
        return;
    }
    size_t end = strlen(line);
    line[end] = '\n';
    kin__screen_write(STDERR_FILENO, line,
                      end + 1); /* that it cannot be written has nowhere to be reported */
}

void kin_log(int at, const char *format, ...)
{
    if (at < kin_log_level() || at >= KIN_LOG_OFF || at < KIN_LOG_DEBUG)
        return;
    va_list args;
    va_start(args, format);
    log_line(at, format, args);
    va_end(args);
}

KIN__IN_CHILD void kin__log_after_fork(void)
{
    kin__mutex_forked(&callback_mutex);
    kin__screen_after_fork();
}
