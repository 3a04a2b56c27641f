/* os/signals.c - what a process does at signals, and how a forked child is freed of it. */
#include "base/in_child.h"
#include "os/os.h"
#include "os/raw.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Never set anew: two cannot be, two are glibc's own (pthread_cancel and setuid hang without). */
#define NOT_OURS \
    (KIN__SIGNAL_BIT(SIGKILL) | KIN__SIGNAL_BIT(SIGSTOP) | KIN__SIGNAL_BIT(32) | KIN__SIGNAL_BIT(33))

/* As rt_sigaction(2) takes it: handler first, then flags, restorer (not everywhere), mask. */
struct raw_action {
    void (*handler)(int);
    unsigned long rest[3];
};

KIN__IN_CHILD bool kin__os_handles(int signal, void (*handler)(int))
{
    struct raw_action now = {0};
    kin__raw(SYS_rt_sigaction, signal, 0, (long)&now, sizeof(unsigned long), 0);
    return now.handler == handler;
}

KIN__IN_CHILD void kin__os_reset_signals(uint64_t signals)
{
    /* On the stack: constants elsewhere would be one more page to fault in. */
    struct raw_action defaults = {0}; /* all zero is SIG_DFL */
    unsigned long none = 0;
    for (uint64_t left = signals & ~NOT_OURS; left; left &= left - 1)
        kin__raw(SYS_rt_sigaction, __builtin_ctzll(left) + 1, (long)&defaults, 0, sizeof none, 0);
    kin__raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none, 0);
}

/* ---- which are changed ------------------------------------------------------------------------ */

#define HEAD 1023 /* bytes of the file up to the lines meant, unless a process has very many groups */

static _Atomic int status_fd = -1;
static _Atomic bool untold; /* the file cannot be read, or does not tell of this process: not tried again */

/* The number behind that name, at the beginning of a line. */
static bool read_line(const char *text, const char *name, int base, uint64_t *value)
{
    const char *line = strstr(text, name);
    char *end;
    if (!line)
        return false;
    line += strlen(name);
    *value = strtoull(line, &end, base);
    return end != line && *end == '\n';
}

/* False: that is not this process's status. A forked child has its parent's; and the program may have closed the
 * descriptor, and opened a file of its own under its number: so nothing is read that moves on by it, and nothing is closed. */
static bool read_changed(int fd, uint64_t *changed)
{
    char text[HEAD + 1];
    uint64_t pid, ignored, caught;
    ssize_t length = fd < 0 ? -1 : pread(fd, text, HEAD, 0);
    if (length <= 0)
        return false;
    text[length] = '\0';
    *changed = 0;
    if (strncmp(text, "Name:\t", 6) != 0 || !read_line(text, "\nPid:\t", 10, &pid) || pid != (uint64_t)getpid() ||
        !read_line(text, "\nSigIgn:\t", 16, &ignored) || !read_line(text, "\nSigCgt:\t", 16, &caught))
        return false;
    *changed = ignored | caught;
    return true;
}

uint64_t kin__os_changed_signals(void)
{
    uint64_t changed;
    int before = atomic_load(&status_fd);
    if (atomic_load(&untold))
        return KIN__ALL_SIGNALS;
    if (read_changed(before, &changed))
        return changed;
    int fd = kin__os_high(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
    if (!read_changed(fd, &changed)) {
        atomic_store(&untold, true);
        if (fd >= 0)
            close(fd);
        return KIN__ALL_SIGNALS;
    }
    if (!atomic_compare_exchange_strong(&status_fd, &before, fd))
        close(fd); /* another thread was faster */
    return changed;
}
