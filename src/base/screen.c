/* base/screen.c - see screen.h. */
#include "base/screen.h"

#include "base/in_child.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT_ONCE 4096 /* PIPE_BUF: as much is atomic for a pipe too */
#define BAR_MAX 1024

static const char away[] = "\r\033[K";

/* Not in .bss: it would spread what each fork copies over more pages. */
struct bar {
    size_t length; /* 0: none is shown */
    dev_t terminal;
    char text[BAR_MAX];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct bar *bar; /* by the mutex */

/* A thread that is cancelled while it writes would leave the mutex locked. */
static void lock(int *cancel_before)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_before);
    pthread_mutex_lock(&mutex);
}

static void unlock(int cancel_before)
{
    pthread_mutex_unlock(&mutex);
    pthread_setcancelstate(cancel_before, NULL);
}

static int write_all(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, text, length);
        if (written >= 0) {
            text += written;
            length -= (size_t)written;
        } else if (errno == EAGAIN) { /* the program has made it so */
            struct pollfd one = {.fd = fd, .events = POLLOUT};
            poll(&one, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

static dev_t terminal_of(int fd)
{
    struct stat file;
    return isatty(fd) && fstat(fd, &file) == 0 ? file.st_rdev : 0;
}

/* Up to the last line's end that is not too far, else to the first. */
static size_t portion(const char *text, size_t length)
{
    if (!text || length <= AT_ONCE) /* NULL only for gcc, which warns of it under sanitizers */
        return length;
    const char *end = memrchr(text, '\n', AT_ONCE);
    if (!end)
        end = memchr(text, '\n', length);
    return end ? (size_t)(end - text) + 1 : length;
}

/* In one write, if it is not too long. */
static int write_above(int fd, const char *text, size_t length)
{
    char whole[sizeof away + AT_ONCE + 1 + BAR_MAX];
    size_t at = sizeof away - 1;
    memcpy(whole, away, at);
    int error = 0;
    if (length > AT_ONCE) {
        error = write_all(fd, whole, at);
        if (!error)
            error = write_all(fd, text, length);
        at = 0;
    } else {
        memcpy(whole + at, text, length);
        at += length;
    }
    if (error)
        return error;
    if (length && text[length - 1] != '\n')
        whole[at++] = '\n';
    memcpy(whole + at, bar->text, bar->length);
    return write_all(fd, whole, at + bar->length);
}

int kin__screen_write(int fd, const char *text, size_t length)
{
    int error = 0, cancel_before;
    lock(&cancel_before);
    bool above = bar && bar->length && terminal_of(fd) == bar->terminal;
    while (length > 0 && !error) {
        size_t now = portion(text, length);
        error = above ? write_above(fd, text, now) : write_all(fd, text, now);
        text += now;
        length -= now;
    }
    unlock(cancel_before);
    return error;
}

void kin__screen_bar(const char *text, size_t length, bool last)
{
    char whole[sizeof away + BAR_MAX + 1];
    int cancel_before;
    if (length > BAR_MAX)
        length = BAR_MAX;
    lock(&cancel_before);
    if (!bar && !last)
        bar = calloc(1, sizeof *bar);
    if (bar) {
        memcpy(bar->text, text, length);
        bar->length = last ? 0 : length;
        bar->terminal = terminal_of(STDERR_FILENO);
    }
    size_t at = 0; /* the rest is cleared behind it, or it would flicker */
    whole[at++] = '\r';
    memcpy(whole + at, text, length);
    at += length;
    memcpy(whole + at, away + 1, sizeof away - 2);
    at += sizeof away - 2;
    if (last)
        whole[at++] = '\n';
    write_all(STDERR_FILENO, whole, at); /* a bar that cannot be drawn is no failure of the map */
    unlock(cancel_before);
}

KIN__IN_CHILD void kin__screen_after_fork(void)
{
    kin__mutex_forked(&mutex);
    if (bar)
        bar->length = 0; /* the parent's */
}
