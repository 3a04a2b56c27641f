/* os/usage.c - what a process has used: CPU time, memory at its peak. */
#include "os/os.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t kin__os_cpu_time_ns(int pid)
{
    struct timespec used;
    clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
    if ((pid && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &used) != 0)
        return 0;
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

uint64_t kin__os_thread_cpu_time_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

/* A line of /proc/self/status, in kB there; 0 if it cannot be read. */
static size_t status_bytes(const char *name)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *line = strstr(text, name);
    return line ? strtoull(line + strlen(name), NULL, 10) * 1024 : 0;
}

size_t kin__os_resident_reset(void)
{
    int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t written = write(fd, "5", 1); /* proc(5): the peak becomes what is resident now */
        (void)written;
        close(fd);
    }
    return status_bytes("\nVmRSS:");
}

size_t kin__os_resident_peak(void)
{
    return status_bytes("\nVmHWM:");
}
