/*
 * os/started.c - what a process has started, found again after its end.
 *
 * When a process ends, the kernel gives its children to somebody else, and the way back is lost. What lasts is what fork,
 * vfork, posix_spawn and exec all hand down: process group, session, limits. The first two belong to the
 * terminal and to the program. Among the limits is one that Linux keeps, shows and hands down, but has not looked at since
 * 2.4.25: RLIMIT_LOCKS, 64 bits wide. So a mark is put there.
 *
 * Called in signal handlers too: no libc but what is async-signal-safe.
 */
#include "os/os.h"

#include "os/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSES 5
#define RANGE_MAX 200 /* process ids looked at one by one; a walk through /proc costs about as much */
#define RANGE_NS UINT64_C(100000000) /* in that time ids do not come round: there are 32,768 or more */

struct search {
    uint64_t mark;
    uint64_t since; /* when `of` was there already, by kin__os_since_boot_ns; 0: not known */
    pid_t of, session;
    pid_t self;
};

/* As getdents64(2) gives it. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

void kin__os_mark(uint64_t mark)
{
    const uint64_t limit[2] = {mark, UINT64_MAX};
    kin__raw(SYS_prlimit64, 0, RLIMIT_LOCKS, (long)limit, 0, 0);
}

static bool has_children(void)
{
    siginfo_t none; /* the kernel needs none, but valgrind does */
    return kin__raw(SYS_waitid, P_ALL, 0, (long)&none, WEXITED | WNOHANG | WNOWAIT | __WALL, 0) == 0;
}

/* Each has had a page fault, or, a vfork, waited for another: both are added up when it is collected. */
static bool has_collected_some(void)
{
    struct rusage sum = {0};
    kin__raw(SYS_getrusage, RUSAGE_CHILDREN, (long)&sum, 0, 0, 0);
    return sum.ru_minflt || sum.ru_majflt || sum.ru_nvcsw || sum.ru_nivcsw;
}

/* They go unseen, and add nothing to the sums. */
static bool kernel_collects(void)
{
    unsigned long action[4] = {0}; /* as rt_sigaction(2) gives it: handler, flags */
    kin__raw(SYS_rt_sigaction, SIGCHLD, 0, (long)action, sizeof(unsigned long), 0);
    return action[0] == (unsigned long)SIG_IGN || (action[1] & SA_NOCLDWAIT);
}

bool kin__os_started_any(void)
{
    return has_children() || has_collected_some() || kernel_collects();
}

static bool has_mark(pid_t pid, uint64_t mark)
{
    uint64_t limit[2] = {0};
    return kin__raw(SYS_prlimit64, pid, RLIMIT_LOCKS, 0, (long)limit, 0) == 0 && limit[0] == mark;
}

/* One that has opened a session of its own (setsid, daemon) wants to stay; but for the process that had the mark. */
static bool wants_to_stay(const struct search *search, pid_t pid)
{
    pid_t session = getsid(pid);
    return session != search->session && session != search->of;
}

/* Whether it is one of those, and was alive. The mark is read again behind the pidfd, which from then on means whom we
 * have looked at. */
static bool end_one(const struct search *search, pid_t pid)
{
    if (pid == search->self || !has_mark(pid, search->mark) || wants_to_stay(search, pid))
        return false;
    int pidfd = kin__os_pidfd_open(pid);
    if (pidfd < 0)
        return false;
    bool alive = !kin__os_pidfd_ended(pidfd) && has_mark(pid, search->mark);
    if (alive)
        kin__raw(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0, 0);
    close(pidfd);
    return alive;
}

static pid_t number(const char *text)
{
    pid_t value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (*text - '0');
    return *text ? 0 : value;
}

/* The last process id given to anyone: the last word of /proc/loadavg; 0: unknown. */
static pid_t last_pid(void)
{
    char text[128] = "";
    int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    if (length <= 0)
        return 0;
    text[length] = '\0';
    while (length > 0 && text[length - 1] != ' ')
        length--;
    return number(text + length);
}

static int walk_proc(const struct search *search)
{
    _Alignas(struct entry) char buffer[4096] = ""; /* the checker does not see that the kernel fills it */
    int found = 0;
    int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (long length; (length = kin__raw(SYS_getdents64, fd, (long)buffer, sizeof buffer, 0, 0)) > 0;)
        for (long at = 0; at < length;) {
            const struct entry *entry = (const struct entry *)(const void *)(buffer + at);
            pid_t pid = number(entry->name);
            if (pid > 0)
                found += end_one(search, pid);
            at += entry->length;
        }
    close(fd);
    return found;
}

/* Ids are given in turn, so what it started lately has an id between its own and the last one given. */
static int look(const struct search *search)
{
    bool lately = search->since && kin__os_since_boot_ns() - search->since < RANGE_NS;
    pid_t last = lately ? last_pid() : 0;
    if (!last || last < search->of || last - search->of > RANGE_MAX)
        return walk_proc(search);
    int found = 0;
    for (pid_t pid = search->of + 1; pid <= last; pid++)
        found += end_one(search, pid);
    return found;
}

int kin__os_end_marked(uint64_t mark, pid_t of, uint64_t since, pid_t session)
{
    int saved = errno, found = 0;
    struct search search = {.mark = mark, .since = since, .of = of, .session = session, .self = getpid()};
    /* Those that were found cannot fork any more; one that was not may just have been forked: look again. */
    for (int pass = 0; pass < PASSES; pass++) {
        int now = look(&search);
        if (now == 0)
            break;
        found = now > found ? now : found;
    }
    errno = saved;
    return found;
}
