/* os/memory.c - memfds, maps and limits. What the kernel does here is measured in docs/design/traps. */
#include "os/os.h"

#include "base/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Between the shadow memory of sanitizers and where Linux puts libraries and stacks, on machines with 47 bits or more. */
#define HIDDEN_FROM UINT64_C(0x110000000000)
#define HIDDEN_TO UINT64_C(0x6f0000000000)
#define HIDDEN_TRIES 8

int kin__os_high(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int error = errno;
    close(fd);
    errno = error;
    return high;
}

int kin__os_memfd_new(const char *name, size_t size, int *out)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0) /* before Linux 6.3: EINVAL; filtered: EPERM */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fd = kin__os_high(fd);
    if (fd < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not create shared memory");
    if (ftruncate(fd, (off_t)size) < 0) {
        int error = errno;
        close(fd);
        return kin__fail_errno(KIN_ENOMEM, error, "could not size shared memory to %zu bytes", size);
    }
    /* Nobody may shrink it under the others' feet, which would be SIGBUS for all of them. */
    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    *out = fd;
    return 0;
}

int kin__os_map_shared(int fd, void *base, size_t size, void **out)
{
    int flags = MAP_SHARED | MAP_NORESERVE | (base ? MAP_FIXED_NOREPLACE : 0);
    void *at = mmap(base, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (at == MAP_FAILED)
        return kin__fail_errno(KIN_ENOMEM, errno, "could not map %zu bytes of shared memory at %p", size,
                               base);
    if (base && at != base) { /* kernels before 4.17 take the address as a hint */
        munmap(at, size);
        return kin__fail(KIN_ENOMEM, "could not map shared memory at %p: the address is taken", base);
    }
    /* A dump would fault in every hole: 3 GiB sparse took 13.5 s and grew the memfd by as much. */
    madvise(at, size, MADV_DONTDUMP);
    *out = at;
    return 0;
}

int kin__os_map_private(void *base, size_t size, void **out)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    void *at = mmap(base, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (at == MAP_FAILED)
        return kin__fail_errno(KIN_ENOMEM, errno, "could not map %zu bytes of private memory at %p", size,
                               base);
    if (at != base) { /* kernels before 4.17 take the address as a hint */
        munmap(at, size);
        return kin__fail(KIN_ENOMEM, "could not map private memory at %p: the address is taken", base);
    }
    *out = at;
    return 0;
}

int kin__os_map_part(int fd, size_t offset, size_t size, void **out)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
    if (at == MAP_FAILED)
        return kin__fail_errno(KIN_ENOMEM, errno, "could not map %zu bytes of shared memory for writing",
                               size);
    madvise(at, size, MADV_DONTDUMP);
    madvise(at, size, MADV_DONTFORK);
    *out = at;
    return 0;
}

int kin__os_map_hidden(int fd, size_t size, void **out)
{
    kin_error before;
    kin_error_get(&before);
    for (int tries = 0; tries < HIDDEN_TRIES; tries++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            break;
        uint64_t at = HIDDEN_FROM + random % (HIDDEN_TO - HIDDEN_FROM);
        if (kin__os_map_shared(fd, (void *)(at & ~(uint64_t)0xffff), size, out) == 0) {
            kin__fail_with(&before); /* those that were taken are no failure */
            return 0;
        }
    }
    return kin__os_map_shared(fd, NULL, size, out); /* a small address space, or a limited one */
}

void kin__os_unmap(void *base, size_t size)
{
    munmap(base, size);
}

/* Not by libc's fallocate: that is a point where a thread may be cancelled, and kin calls it with a lock held. */
static int allocate(int fd, int mode, size_t offset, size_t size)
{
    return (int)syscall(SYS_fallocate, fd, mode, (off_t)offset, (off_t)size);
}

int kin__os_populate(int fd, size_t offset, size_t size)
{
    while (allocate(fd, 0, offset, size) < 0)
        if (errno != EINTR)
            return kin__fail_errno(KIN_ENOMEM, errno, "could not get %zu bytes of memory from the system",
                                   size);
    return 0;
}

int kin__os_punch(int fd, size_t offset, size_t size)
{
    while (allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) < 0)
        if (errno != EINTR)
            return kin__fail_errno(KIN_ESYSTEM, errno, "could not give memory back to the system");
    return 0;
}

int kin__os_populate_mapped(void *start, size_t size)
{
    while (madvise(start, size, MADV_POPULATE_WRITE) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return kin__fail_errno(errno == EINVAL ? KIN_ENOTSUP : KIN_ENOMEM, errno,
                                   "could not get %zu bytes of memory from the system", size);
    return 0;
}

int kin__os_punch_mapped(void *start, size_t size)
{
    while (madvise(start, size, MADV_REMOVE) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return kin__fail_errno(KIN_ESYSTEM, errno, "could not give memory back to the system");
    return 0;
}

bool kin__os_protect(void *start, size_t size, enum kin__os_access access)
{
    static const int how[] = {
        [KIN__OS_NONE] = PROT_NONE, [KIN__OS_READ] = PROT_READ, [KIN__OS_WRITE] = PROT_READ | PROT_WRITE};
    return mprotect(start, size, how[access]) == 0;
}

void *kin__os_wiped_page(bool *wiped)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    *wiped = madvise(page, size, MADV_WIPEONFORK) == 0; /* since Linux 4.14; valgrind 3.19 only says so */
    return page;
}

static size_t read_number(const char *path)
{
    char text[64];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return SIZE_MAX;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return SIZE_MAX;
    text[length] = '\0';
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    return end == text ? SIZE_MAX : (size_t)value; /* "max" is no number */
}

/* "inactive_file" of memory.stat: page cache that the kernel gives up before anyone is killed. */
static size_t cgroup_cache(const char *directory, const char *name)
{
    char path[700], line[128];
    snprintf(path, sizeof path, "%s/memory.stat", directory);
    FILE *file = fopen(path, "re");
    size_t bytes = 0, length = strlen(name);
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, name, length) == 0 && line[length] == ' ')
            bytes = (size_t)strtoull(line + length, NULL, 10);
    if (file)
        fclose(file);
    return bytes;
}

/* What one cgroup leaves. */
static size_t cgroup_left(const char *directory, bool v2)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", directory, v2 ? "memory.max" : "memory.limit_in_bytes");
    size_t limit = read_number(path);
    snprintf(path, sizeof path, "%s/%s", directory, v2 ? "memory.current" : "memory.usage_in_bytes");
    size_t used = read_number(path);
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    size_t cache = cgroup_cache(directory, v2 ? "inactive_file" : "total_inactive_file");
    used = cache < used ? used - cache : 0;
    return limit > used ? limit - used : 0;
}

/* The limits of the process's memory cgroup and of those it lies in; its path is in /proc/self/cgroup. */
static size_t cgroup_available(void)
{
    FILE *file = fopen("/proc/thread-self/cgroup", "re");
    if (!file)
        return SIZE_MAX;
    size_t least = SIZE_MAX;
    char line[512], directory[640];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        bool v2 = controllers[1] == '\0';
        if (!v2 && !strstr(controllers + 1, "memory"))
            continue;
        for (char *end = path + strlen(path); end; end = strrchr(path, '/')) {
            *end = '\0';
            snprintf(directory, sizeof directory, "/sys/fs/cgroup%s%s", v2 ? "" : "/memory", path);
            size_t left = cgroup_left(directory, v2);
            least = left < least ? left : least;
        }
    }
    fclose(file);
    return least;
}

size_t kin__os_memory_available(void)
{
    size_t available = SIZE_MAX;
    FILE *file = fopen("/proc/meminfo", "re");
    char line[128];
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long kib;
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            available = (size_t)kib * 1024;
    }
    if (file)
        fclose(file);
    if (available == SIZE_MAX) /* no /proc */
        available = (size_t)sysconf(_SC_AVPHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    size_t cgroup = cgroup_available();
    return cgroup < available ? cgroup : available;
}

static size_t soft_limit(int which)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)which, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

size_t kin__os_file_limit(void)
{
    return soft_limit(RLIMIT_FSIZE);
}

size_t kin__os_address_limit(void)
{
    return soft_limit(RLIMIT_AS);
}

void kin__os_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

size_t kin__os_private_data(void)
{
    /* VmData, the sixth number of statm, counts what RLIMIT_DATA limits (and stacks). */
    char text[128];
    int fd = open("/proc/thread-self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    unsigned long long pages;
    if (sscanf(text, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
        return 0;
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

size_t kin__os_private_data_limit(void)
{
    return soft_limit(RLIMIT_DATA);
}

int kin__os_limit_private_data(size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_DATA, &limit) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not read the memory limit");
    limit.rlim_cur = bytes == SIZE_MAX ? limit.rlim_max : (rlim_t)bytes;
    if (limit.rlim_cur > limit.rlim_max)
        limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_DATA, &limit) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not set a memory limit of %zu bytes", bytes);
    return 0;
}
