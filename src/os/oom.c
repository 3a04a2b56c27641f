/*
 * os/oom.c - how often the kernel's out-of-memory killer has struck in this process's memory cgroup.
 *
 * The kill itself is a plain SIGKILL, which cannot be told from others. The counter stands in memory.events (cgroup
 * v2) or memory.oom_control (v1; Linux 4.13); where there is no memory cgroup, or only its root, the machine's own
 * counter in /proc/vmstat is the same thing.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE "\noom_kill "
#define KILL_FIRST 300 /* of 1,000, which stand for all memory */

static char where[256]; /* found once; children made by fork have it from their parent */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool read_counter(const char *path, uint64_t *out)
{
    char text[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    text[0] = '\n'; /* so that each line has one before it */
    ssize_t length = 1, got;
    while (length < (ssize_t)sizeof text - 1 &&
           (got = read(fd, text + length, sizeof text - 1 - (size_t)length)) > 0)
        length += got;
    close(fd);
    text[length] = '\0';
    const char *line = strstr(text, LINE);
    if (line)
        *out = strtoull(line + sizeof LINE - 1, NULL, 10);
    return line;
}

static bool try_path(const char *before, const char *cgroup, const char *after)
{
    uint64_t count;
    int length = snprintf(where, sizeof where, "%s%s%s", before, cgroup, after);
    return length > 0 && (size_t)length < sizeof where && read_counter(where, &count);
}

/* A container may see its own cgroup as the root, although /proc names it as the machine does. */
static bool try_line(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return false;
    *path++ = '\0';
    if (strcmp(path, "/") == 0)
        path = (char *)"";
    if (controllers[1] == '\0')
        return try_path("/sys/fs/cgroup", path, "/memory.events") ||
               try_path("/sys/fs/cgroup", "", "/memory.events");
    return strstr(controllers, "memory") && (try_path("/sys/fs/cgroup/memory", path, "/memory.oom_control") ||
                                             try_path("/sys/fs/cgroup/memory", "", "/memory.oom_control"));
}

static void find_counter(void)
{
    FILE *file = fopen("/proc/thread-self/cgroup", "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;
    while (file && !found && getline(&line, &room, file) > 0)
        found = try_line(line);
    free(line);
    if (file)
        fclose(file);
    if (!found)
        snprintf(where, sizeof where, "/proc/vmstat");
}

bool kin__os_oom_kills(uint64_t *out)
{
    *out = 0;
    pthread_once(&once, find_counter);
    return read_counter(where, out);
}

/* Memory of the region counts for each process that has it mapped, and killing one frees none of it. */
void kin__os_be_killed_first(void)
{
    char text[16] = "";
    int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, text, sizeof text - 1) > 0) {
        int score = atoi(text) + KILL_FIRST;
        int length = snprintf(text, sizeof text, "%d", score < 1000 ? score : 1000);
        ssize_t written = pwrite(fd, text, (size_t)length, 0);
        (void)written; /* as before, then */
    }
    close(fd);
}
