/*
 * leftovers.c - see leftovers.h.
 *
 * All is read from /proc, so that nothing has to trust what the test says about itself.
 */
#include "leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void report_add(struct report *report, const char *format, ...)
{
    size_t room = sizeof report->text - report->length;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(report->text + report->length, room, format, args);
    va_end(args);
    if (n > 0)
        report->length += (size_t)n < room ? (size_t)n : room - 1;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded && strstr(preloaded, "/vgpreload");
}

/* The first bytes of a /proc file, as a string; false if it is not there. */
static bool slurp(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buffer, size - 1);
    close(fd);
    if (n < 0)
        return false;
    while (n > 0 && buffer[n - 1] == '\n')
        n--;
    buffer[n] = '\0';
    return true;
}

/* ---- processes ------------------------------------------------------------------------------- */

struct process {
    pid_t pid, parent;
    char state;
    bool ours;
};

void leftovers_adopt(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static bool read_process(pid_t pid, struct process *out)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!slurp(path, line, sizeof line))
        return false;
    const char *after_name = strrchr(line, ')');
    int parent;
    if (!after_name || sscanf(after_name + 1, " %c %d", &out->state, &parent) != 2)
        return false;
    out->pid = pid;
    out->parent = parent;
    out->ours = false;
    return true;
}

static size_t read_all(struct process **out)
{
    size_t count = 0, capacity = 0;
    struct process *all = NULL;
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (count == capacity) {
            capacity = capacity ? 2 * capacity : 256;
            all = realloc(all, capacity * sizeof *all);
            if (!all)
                abort();
        }
        if (read_process(atoi(entry->d_name), &all[count]))
            count++;
    }
    if (dir)
        closedir(dir);
    *out = all;
    return count;
}

/*
 * The descendants, dead ones (Z) included: whose chain of parents leads here. Returns their number; the list
 * is to be freed.
 */
static size_t descendants(struct process **out)
{
    struct process *all;
    size_t count = read_all(&all), found = 0;
    pid_t self = getpid();
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++) {
            bool child = all[i].parent == self;
            for (size_t k = 0; !child && k < count; k++)
                child = all[k].ours && all[k].pid == all[i].parent;
            if (child && !all[i].ours)
                all[i].ours = more = true;
        }
    }
    for (size_t i = 0; i < count; i++)
        if (all[i].ours)
            all[found++] = all[i];
    *out = all;
    return found;
}

static bool holds_region(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    bool holds = false;
    while (maps && !holds && fgets(line, sizeof line, maps))
        holds = strstr(line, "/memfd:kin") != NULL;
    if (maps)
        fclose(maps);
    return holds;
}

static void describe_threads(pid_t pid, struct report *report)
{
    char path[300], wait[128], call[64], name[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/wchan", (int)pid, entry->d_name);
        if (!slurp(path, wait, sizeof wait))
            strcpy(wait, "?");
        snprintf(path, sizeof path, "/proc/%d/task/%s/syscall", (int)pid, entry->d_name);
        if (!slurp(path, call, sizeof call))
            strcpy(call, "?");
        snprintf(path, sizeof path, "/proc/%d/task/%s/comm", (int)pid, entry->d_name);
        if (!slurp(path, name, sizeof name))
            strcpy(name, "?");
        report_add(report, "    thread %s \"%s\" in %s, system call %s\n", entry->d_name, name, wait, call);
    }
    if (dir)
        closedir(dir);
}

static void describe(const struct process *process, struct report *report)
{
    char path[64], command[200] = "";
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)process->pid);
    slurp(path, command, sizeof command);
    report_add(report, "  process %d (parent %d, state %c) %s%s\n", (int)process->pid, (int)process->parent,
               process->state, command, holds_region(process->pid) ? ", with the region mapped" : "");
    describe_threads(process->pid, report);
}

void leftovers_describe_processes(struct report *report)
{
    struct process *list;
    size_t count = descendants(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].state != 'Z')
            describe(&list[i], report);
    free(list);
}

static void reap_all(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

bool leftovers_wait(pid_t pid, double seconds)
{
    double until = now() + seconds;
    int pidfd = under_valgrind() ? -1 : (int)syscall(SYS_pidfd_open, pid, 0), n = 0;
    if (pidfd >= 0) {
        struct pollfd ready = {.fd = pidfd, .events = POLLIN};
        do
            n = poll(&ready, 1, (int)fmax(0, ceil((until - now()) * 1000)));
        while (n < 0 && errno == EINTR);
        close(pidfd);
        return n == 1;
    }
    /* No such process, or no such call. */
    struct process process;
    while (read_process(pid, &process) && process.state != 'Z') {
        if (now() >= until)
            return false;
        usleep(5000);
    }
    return true;
}

/* Wait for the descendants that live; false: time is up, and `*list` has them. */
static bool wait_for_all(double until, struct process **list, size_t *count)
{
    for (;;) {
        reap_all();
        *count = descendants(list);
        size_t alive = 0;
        while (alive < *count && (*list)[alive].state == 'Z')
            alive++;
        double left = until - now();
        if (*count == 0)
            return true;
        if (left <= 0)
            return false;
        /* A dead one whose parent lives is reaped by that, or comes to us when the parent ends. */
        if (alive < *count)
            leftovers_wait((*list)[alive].pid, left);
        free(*list);
    }
}

int leftovers_end_processes(double grace, struct report *report)
{
    struct process *list;
    size_t count, left_over = 0;
    if (wait_for_all(now() + grace, &list, &count)) {
        free(list);
        return 0;
    }
    /* Orphans come to us as their parents die: again until there are none. */
    for (int round = 0; count > 0 && round < 100; round++) {
        for (size_t i = 0; i < count; i++) {
            if (list[i].state == 'Z')
                continue;
            if (round == 0)
                describe(&list[i], report);
            left_over += round == 0;
            kill(list[i].pid, SIGKILL);
        }
        free(list);
        wait_for_all(now() + 0.05 * (round + 1), &list, &count);
    }
    free(list);
    return (int)left_over;
}

/* ---- named objects --------------------------------------------------------------------------- */

bool leftovers_isolate(void)
{
    return unshare(CLONE_NEWNS | CLONE_NEWIPC) == 0 &&
           mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 &&
           mount("kin-test", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
}

/* Make the directories of a path, below one that is there. */
static void make_path(char *path, size_t from)
{
    for (char *slash = path + from; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0755);
}

/* A program started again is looked for by its path. */
static bool hide_all_but_program(const char *directory)
{
    char program[4096], seen[64];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    size_t own = strlen(directory);
    int home = -1;
    program[length > 0 ? length : 0] = '\0';
    if (strncmp(program, directory, own) == 0 && program[own] == '/') {
        *strrchr(program, '/') = '\0';
        home = open(program, O_PATH | O_CLOEXEC);
    }
    bool done = mount("kin-test", directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0;
    if (done && home >= 0) {
        make_path(program, own);
        snprintf(seen, sizeof seen, "/proc/self/fd/%d", home);
        done = mount(seen, program, NULL, MS_BIND, NULL) == 0;
    }
    if (home >= 0)
        close(home);
    return done;
}

bool leftovers_isolate_files(const char *const *directories, size_t count)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!hide_all_but_program(directories[i]))
            return false;
    return true;
}

static void add_name(struct names *names, const char *prefix, const char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 64;
        names->line = realloc(names->line, names->capacity * sizeof *names->line);
        if (!names->line)
            abort();
    }
    snprintf(names->line[names->count++], sizeof *names->line, "%s%.130s", prefix, name);
}

static void list_directory(struct names *names, const char *prefix, DIR *dir)
{
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            add_name(names, prefix, entry->d_name);
    closedir(dir);
}

/* POSIX queues are seen through a mount of their file system; one that is attached nowhere will do. */
static DIR *open_mqueues(void)
{
    DIR *dir = NULL;
    if (under_valgrind())
        return opendir("/dev/mqueue");
    int context = (int)syscall(SYS_fsopen, "mqueue", 1 /* FSOPEN_CLOEXEC */);
    if (context >= 0 && syscall(SYS_fsconfig, context, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) == 0) {
        int root = (int)syscall(SYS_fsmount, context, 1 /* FSMOUNT_CLOEXEC */, 0);
        if (root >= 0) {
            int readable = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            dir = readable >= 0 ? fdopendir(readable) : NULL;
            close(root);
        }
    }
    if (context >= 0)
        close(context);
    return dir ? dir : opendir("/dev/mqueue");
}

static void list_sysv(struct names *names, const char *kind)
{
    char path[64], line[256], key[32], id[32], name[96];
    snprintf(path, sizeof path, "/proc/sysvipc/%s", kind);
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fgets(line, sizeof line, file)) /* the heading */
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "%31s %31s", key, id) == 2) {
                snprintf(name, sizeof name, "%s key %s id %s", kind, key, id);
                add_name(names, "System V ", name);
            }
    fclose(file);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void leftovers_list_names(struct names *names)
{
    memset(names, 0, sizeof *names);
    list_directory(names, "/dev/shm/", opendir("/dev/shm"));
    list_directory(names, "POSIX message queue /", open_mqueues());
    list_sysv(names, "shm");
    list_sysv(names, "sem");
    list_sysv(names, "msg");
    if (names->count)
        qsort(names->line, names->count, sizeof *names->line, by_name);
}

int leftovers_new_names(struct names *before, struct names *after, struct report *report)
{
    int count = 0;
    for (size_t i = 0; i < after->count; i++)
        if (!before->count ||
            !bsearch(after->line[i], before->line, before->count, sizeof *before->line, by_name)) {
            report_add(report, "  %s\n", after->line[i]);
            count++;
        }
    free(before->line);
    free(after->line);
    return count;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

void leftovers_list_descriptors(struct descriptors *out)
{
    char path[300];
    out->count = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir)) && out->count < 1024;) {
        struct descriptor *at = &out->at[out->count];
        at->fd = atoi(entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || at->fd == dirfd(dir))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", at->fd);
        ssize_t n = readlink(path, at->target, sizeof at->target - 1);
        at->target[n > 0 ? n : 0] = '\0';
        out->count++;
    }
    closedir(dir);
}

static const struct descriptor *find(const struct descriptors *in, int fd)
{
    for (size_t i = 0; i < in->count; i++)
        if (in->at[i].fd == fd)
            return &in->at[i];
    return NULL;
}

/* What a process is known by, and a template's socket: another one may have come in its place. */
static const char *const replaceable[] = {"anon_inode:[pidfd]", "socket:["};
#define REPLACEABLE (sizeof replaceable / sizeof *replaceable)

static bool is_kind(const char *target, size_t kind)
{
    return strncmp(target, replaceable[kind], strlen(replaceable[kind])) == 0;
}

/* How many of that kind were closed. */
static int closed(const struct descriptors *before, const struct descriptors *after, size_t kind)
{
    int count = 0;
    for (size_t i = 0; i < before->count; i++) {
        const struct descriptor *now = find(after, before->at[i].fd);
        count +=
            is_kind(before->at[i].target, kind) && (!now || strcmp(now->target, before->at[i].target) != 0);
    }
    return count;
}

int leftovers_new_descriptors(const struct descriptors *before, struct report *report)
{
    static struct descriptors after;
    /* The region; the guardian's ways to wait and to be woken, made with the first child; children's stdin. */
    static const char *const kept[] = {"/memfd:kin", "anon_inode:[eventpoll]", "anon_inode:[eventfd]",
                                       "/dev/null"};
    bool seen[sizeof kept / sizeof kept[0]] = {false};
    char pipe[sizeof after.at->target] = ""; /* the guardian's: both ends */
    int ends = 0;
    int count = 0;
    leftovers_list_descriptors(&after);
    int replaced[REPLACEABLE];
    for (size_t kind = 0; kind < REPLACEABLE; kind++)
        replaced[kind] = closed(before, &after, kind);
    for (size_t i = 0; i < after.count; i++) {
        const struct descriptor *old = find(before, after.at[i].fd);
        if (old && strcmp(old->target, after.at[i].target) == 0)
            continue;
        bool allowed = false;
        for (size_t kind = 0; kind < REPLACEABLE; kind++)
            if (is_kind(after.at[i].target, kind) && replaced[kind] > 0)
                allowed = replaced[kind]-- > 0;
        for (size_t k = 0; !allowed && k < sizeof kept / sizeof kept[0]; k++)
            if (!seen[k] && strncmp(after.at[i].target, kept[k], strlen(kept[k])) == 0)
                allowed = seen[k] = true;
        if (!allowed && strncmp(after.at[i].target, "pipe:", 5) == 0) {
            if (!ends)
                snprintf(pipe, sizeof pipe, "%s", after.at[i].target);
            allowed = strcmp(pipe, after.at[i].target) == 0 && ends++ < 2;
        }
        if (allowed)
            continue;
        report_add(report, "  descriptor %d: %s\n", after.at[i].fd, after.at[i].target);
        count++;
    }
    return count;
}
