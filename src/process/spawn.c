/*
 * process/spawn.c - children by a fresh image of the same program.
 *
 * The child finds its way by KIN_CHILD in its environment, "descriptor:base:size:nonce:member", which
 * kin_init removes at once, so that programs started from the child know nothing of it. It gets descriptor 3
 * for the region and no other above stderr.
 */
#include "process/start.h"

#include "base/failure.h"
#include "family/region.h"
#include "os/os.h"
#include "process/carried.h"
#include "process/child.h"
#include "process/printed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK "KIN_CHILD"
#define CHILD_FD 3
_Static_assert(KIN__CARRIED_FROM == CHILD_FD + 1, "what it is given stands behind");

extern char **environ;

static char **main_argv;

void kin__spawn_remember(char **argv)
{
    main_argv = argv;
}

int kin__spawn_possible(void)
{
    if (!kin__region_has_fd())
        return kin__fail(KIN_ESYSTEM,
                         "cannot spawn (or start a forkserver): the program has closed kin's descriptor %d, "
                         "which a new image "
                         "needs; use fork",
                         kin__region_fd);
    if (main_argv)
        return 0;
    return kin__fail(
        KIN_ENOTSUP,
        "cannot spawn (or start a forkserver): main did not call kin_init(&argc, &argv), so a new "
        "image of this program would not know that it is a child; use fork");
}

/* The environment with the mark in it; one allocation, freed by the caller. */
static char **child_environment(const char *mark)
{
    size_t count = 0;
    while (environ && environ[count])
        count++;
    char **copy = malloc((count + 2) * sizeof *copy);
    if (!copy)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], MARK "=", sizeof MARK) != 0)
            copy[used++] = environ[i];
    copy[used++] = (char *)mark;
    copy[used] = NULL;
    return copy;
}

static int spawn(const char *path, char **environment, const struct kin__printed *printed, const int *carried,
                 int carried_count, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int nothing = kin__os_high(kin__os_open_null());
    /* Out of memory: a child without one of these would have descriptors that are not its own. */
    int error = nothing >= 0 ? posix_spawn_file_actions_adddup2(&files, nothing, STDIN_FILENO)
                             : posix_spawn_file_actions_addclose(&files, STDIN_FILENO);
    for (int i = 0; printed && i < 2; i++)
        if (printed->write_fd[i] >= 0)
            error |= posix_spawn_file_actions_adddup2(&files, printed->write_fd[i], i + 1);
    error |= posix_spawn_file_actions_adddup2(&files, kin__region_fd, CHILD_FD);
    for (int i = 0; i < carried_count; i++)
        error |= posix_spawn_file_actions_adddup2(&files, carried[i], KIN__CARRIED_FROM + i);
    error |= posix_spawn_file_actions_addclosefrom_np(&files, KIN__CARRIED_FROM + carried_count);
    posix_spawnattr_setsigdefault(&how, &all);
    posix_spawnattr_setsigmask(&how, &none);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    error = error ? ENOMEM : posix_spawn(pid, path, &files, &how, main_argv, environment);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    if (nothing >= 0)
        close(nothing);
    return error;
}

/* The copies that the child is to have are nobody else's: so no other thread forks meanwhile. */
static int spawn_with(const kin_process *process, const char *path, char **environment, pid_t *pid)
{
    const struct kin__carried *carried = process->carried;
    if (!carried)
        return spawn(path, environment, process->printed, NULL, 0, pid);
    int copies[KIN__CARRIED_MOST];
    kin__handles_before_fork();
    int error = kin__carried_copy(carried, copies) == 0 ? 0 : EMFILE;
    if (!error) {
        error = spawn(path, environment, process->printed, copies, (int)carried->count, pid);
        for (uint32_t i = 0; i < carried->count; i++)
            close(copies[i]);
    }
    kin__handles_after_fork();
    return error;
}

pid_t kin__spawn_member(struct kin__member *member)
{
    const char *name = member->process->name;
    char path[4096], mark[160];
    if (!kin__os_program_path(path, sizeof path))
        return kin__fail(KIN_ESYSTEM, "could not spawn process \"%s\": the program's path is unknown", name);
    snprintf(mark, sizeof mark, MARK "=%d:%" PRIx64 ":%" PRIx64 ":%" PRIx64 ":%" PRIx64, CHILD_FD,
             kin__region->base, kin__region->size, kin__region->nonce, kin__member_id(member));
    char **environment = child_environment(mark);
    if (!environment)
        return kin__fail(KIN_ENOMEM, "could not spawn process \"%s\": out of private memory", name);
    if (kin__child_alone())
        kin__os_flush_cxx();
    kin__os_flush_output();
    pid_t pid;
    int error = spawn_with(member->process, path, environment, &pid);
    free(environment);
    if (error)
        return kin__fail_errno(KIN_ESYSTEM, error, "could not spawn process \"%s\" from %s", name, path);
    return pid;
}

_Noreturn static void give_up(void)
{
    fprintf(stderr, "kin: [%d] error: this process was started as a child, but %s\n", (int)getpid(),
            kin_error_message());
    _exit(KIN__REFUSED_EXIT);
}

void kin__spawn_enter(void)
{
    const char *mark = getenv(MARK);
    if (!mark)
        return;
    int fd;
    uint64_t base, size, nonce, id;
    int read =
        sscanf(mark, "%d:%" SCNx64 ":%" SCNx64 ":%" SCNx64 ":%" SCNx64, &fd, &base, &size, &nonce, &id);
    unsetenv(MARK);
    if (read != 5) {
        kin__fail(KIN_EMISMATCH, "%s in its environment cannot be read", MARK);
        give_up();
    }
    if (kin__region_attach(fd, base, size, nonce) != 0)
        give_up();
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    struct kin__member *member = kin__member_find(id);
    struct kin__member *parent = member ? kin__member_find(member->parent) : NULL;
    if (!member || !parent) {
        kin__fail(KIN_EDIED, "whoever started it has died");
        give_up();
    }
    kin__child_setup();
    kin__child_run_spawned(id, atomic_load(&parent->pid));
}
