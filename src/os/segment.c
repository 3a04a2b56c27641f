/* os/segment.c - see segment.h; fcntl(2), open file description locks and leases; shm_overview(7). */
#include "os/segment.h"

#include "base/failure.h"
#include "base/log.h"
#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DIRECTORY "/dev/shm/"
#define MARK S_ISVTX
#define PATIENCE 1.0 /* seconds that somebody may be at a name */
#define PAUSE_US 500
#define SWEEP_TRIES 20

enum range { USERS, NAMING }; /* bytes of the file that are locked */

struct path {
    char text[sizeof DIRECTORY + KIN__SEGMENT_NAME_MAX];
};

static struct path path_of(const char *name)
{
    struct path path;
    snprintf(path.text, sizeof path.text, DIRECTORY "%s", name);
    return path;
}

static bool lock(int fd, enum range range, short how)
{
    struct flock about = {.l_type = how, .l_whence = SEEK_SET, .l_start = range, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &about) == 0;
}

/* For something that others do in a few microseconds, unless they are stopped meanwhile. */
static bool pause_until(double deadline)
{
    if (kin__os_left(deadline) <= 0)
        return false;
    usleep(PAUSE_US +
           (useconds_t)(kin__os_now_ns() % PAUSE_US)); /* so that two do not meet again and again */
    return true;
}

/* Does not wait for a lease's end, does not follow links, does not open what is no file. */
static int open_file(const char *path)
{
    int fd = kin__os_high(open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat about;
    if (fd >= 0 && (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    return fd;
}

/* Whether the name is that file's. */
static bool is_named(int fd, const char *path)
{
    struct stat file, named;
    return fstat(fd, &file) == 0 && lstat(path, &named) == 0 && file.st_ino == named.st_ino &&
           file.st_dev == named.st_dev;
}

/* ---- sweeping -------------------------------------------------------------------------------- */

/* Whether nobody else has the file open. SIGURG, which does nothing by default, would tell of one who opens it meanwhile; that
 * one goes on when we close. */
static bool is_ours_alone(int fd)
{
    return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
}

static bool may_be_swept(const struct stat *about)
{
    return S_ISREG(about->st_mode) && about->st_mode & MARK && about->st_uid == geteuid();
}

static bool sweep(const char *path)
{
    struct stat about;
    if (lstat(path, &about) < 0 || !may_be_swept(&about))
        return false;
    int fd = open_file(path);
    if (fd < 0)
        return false;
    bool swept = fstat(fd, &about) == 0 && may_be_swept(&about) && lock(fd, USERS, F_WRLCK) &&
                 lock(fd, NAMING, F_WRLCK) && is_ours_alone(fd) && is_named(fd, path) && unlink(path) == 0;
    close(fd);
    if (swept)
        kin_log(KIN_LOG_INFO, "swept shared memory \"%s\", whose users have all ended",
                path + sizeof DIRECTORY - 1);
    return swept;
}

size_t kin__segments_sweep(void)
{
    size_t swept = 0;
    DIR *directory = opendir(DIRECTORY);
    if (!directory)
        return 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        if ((entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) &&
            strlen(entry->d_name) <= KIN__SEGMENT_NAME_MAX)
            swept += sweep(path_of(entry->d_name).text);
    closedir(directory);
    return swept;
}

/* ---- making ---------------------------------------------------------------------------------- */

static int tell_full(const char *name, size_t size, int error)
{
    struct statvfs about;
    size_t left = statvfs(DIRECTORY, &about) == 0 ? (size_t)about.f_bavail * about.f_frsize : 0;
    return kin__fail_errno(
        KIN_ENOMEM, error,
        "could not get %zu bytes of shared memory \"%s\": /dev/shm has %zu left; enlarge it "
        "(mount -o remount,size=..., docker run --shm-size=...)",
        size, name, left);
}

static int check_room(const char *name, size_t size)
{
    if (size > kin__os_file_limit()) /* it would be SIGXFSZ */
        return kin__fail(KIN_ENOMEM,
                         "cannot make %zu bytes of shared memory \"%s\": files may have %zu (ulimit -f)",
                         size, name, kin__os_file_limit());
    size_t available = kin__os_memory_available();
    if (size > available) /* nobody else would say so but the OOM killer */
        return kin__fail(KIN_ENOMEM,
                         "could not get %zu bytes of shared memory \"%s\": the machine has %zu left", size,
                         name, available);
    return 0;
}

static int allocate(int fd, const char *name, size_t size)
{
    while (syscall(SYS_fallocate, fd, 0, (off_t)0, (off_t)size) < 0) {
        if (errno == EINTR)
            continue;
        return tell_full(name, size, errno);
    }
    return 0;
}

static int tell_cannot(const char *name, int error)
{
    if (error == ENOENT || error == ENOTDIR)
        return kin__fail_errno(KIN_ESYSTEM, error,
                               "could not make shared memory \"%s\": there is no /dev/shm; mount it "
                               "(mount -t tmpfs tmpfs /dev/shm)",
                               name);
    return kin__fail_errno(error == ENOSPC ? KIN_ENOMEM : KIN_ESYSTEM, error,
                           "could not make shared memory \"%s\" in /dev/shm", name);
}

/* A file without a name, or, where that is not to be had, under one that is swept like others: *temporary. Its path for
 * link(2) goes to `path`. */
static int open_new(unsigned mode, char *path, size_t size, bool *temporary)
{
    int fd = kin__os_high(open(DIRECTORY, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    *temporary = false;
    if (fd >= 0) {
        snprintf(path, size, "/proc/thread-self/fd/%d", fd);
        if (access(path, F_OK) == 0)
            return fd;
        close(fd);
    } else if (errno == ENOENT) {
        return -1;
    }
    *temporary = true;
    for (int tries = 0; tries < SWEEP_TRIES; tries++) {
        snprintf(path, size, DIRECTORY ".kin-%d-%llx", (int)getpid(), (unsigned long long)kin__os_now_ns());
        fd = kin__os_high(open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode | MARK));
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

/* N1: all that a file needs before its name. */
static int equip(const char *name, size_t size, unsigned mode, bool keep, struct kin__segment *segment)
{
    if (!lock(segment->fd, USERS, F_RDLCK))
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not lock shared memory \"%s\"", name);
    int error = allocate(segment->fd, name, size);
    if (error && kin__segments_sweep())
        error = allocate(segment->fd, name, size);
    if (error)
        return error;
    if (fchmod(segment->fd, mode | (keep ? 0 : MARK)) < 0)
        return kin__fail_errno(KIN_ESYSTEM, errno, "could not set the mode of shared memory \"%s\"", name);
    segment->size = size;
    segment->at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd, 0);
    if (segment->at == MAP_FAILED)
        return kin__fail_errno(KIN_ENOMEM, errno, "could not map %zu bytes of shared memory \"%s\"", size,
                               name);
    return 0;
}

static int give_name(const char *from, const char *name)
{
    struct path path = path_of(name);
    for (int tries = 0;; tries++) {
        if (linkat(AT_FDCWD, from, AT_FDCWD, path.text, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST)
            return tell_cannot(name, errno);
        struct stat about;
        if (lstat(path.text, &about) < 0 || sweep(path.text))
            continue; /* gone by now */
        if (!may_be_swept(&about) || tries == SWEEP_TRIES)
            return kin__fail(KIN_EBUSY, "cannot make shared memory \"%s\": the name is taken", name);
        /* Either it has users, or others are about to sweep it too. */
        usleep(100 + (useconds_t)(kin__os_now_ns() % 200));
    }
}

int kin__segment_create(const char *name, size_t size, unsigned mode, bool keep, kin__segment_fill fill,
                        const void *arg, struct kin__segment *out)
{
    char path[80];
    bool temporary;
    int error = check_room(name, size);
    if (error)
        return error;
    struct kin__segment segment = {.fd = open_new(mode, path, sizeof path, &temporary), .at = MAP_FAILED};
    if (segment.fd < 0)
        return tell_cannot(name, errno);
    error = equip(name, size, mode, keep, &segment);
    if (!error && fill)
        fill(segment.at, arg);
    if (!error)
        error = give_name(path, name);
    if (temporary)
        unlink(path);
    if (error)
        kin__segment_close(&segment);
    else
        *out = segment;
    return error;
}

/* ---- attaching ------------------------------------------------------------------------------- */

static int tell_not_opened(const char *name, int error)
{
    switch (error) {
    case ENOENT:
        return kin__fail(KIN_ENOTFOUND, "there is no shared memory \"%s\"", name);
    case EACCES:
    case EPERM:
        return kin__fail_errno(KIN_EPERM, error, "cannot open shared memory \"%s\"", name);
    case EINVAL:
    case ELOOP:
    case EISDIR:
        return kin__fail(KIN_EINVAL, "cannot use \"%s\" in /dev/shm as shared memory: it is no file", name);
    default:
        return kin__fail_errno(KIN_ESYSTEM, error, "could not open shared memory \"%s\"", name);
    }
}

/* A descriptor that holds the lock of a file with a name and a size; or an error. */
static int open_as_user(const char *name, size_t *size, size_t *there)
{
    struct path path = path_of(name);
    double deadline = kin__os_deadline(PATIENCE);
    for (;;) {
        int fd = open_file(path.text);
        if (fd < 0 && errno != EWOULDBLOCK) /* that is a sweeper's lease */
            return tell_not_opened(name, errno);
        struct stat about = {0};
        bool locked = fd >= 0 && lock(fd, USERS, F_RDLCK) && fstat(fd, &about) == 0;
        if (locked && about.st_nlink && about.st_size > 0) {
            *size = (size_t)about.st_size;
            *there = (size_t)about.st_blocks * 512;
            return fd;
        }
        if (fd >= 0)
            close(fd);
        if (locked && about.st_nlink == 0)
            continue; /* N3: it was swept, or unlinked, in between */
        if (!pause_until(deadline))
            return locked
                       ? kin__fail(KIN_EINVAL, "cannot attach to shared memory \"%s\": it has 0 bytes", name)
                       : kin__fail(KIN_EBUSY,
                                   "could not attach to shared memory \"%s\": somebody is about to "
                                   "sweep it, and has stopped",
                                   name);
    }
}

int kin__segment_attach(const char *name, struct kin__segment *out)
{
    size_t there = 0;
    struct kin__segment segment = {.at = MAP_FAILED};
    segment.fd = open_as_user(name, &segment.size, &there);
    if (segment.fd < 0)
        return segment.fd;
    /* Others' may have holes, which are SIGBUS when nothing is left to fill them. */
    int error = there < segment.size ? check_room(name, segment.size) : 0;
    if (!error && there < segment.size)
        error = allocate(segment.fd, name, segment.size);
    if (!error)
        segment.at = mmap(NULL, segment.size, PROT_READ | PROT_WRITE, MAP_SHARED, segment.fd, 0);
    if (!error && segment.at == MAP_FAILED)
        error = kin__fail_errno(KIN_ENOMEM, errno, "could not map %zu bytes of shared memory \"%s\"",
                                segment.size, name);
    if (error)
        kin__segment_close(&segment);
    else
        *out = segment;
    return error;
}

/* The lock is the open file's: a child that has it too keeps it. */
void kin__segment_close(const struct kin__segment *segment)
{
    if (segment->at != MAP_FAILED)
        munmap(segment->at, segment->size);
    close(segment->fd);
}

int kin__segment_unlink(const char *name)
{
    struct path path = path_of(name);
    double deadline = kin__os_deadline(PATIENCE);
    for (;;) {
        int fd = open_file(path.text);
        if (fd < 0 && errno != EWOULDBLOCK)
            return tell_not_opened(name, errno);
        bool locked = fd >= 0 && lock(fd, NAMING, F_WRLCK);
        bool named = locked && is_named(fd, path.text);
        int error = named && unlink(path.text) < 0 ? errno : 0;
        if (fd >= 0)
            close(fd);
        if (named)
            return error ? tell_not_opened(name, error) : 0;
        if (!locked && !pause_until(deadline))
            return kin__fail(KIN_EBUSY,
                             "could not unlink shared memory \"%s\": another is about to, and has stopped",
                             name);
    }
}
