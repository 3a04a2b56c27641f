/* peer.c - a contestant's process: started, asked, ended. The other side is runner.h. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* No answer takes longer on any machine that is worth measuring. */
enum { PATIENCE_MS = 60000, FAREWELL_MS = 10000 };

/* The folder of this program, where the runners are too. */
static const char *folder(void)
{
    static char path[4096];

    if (!path[0]) {
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

        if (length <= 0)
            return ".";
        path[length] = 0;
        *strrchr(path, '/') = 0;
    }
    return path;
}

bool bench_peer_exists(const struct bench_entry *entry)
{
    char path[4200];

    snprintf(path, sizeof path, "%s/%s", folder(), entry->runner);
    return access(path, R_OK) == 0;
}

/* A line from `fd` within `patience` ms, without its end; -1 if none comes. */
static int read_line(int fd, char *line, size_t size, int patience)
{
    size_t length = 0;

    while (length + 1 < size) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};

        if (poll(&readable, 1, patience) != 1 || read(fd, line + length, 1) != 1)
            return -1;
        if (line[length] == '\n')
            break;
        length++;
    }
    line[length] = 0;
    return 0;
}

/* 0 and the answer behind "ok" or "ready", or -1 with the reason. */
static int read_answer(struct bench_peer *peer, double *seconds, char why[160])
{
    char line[256];

    if (read_line(peer->answers, line, sizeof line, PATIENCE_MS)) {
        snprintf(why, 160, "no answer: it died, or hangs");
        return -1;
    }
    if (!strncmp(line, "error ", 6)) {
        snprintf(why, 160, "%.150s", line + 6);
        return -1;
    }
    if (seconds && sscanf(line, "ok %lf", seconds) != 1) {
        snprintf(why, 160, "not understood: %.120s", line);
        return -1;
    }
    return 0;
}

static int spawn(struct bench_peer *peer, char *const *arguments, int requests, int answers)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int err;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, requests, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, answers, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    /* A group of its own, so that a runner that hangs can be ended with its workers. */
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    err = posix_spawn(&peer->pid, arguments[0], &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

int bench_peer_start(struct bench_peer *peer, const struct bench_entry *entry, const char *python,
                     char why[160])
{
    char path[4200];
    char *c_arguments[] = {path, (char *)entry->set, (char *)entry->who, NULL};
    char *mp_arguments[] = {(char *)python,     path, (char *)folder(), (char *)entry->set,
                            (char *)entry->who, NULL};
    bool is_python = strstr(entry->runner, ".py") != NULL;
    int requests[2];
    int answers[2];
    int err;

    snprintf(path, sizeof path, "%s/%s", folder(), entry->runner);
    if (pipe2(requests, O_CLOEXEC)) {
        snprintf(why, 160, "no pipe: %s", strerror(errno));
        return -1;
    }
    if (pipe2(answers, O_CLOEXEC)) {
        snprintf(why, 160, "no pipe: %s", strerror(errno));
        close(requests[0]);
        close(requests[1]);
        return -1;
    }
    err = spawn(peer, is_python ? mp_arguments : c_arguments, requests[0], answers[1]);
    close(requests[0]);
    close(answers[1]);
    peer->requests = requests[1];
    peer->answers = answers[0];
    if (err) {
        snprintf(why, 160, "could not start: %s", strerror(err));
        close(peer->requests);
        close(peer->answers);
        peer->pid = 0;
        return -1;
    }
    if (read_answer(peer, NULL, why)) {
        bench_peer_end(peer);
        return -1;
    }
    return 0;
}

int bench_peer_run(struct bench_peer *peer, const struct bench_entry *entry, size_t count, uint32_t links,
                   size_t repeats, double *seconds, char why[160])
{
    char line[128];
    int length = snprintf(line, sizeof line, "run %s %zu %u %zu\n", entry->name, count, links, repeats);

    if (write(peer->requests, line, (size_t)length) != length) {
        snprintf(why, 160, "it died");
        return -1;
    }
    return read_answer(peer, seconds, why);
}

/* The end of its input is its order to leave; if it does not, it and what it started are killed. */
void bench_peer_end(struct bench_peer *peer)
{
    struct pollfd gone = {.fd = peer->answers, .events = POLLIN};
    char rest[256];
    int patience = FAREWELL_MS;

    if (!peer->pid)
        return;
    close(peer->requests);
    while (poll(&gone, 1, patience) == 1)
        if (read(peer->answers, rest, sizeof rest) <= 0)
            break;
    if (waitpid(peer->pid, NULL, WNOHANG) != peer->pid) {
        const struct timespec moment = {.tv_nsec = 10000000};

        while (waitpid(peer->pid, NULL, WNOHANG) == 0 && patience > 0) {
            nanosleep(&moment, NULL);
            patience -= 10;
        }
        if (patience <= 0) {
            kill(-peer->pid, SIGKILL);
            waitpid(peer->pid, NULL, 0);
        }
    }
    close(peer->answers);
    peer->pid = 0;
}
