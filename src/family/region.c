/*
 * family/region.c - making and mapping the shared region.
 *
 * Address and size are negotiable: the founder takes the first base that is free and the largest size
 * that the process's limits allow, and children are told. 0x200000000000 lies far from where Linux puts
 * programs, heaps and libraries on x86-64 and AArch64 (48 bits), so that a spawned child finds it free.
 */
#include "family/region.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/guard.h"
#include "family/lock.h"
#include "family/shelf.h"
#include "os/os.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct kin__region *kin__region;
int kin__region_fd = -1;
uintptr_t kin__region_base, kin__region_size, kin__open_size;
struct kin__known kin__known;

#define LARGEST ((size_t)1 << 40)
#define STEP ((size_t)1 << 20)

/* ThreadSanitizer dies on addresses outside its own ranges. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef UNDER_TSAN
static const uintptr_t bases[] = {0x7e8100000000, 0x4000000000, 0x1000000000};
#define LARGEST_HERE ((size_t)16 << 30)
#else
static const uintptr_t bases[] = {0x200000000000, 0x100000000000, 0x300000000000, 0x2000000000};
#define LARGEST_HERE LARGEST
#endif

static uint64_t pid_namespace(void)
{
    struct stat about;
    return stat("/proc/thread-self/ns/pid", &about) == 0 ? about.st_ino : 0;
}

int kin__region_reaches(void)
{
    uint64_t here = pid_namespace();
    if (here == 0 || here == kin__region->pid_namespace) /* 0: no /proc, so it cannot be told */
        return 0;
    return kin__fail(KIN_EMISMATCH, "cannot join the family from another pid namespace");
}

/* The largest size that the limits on files and address space leave room for. A program needs address
 * space of its own too: take at most half of a limited one. */
static size_t largest_size(void)
{
    size_t size = LARGEST_HERE;
    size_t file = kin__os_file_limit(), space = kin__os_address_limit();
    if (file < size)
        size = file;
    if (space != SIZE_MAX && space / 2 < size)
        size = space / 2;
    return size / STEP * STEP;
}

static int map_somewhere(int fd, size_t size, void **out)
{
    int error = 0;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        error = kin__os_map_shared(fd, (void *)bases[i], size, out);
        if (!error)
            return 0;
    }
    return error;
}

static int make(size_t size, int *fd, void **at)
{
    int error = kin__os_memfd_new("kin", size, fd);
    if (error)
        return error;
    error = map_somewhere(*fd, size, at);
    if (error)
        close(*fd);
    return error;
}

static struct kin__file region_file;

bool kin__region_has_fd(void)
{
    return kin__os_file_is(kin__region_fd, &region_file);
}

int kin__region_populate(size_t offset, size_t size)
{
    if (kin__region_has_fd())
        return kin__os_populate(kin__region_fd, offset, size);
    int error = kin__os_populate_mapped(kin__region_at(offset), size);
    if (error == KIN_ENOTSUP)
        error =
            kin__fail(KIN_ESYSTEM,
                      "could not get %zu bytes of shared memory: the program has closed kin's descriptor %d",
                      size, kin__region_fd);
    return error;
}

int kin__region_punch(size_t offset, size_t size)
{
    return kin__region_has_fd() ? kin__os_punch(kin__region_fd, offset, size)
                                : kin__os_punch_mapped(kin__region_at(offset), size);
}

static void adopt(void *at, size_t size, int fd)
{
    kin__region = at;
    region_file = kin__os_file_of(fd);
    if (at)
        kin__os_barrier_join(); /* without it, sleepers in queues look again more often */
    kin__region_fd = fd;
    kin__region_base = (uintptr_t)at;
    kin__region_size = kin__open_size = size;
}

int kin__region_new(size_t size, size_t heap_limit)
{
    size_t most = largest_size();
    size_t wanted = size && size < most ? size / STEP * STEP : most;
    int fd = -1;
    void *at = NULL;
    int error = KIN_ENOMEM;
    for (; wanted >= KIN__REGION_LEAST; wanted = wanted / 2 / STEP * STEP) {
        error = make(wanted, &fd, &at);
        if (error != KIN_ENOMEM)
            break;
    }
    if (size && size < KIN__REGION_LEAST)
        return kin__fail(KIN_EINVAL, "cannot use a region of %zu bytes: it must be at least %zu MiB", size,
                         KIN__REGION_LEAST >> 20);
    if (wanted < KIN__REGION_LEAST)
        return kin__fail(KIN_ENOMEM,
                         "could not reserve %zu MiB of address space for shared memory: raise the limits "
                         "(ulimit -v, ulimit -f)",
                         KIN__REGION_LEAST >> 20);
    if (error)
        return error;
    if (wanted < LARGEST_HERE && !size)
        kin_log(KIN_LOG_INFO, "the shared region is limited to %zu MiB by this process's limits",
                wanted >> 20);
    adopt(at, wanted, fd);

    struct kin__region *region = at;
    region->layout = KIN__LAYOUT;
    region->base = (uintptr_t)at;
    region->size = wanted;
    region->shelf = kin__shelf_offset(wanted);
    region->heap_limit = heap_limit ? heap_limit : kin__os_memory_available() / 2;
    if (region->heap_limit > wanted)
        region->heap_limit = wanted;
    region->pid_namespace = pid_namespace();
    if (getrandom(&region->nonce, sizeof region->nonce, 0) != (ssize_t)sizeof region->nonce)
        region->nonce = kin__os_now_ns();
    strncpy(region->version, KIN_VERSION, sizeof region->version - 1);
    region->magic = KIN__REGION_MAGIC;
    kin__known.nonce = region->nonce;
    return 0;
}

void kin__region_set_checks(uint32_t checks)
{
    kin__region->checks = kin__known.checks = checks;
}

void kin__region_leave(void)
{
    void *at = kin__region;
    size_t size = kin__region_size;
    kin__os_file_close(kin__region_fd, &region_file);
    adopt(NULL, 0, -1);
    kin__known = (struct kin__known){0};
    kin__os_unmap(at, size);
}

int kin__region_attach(int fd, uint64_t base, uint64_t size, uint64_t nonce)
{
    struct stat about;
    if (fstat(fd, &about) < 0 || (uint64_t)about.st_size != size || size < KIN__REGION_LEAST)
        return kin__fail(KIN_EMISMATCH, "cannot join the family: descriptor %d is not its shared memory", fd);
    void *at;
    int error = kin__os_map_shared(fd, (void *)(uintptr_t)base, size, &at);
    if (error)
        return error;
    const struct kin__region *region = at;
    if (region->magic != KIN__REGION_MAGIC || region->nonce != nonce)
        error = kin__fail(KIN_EMISMATCH, "cannot join the family: the shared memory is another family's");
    else if (region->layout != KIN__LAYOUT || strcmp(region->version, KIN_VERSION) != 0)
        error = kin__fail(KIN_EMISMATCH, "cannot join the family: it uses kin %.15s, this program kin %s",
                          region->version, KIN_VERSION);
    else if (region->pid_namespace != pid_namespace())
        error = kin__fail(KIN_EMISMATCH, "cannot join the family from another pid namespace");
    if (error) {
        kin__os_unmap(at, size);
        return error;
    }
    adopt(at, size, fd);
    kin__known = (struct kin__known){.nonce = region->nonce, .checks = region->checks};
    kin__guards_set();
    return 0;
}
