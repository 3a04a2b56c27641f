/* killer.c - see killer.h. */
#include "killer.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN_MAX 64

/* The text of a file of /proc; empty if it is gone. */
static void read_text(const char *path, char *text, size_t size)
{
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && length + 1 < size) {
        ssize_t got = read(fd, text + length, size - 1 - length);
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    text[length] = 0;
}

size_t children_of(pid_t parent, pid_t *out, size_t capacity)
{
    char path[300], text[4096];
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
    DIR *threads = opendir(path);
    if (!threads)
        return 0;
    for (struct dirent *thread; (thread = readdir(threads));) {
        if (thread->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)parent, thread->d_name);
        read_text(path, text, sizeof(text));
        char *at = text, *end;
        for (long pid; (pid = strtol(at, &end, 10)) > 0; at = end)
            if (count++ < capacity)
                out[count - 1] = (pid_t)pid;
    }
    closedir(threads);
    return count;
}

/* State and parent of a process; 0: gone. */
static char look_at(pid_t pid, pid_t *parent)
{
    char path[64], text[512], state = 0;
    int of = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    read_text(path, text, sizeof(text));
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 1, " %c %d", &state, &of) != 2)
        return 0;
    *parent = of;
    return state;
}

static bool kill_child(pid_t parent, pid_t child)
{
    pid_t is_of = 0;
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    if (fd < 0)
        return false;
    char state = look_at(child, &is_of);
    bool killed =
        state && state != 'Z' && is_of == parent && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return killed;
}

static bool is_below(pid_t pid, pid_t above)
{
    for (pid_t parent; pid > 1 && pid != above; pid = parent)
        if (!look_at(pid, &parent))
            return false;
    return pid == above;
}

bool kill_below(pid_t above, pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return false;
    bool killed = (is_below(pid, above) || is_below(pid, getpid())) &&
                  syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    close(fd);
    return killed;
}

/* A child, or further down the tree; its parent goes to *parent. 0: there is none. */
static pid_t choose(pid_t *parent, bool deep, uint32_t *seed)
{
    pid_t children[CHILDREN_MAX], found = 0, at = *parent;
    for (;;) {
        size_t count = children_of(at, children, CHILDREN_MAX);
        if (count == 0)
            return found;
        *parent = at;
        found = children[random_next(seed) % (count < CHILDREN_MAX ? count : CHILDREN_MAX)];
        if (!deep || random_next(seed) % 3 == 0)
            return found;
        at = found;
    }
}

static _Noreturn void kill_for_ever(struct killer *killer, uint32_t seed)
{
    pid_t me = getpid();
    for (;;) {
        pid_t parent = atomic_load(&killer->parent);
        if (parent && atomic_load(&killer->kills) < atomic_load(&killer->stop_at)) {
            pid_t child = choose(&parent, atomic_load(&killer->deep), &seed);
            if (child && child != me && kill_child(parent, child))
                atomic_fetch_add(&killer->kills, 1);
        }
        usleep(random_next(&seed) % (2 * killer->gap_us + 1));
    }
}

struct killer *killer_start(uint32_t gap_us, uint32_t seed)
{
    struct killer *killer =
        mmap(NULL, sizeof(*killer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (killer == MAP_FAILED)
        abort();
    killer->gap_us = gap_us;
    killer->stop_at = UINT32_MAX;
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        kill_for_ever(killer, seed);
    }
    killer->pid = pid;
    return killer;
}

uint32_t killer_stop(struct killer *killer)
{
    kill(killer->pid, SIGKILL);
    waitpid(killer->pid, NULL, 0);
    uint32_t kills = atomic_load(&killer->kills);
    munmap(killer, sizeof(*killer));
    return kills;
}
