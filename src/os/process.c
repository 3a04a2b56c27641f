/* os/process.c - processes as the kernel names them: pid with start time, pidfd. */
#include "os/os.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "os/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* statfs(2)'s f_type, from linux/magic.h; Debian 12's does not know the first. */
#define PIDFS 0x50494446
#define PIPEFS 0x50495045

/* Field `number` (3 or later) of /proc/PID/stat, in a buffer of the caller's; NULL if there is none. */
static const char *stat_field(pid_t pid, int number, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    if (length <= 0)
        return NULL;
    text[length] = '\0';
    /* The name, field 2, may hold blanks and brackets, so count from its last bracket. */
    char *at = strrchr(text, ')');
    for (int field = 2; at && field < number; field++)
        at = strchr(at + 1, ' ');
    return at ? at + 1 : NULL;
}

uint64_t kin__os_start_time(pid_t pid)
{
    char text[1024];
    const char *field = stat_field(pid, 22, text, sizeof text);
    return field ? strtoull(field, NULL, 10) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK)) : 0;
}

char kin__os_process_state(pid_t pid)
{
    char text[1024];
    const char *state = stat_field(pid, 3, text, sizeof text);
    return state ? *state : '\0';
}

bool kin__os_zombie_status(pid_t pid, int *code, int *status)
{
    char text[1024];
    const char *state = stat_field(pid, 3, text, sizeof text);
    if (!state || *state != 'Z')
        return false;
    const char *field = stat_field(pid, 52, text, sizeof text);
    if (!field)
        return false;
    int raw = atoi(field); /* as wait(2) gives it; proc(5) */
    *code = WIFEXITED(raw) ? CLD_EXITED : WCOREDUMP(raw) ? CLD_DUMPED : CLD_KILLED;
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : WTERMSIG(raw);
    return true;
}

double kin__os_cpu_time(pid_t pid)
{
    char text[1024];
    const char *field = stat_field(pid, 14, text, sizeof text);
    unsigned long long user, system;
    if (!field || sscanf(field, "%llu %llu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

int kin__os_pidfd_open(pid_t pid)
{
    return kin__os_high((int)syscall(SYS_pidfd_open, pid, 0)); /* close-on-exec by itself */
}

/* Readable for ever: a pipe with a byte in it. Its inode is its own, other than an eventfd's. */
static int open_ended(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    bool readable = write(ends[1], "", 1) == 1;
    close(ends[1]);
    if (readable)
        return kin__os_high(ends[0]);
    close(ends[0]);
    return -1;
}

int kin__os_pidfd_of_child(pid_t pid)
{
    int pidfd = kin__os_pidfd_open(pid);
    if (pidfd < 0)
        return kin__os_no_process(errno) ? open_ended() : -1;
    siginfo_t info;
    if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD ||
        kin__os_pidfd_ended(pidfd))
        return pidfd;
    close(pidfd); /* the pid means another process by now */
    return open_ended();
}

int kin__os_pidfd_again(pid_t pid, uint64_t was_there)
{
    int pidfd = kin__os_pidfd_of_child(pid);
    /* In this order: the pid may become another's, but the descriptor not. */
    if (pidfd < 0 || kin__os_start_time(pid) <= was_there + KIN__START_ROUNDING_NS)
        return pidfd;
    close(pidfd); /* the program has collected its status, and has another child with that number */
    return open_ended();
}

/* The process that a pidfd is of, as /proc knows it; -1: it has been reaped, or it is no pidfd; 0: there is no telling. */
static pid_t pid_of(int pidfd)
{
    char path[48], text[512];
    snprintf(path, sizeof path, "/proc/thread-self/fdinfo/%d", pidfd);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *at = strstr(text, "\nPid:");
    return at ? (pid_t)strtol(at + sizeof "\nPid:" - 1, NULL, 10) : -1;
}

/* Of files that are pidfds and have inodes of their own; 0: not met yet. */
static _Atomic uint64_t pidfs_device;

bool kin__os_pidfd_is(int pidfd, const struct kin__file *file, pid_t pid)
{
    struct statfs about;
    if (!kin__os_file_is(pidfd, file))
        return false;
    if (file->device == atomic_load(&pidfs_device))
        return true;
    bool known = fstatfs(pidfd, &about) == 0;
    if (known && about.f_type == PIDFS)
        atomic_store(&pidfs_device, file->device);
    if (known && (about.f_type == PIDFS || about.f_type == PIPEFS))
        return true; /* the second: one that had gone (open_ended) */
    pid_t found = pid_of(pidfd);
    return found == pid || found == 0;
}

bool kin__os_no_process(int error)
{
    return error == ESRCH || error == EINVAL || error == ENOENT;
}

void kin__os_kill_child(pid_t pid)
{
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return; /* the program has collected it: the pid may be another's */
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

int kin__os_pidfd_wait(int pidfd, double timeout)
{
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    struct timespec limit, *at = NULL;
    if (!isinf(timeout)) {
        if (timeout > 1e6)
            timeout = 1e6;
        limit.tv_sec = (time_t)timeout;
        limit.tv_nsec = (long)((timeout - (double)limit.tv_sec) * 1e9);
        at = &limit;
    }
    int ready = ppoll(&one, 1, at, NULL);
    if (ready > 0)
        return 0;
    return ready == 0 ? KIN_ETIMEDOUT : KIN_EINTR;
}

bool kin__os_pidfd_ended(int pidfd)
{
    struct pollfd one = {.fd = pidfd, .events = POLLIN};
    return poll(&one, 1, 0) > 0;
}

int kin__os_pidfd_signal(int pidfd, int signal)
{
    if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 || errno == ESRCH)
        return 0;
    return kin__fail_errno(KIN_ESYSTEM, errno, "could not send signal %d", signal);
}

bool kin__os_reap(int pidfd, int *code, int *status, bool *gone)
{
    siginfo_t info = {0};
    *gone = false;
    while (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
        if (errno != EINTR) {
            *gone =
                errno == ECHILD || errno == EBADF; /* or the stand-in of one that was gone from the start */
            return false;
        }
    if (info.si_pid == 0)
        return false;
    *code = info.si_code;
    *status = info.si_status;
    return true;
}

bool kin__os_program_path(char *buffer, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", buffer, size); /* valgrind knows this name only */
    if (length < 0)                                            /* the main thread has ended */
        length = readlink("/proc/thread-self/exe", buffer, size);
    if (length <= 0 || (size_t)length >= size)
        return false;
    buffer[length] = '\0';
    return true;
}

KIN__IN_CHILD bool kin__os_parent_is_hidden(void)
{
    return kin__raw(SYS_getppid, 0, 0, 0, 0, 0) == 0;
}

KIN__IN_CHILD bool kin__os_parent_death_signal(int signal, pid_t parent)
{
    kin__raw(SYS_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0);
    return kin__raw(SYS_getppid, 0, 0, 0, 0, 0) == parent;
}

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

KIN__IN_CHILD void kin__os_reset_signals(uint64_t except)
{
    /* On the stack: constants elsewhere would be one more page to fault in. */
    struct raw_action defaults = {0}; /* all zero is SIG_DFL */
    unsigned long none = 0;
    uint64_t standard =
        KIN__SIGNAL_BIT(32) - 1; /* beyond: glibc's own (pthread_cancel and setuid hang without), real time */
    except |= KIN__SIGNAL_BIT(SIGKILL) | KIN__SIGNAL_BIT(SIGSTOP);
    for (uint64_t left = standard & ~except; left; left &= left - 1)
        kin__raw(SYS_rt_sigaction, __builtin_ctzll(left) + 1, (long)&defaults, 0, sizeof none, 0);
    kin__raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, sizeof none, 0);
}

/* Opening it anew took a twelfth of a start by fork, as measured where many things watch files being opened. */
static _Atomic int null_fd = -1;

void kin__os_null_prepare(void)
{
    int none = -1;
    if (atomic_load(&null_fd) >= 0)
        return;
    int fd = kin__os_high(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (fd >= 0 && !atomic_compare_exchange_strong(&null_fd, &none, fd))
        close(fd); /* another thread was faster */
}

/* The program may have closed it, and opened files of its own under the same number. */
KIN__IN_CHILD static bool is_null_device(int fd)
{
    struct stat about = {0}; /* the checker does not see that the kernel fills it */
    return kin__raw(SYS_fstat, fd, (long)&about, 0, 0, 0) == 0 && S_ISCHR(about.st_mode) &&
           about.st_rdev == makedev(1, 3);
}

int kin__os_open_null(void)
{
    const char path[] = "/dev/null"; /* on the stack: no page of constants to fault in */
    int ends[2] = {-1, -1};
    long fd = kin__raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd >= 0 || kin__raw(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0) < 0)
        return (int)fd;
    kin__raw(SYS_close, ends[1], 0, 0, 0, 0);
    return ends[0];
}

KIN__IN_CHILD void kin__os_null_stdin(void)
{
    int kept = atomic_load(&null_fd);
    if (kept >= 0 && is_null_device(kept) && kin__raw(SYS_dup3, kept, STDIN_FILENO, 0, 0, 0) == STDIN_FILENO)
        return;
    long fd = kin__os_open_null();
    if (fd < 0) {
        kin__raw(SYS_close, STDIN_FILENO, 0, 0, 0, 0); /* rather than the parent's */
        return;
    }
    if (fd == STDIN_FILENO) {
        kin__raw(SYS_fcntl, fd, F_SETFD, 0, 0, 0);
        return;
    }
    kin__raw(SYS_dup3, fd, STDIN_FILENO, 0, 0, 0);
    kin__raw(SYS_close, fd, 0, 0, 0, 0);
}

int kin__os_thread_count(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return 0;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(tasks));)
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

pid_t kin__os_thread_id(void)
{
    return (pid_t)syscall(SYS_gettid);
}
