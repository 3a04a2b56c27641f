/* common.h - what the programs of this folder share: starting and joining, without a word for what must succeed. */
#ifndef KIN_TESTS_CASES_COMMON_H
#define KIN_TESTS_CASES_COMMON_H

#include "harness.h"

#include "kin.h"

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOP (test_time_left() - 0.5)

static inline kin_process *start(kin_process_fn fn, const void *arg, size_t size)
{
    kin_process *process =
        kin_process_start(fn, arg, size, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    return process;
}

/* Join, free, and tell how it ended. */
static inline kin_end finish(kin_process *process)
{
    kin_end end;
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    ck_assert_int_eq(kin_process_end(process, &end), 0);
    kin_process_free(process);
    return end;
}

static inline void exits_with(kin_process *process, int code)
{
    kin_end end = finish(process);
    char text[256];
    ck_assert_msg(end.how == KIN_END_EXITED && end.exit_code == code, "%s, not exit code %d",
                  kin_end_text(&end, text, sizeof text), code);
}

/* A process that kin does not know has ended in order. */
static inline void ended_well(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "process %d ended with status 0x%x", (int)pid, (unsigned)status);
}

/* Until a process is gone, or a zombie. */
static inline bool is_gone(int pid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    bool gone = !file || !fgets(text, sizeof text, file) || strstr(text, ") Z ") || strstr(text, ") X ");
    if (file)
        fclose(file);
    return gone;
}

static inline void wait_until_gone(int pid)
{
    for (; !is_gone(pid); usleep(1000))
        ck_assert_msg(TOP > 0, "process %d is still there", pid);
}

/* Until others have stored something else than 0. */
static inline int wait_for(_Atomic int *word)
{
    for (; !atomic_load(word); usleep(500))
        ck_assert_msg(TOP > 0, "nobody has come so far");
    return atomic_load(word);
}

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    if (directory)
        closedir(directory);
    return count;
}

#endif
