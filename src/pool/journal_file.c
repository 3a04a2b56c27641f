/* pool/journal_file.c - see journal_file.h. */
#include "pool/journal_file.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/log.h"
#include "kin/journal.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BYTE_ORDER_MARK 0x01020304u
#define BUFFER ((size_t)1 << 20)
#define LOCK_WAIT 2.0 /* seconds: workers of a maker that was killed have its descriptor for a moment */
#define LOCK_PERIOD_NS 10000000

struct record {
    uint64_t first, items;
    uint64_t sum;
};

static const char magic[8] = {'k', 'i', 'n', 'j', 'r', 'n', 'l', '\n'};

_Static_assert(sizeof(struct kin__journal_header) == 64, "as journal_file.h says");
_Static_assert(sizeof(struct record) == 24, "as journal_file.h says");

static int failed(const struct kin__journal_file *file, const char *what)
{
    return kin__fail_errno(KIN_ESYSTEM, errno, "could not %s journal \"%s\"", what, file->path);
}

static uint64_t rounded(uint64_t size)
{
    return (size + 7) & ~(uint64_t)7;
}

static uint64_t sum_of_header(const struct kin__journal_header *header)
{
    return kin__hash(0, header, offsetof(struct kin__journal_header, sum));
}

/* Of a record at `at` whose outputs hash to `outputs`. */
static uint64_t sum_of(const struct kin__journal_file *file, const struct record *record, uint64_t at,
                       uint64_t outputs)
{
    uint64_t parts[] = {file->header.job, at, record->first, record->items, outputs};
    return kin__hash(1, parts, sizeof parts);
}

static bool read_at(const struct kin__journal_file *file, void *to, size_t size, uint64_t at)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(file->fd, (char *)to + done, size - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        done += (size_t)got;
    }
    return true;
}

static bool write_at(const struct kin__journal_file *file, const void *from, size_t size, uint64_t at)
{
    if (at + size > kin__os_file_limit()) { /* the kernel would send SIGXFSZ */
        errno = EFBIG;
        return false;
    }
    for (size_t done = 0; done < size;) {
        ssize_t put = pwrite(file->fd, (const char *)from + done, size - done, (off_t)(at + done));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return false;
        done += (size_t)put;
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool add_run(struct kin__journal_file *file, const struct record *record, uint64_t at)
{
    if (file->run_count == file->run_room) {
        size_t room = file->run_room ? 2 * file->run_room : 256;
        struct kin__journal_run *larger = realloc(file->runs, room * sizeof *larger);
        if (!larger)
            return false;
        file->runs = larger;
        file->run_room = room;
    }
    file->runs[file->run_count++] =
        (struct kin__journal_run){record->first, record->items, at + sizeof *record};
    file->done += record->items;
    return true;
}

/* The hash of the outputs at `at`, a piece at a time: those of one item may be larger than the buffer. */
static bool hash_outputs(const struct kin__journal_file *file, uint64_t at, uint64_t size, uint64_t *out)
{
    uint64_t hash = 2;
    while (size) {
        size_t piece = size < BUFFER ? (size_t)size : BUFFER;
        if (!read_at(file, file->buffer, piece, at))
            return false;
        hash = kin__hash(hash, file->buffer, piece);
        at += piece;
        size -= piece;
    }
    *out = hash;
    return true;
}

static uint64_t hash_of_outputs(const void *outputs, uint64_t size)
{
    uint64_t hash = 2;
    for (const char *at = outputs; size;) {
        size_t piece = size < BUFFER ? (size_t)size : BUFFER;
        hash = kin__hash(hash, at, piece);
        at += piece;
        size -= piece;
    }
    return hash;
}

/* Go through the records that are whole. KIN_ENOMEM; 0: file->end is where they end. */
static int read_records(struct kin__journal_file *file, uint64_t size)
{
    const struct kin__journal_header *header = &file->header;
    for (file->end = sizeof *header; file->end + sizeof(struct record) <= size;) {
        struct record record;
        uint64_t at = file->end, outputs;
        if (!read_at(file, &record, sizeof record, at) || record.items == 0 ||
            record.first >= header->count || record.items > header->count - record.first ||
            (header->out_size && record.items > (size - at) / header->out_size))
            break;
        uint64_t bytes = record.items * header->out_size;
        if (at + sizeof record + rounded(bytes) > size ||
            !hash_outputs(file, at + sizeof record, bytes, &outputs) ||
            record.sum != sum_of(file, &record, at, outputs))
            break;
        if (!add_run(file, &record, at))
            return kin__fail(KIN_ENOMEM, "could not read journal \"%s\": out of private memory", file->path);
        file->end = at + sizeof record + rounded(bytes);
    }
    file->torn = file->end < size;
    return 0;
}

static int no_journal(const struct kin__journal_file *file)
{
    return kin__fail(KIN_EINVAL, "cannot use \"%s\" as a journal: it is none, and is left as it is",
                     file->path);
}

static int check_header(const struct kin__journal_file *file)
{
    const struct kin__journal_header *header = &file->header;
    if (memcmp(header->magic, magic, sizeof magic) != 0 || header->byte_order != BYTE_ORDER_MARK)
        return no_journal(file);
    if (header->version != KIN__JOURNAL_VERSION)
        return kin__fail(KIN_EMISMATCH, "cannot use journal \"%s\": it has version %u, this kin reads %u",
                         file->path, header->version, KIN__JOURNAL_VERSION);
    return header->sum == sum_of_header(header) ? 0 : no_journal(file);
}

static int check_job(const struct kin__journal_file *file, const struct kin__journal_header *wanted)
{
    const struct kin__journal_header *header = &file->header;
    if (header->count != wanted->count || header->in_size != wanted->in_size ||
        header->out_size != wanted->out_size)
        return kin__fail(KIN_EMISMATCH,
                         "cannot use journal \"%s\": it is that of %llu items of %llu bytes with outputs of "
                         "%llu, this map "
                         "has %llu of %llu with outputs of %llu",
                         file->path, (unsigned long long)header->count, (unsigned long long)header->in_size,
                         (unsigned long long)header->out_size, (unsigned long long)wanted->count,
                         (unsigned long long)wanted->in_size, (unsigned long long)wanted->out_size);
    if (header->job != wanted->job)
        return kin__fail(
            KIN_EMISMATCH,
            "cannot use journal \"%s\": it is that of another job (items, context, seed, or the job's name)",
            file->path);
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int lock(const struct kin__journal_file *file)
{
    double deadline = kin__os_now() + LOCK_WAIT;
    while (flock(file->fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return failed(file, "lock");
        if (kin__os_now() > deadline)
            return kin__fail(KIN_EBUSY, "cannot use journal \"%s\": another map is at it", file->path);
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PERIOD_NS}, NULL);
    }
    return 0;
}

/* A file shorter than a header is one of ours that was killed at its beginning, if it is the beginning of one. */
static int begin_anew(struct kin__journal_file *file, const struct kin__journal_header *header, size_t size)
{
    char found[sizeof *header];
    if (size && (!read_at(file, found, size, 0) || memcmp(found, header, size) != 0))
        return no_journal(file);
    if (!write_at(file, header, sizeof *header, 0))
        return failed(file, "write");
    file->header = *header;
    file->end = sizeof *header;
    return 0;
}

static int cut(struct kin__journal_file *file)
{
    if (!file->torn)
        return 0;
    if (ftruncate(file->fd, (off_t)file->end) < 0)
        return failed(file, "cut");
    file->torn = false;
    return 0;
}

static int read_through(struct kin__journal_file *file, const struct kin__journal_header *wanted)
{
    struct stat about;
    if (fstat(file->fd, &about) < 0)
        return failed(file, "read");
    if (!S_ISREG(about.st_mode))
        return kin__fail(KIN_EINVAL, "cannot use \"%s\" as a journal: it is no regular file", file->path);
    uint64_t size = (uint64_t)about.st_size;
    if (wanted && size < sizeof *wanted)
        return begin_anew(file, wanted, (size_t)size);
    if (size < sizeof file->header || !read_at(file, &file->header, sizeof file->header, 0))
        return no_journal(file);
    int error = check_header(file);
    if (!error && wanted)
        error = check_job(file, wanted);
    return error ? error : read_records(file, size);
}

static int open_file(struct kin__journal_file *file, const char *path, int flags)
{
    *file = (struct kin__journal_file){.fd = -1, .path = strdup(path), .buffer = malloc(BUFFER)};
    if (!file->path || !file->buffer)
        return kin__fail(KIN_ENOMEM, "could not open journal \"%s\": out of private memory", path);
    file->fd = kin__os_high(open(path, flags | O_CLOEXEC, 0666));
    if (file->fd >= 0)
        return 0;
    return errno == ENOENT && !(flags & O_CREAT)
               ? kin__fail(KIN_ENOTFOUND, "there is no journal \"%s\"", path)
               : failed(file, "open");
}

void kin__journal_close(struct kin__journal_file *file)
{
    if (file->fd >= 0) {
        flock(file->fd, LOCK_UN); /* workers that were forked meanwhile have the descriptor too */
        close(file->fd);
    }
    free(file->path);
    free(file->runs);
    free(file->buffer);
    *file = (struct kin__journal_file){.fd = -1};
}

int kin__journal_open(struct kin__journal_file *file, const char *path,
                      const struct kin__journal_header *wanted)
{
    struct kin__journal_header header = *wanted;
    memcpy(header.magic, magic, sizeof magic);
    header.version = KIN__JOURNAL_VERSION;
    header.byte_order = BYTE_ORDER_MARK;
    header.sum = sum_of_header(&header);
    int error = open_file(file, path, O_RDWR | O_CREAT);
    if (!error)
        error = lock(file);
    if (!error)
        error = read_through(file, &header);
    if (!error && file->torn)
        kin_log(KIN_LOG_INFO,
                "journal \"%s\" is whole up to byte %llu; what is behind was torn, and is done again", path,
                (unsigned long long)file->end);
    if (!error)
        error = cut(file);
    if (error)
        kin__journal_close(file);
    return error;
}

int kin__journal_load(const struct kin__journal_file *file, const struct kin__journal_run *run, uint64_t from,
                      uint64_t items, void *out)
{
    uint64_t size = file->header.out_size;
    if (size && !read_at(file, out, (size_t)(items * size), run->at + (from - run->first) * size))
        return failed(file, "read");
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

uint64_t kin__journal_most(const struct kin__journal_file *file)
{
    uint64_t size = file->header.out_size, most = (BUFFER - sizeof(struct record)) / (size ? size : 1);
    return most ? most : 1;
}

int kin__journal_flush(struct kin__journal_file *file)
{
    int error = cut(file);
    if (error || !file->buffered)
        return error;
    file->torn = true; /* until all of it is there */
    if (!write_at(file, file->buffer, file->buffered, file->end))
        return failed(file, "write");
    file->torn = false;
    file->end += file->buffered;
    file->buffered = 0;
    return 0;
}

/* Outputs that do not fit into the buffer go to the file by themselves, the record in front of them last. */
static int write_large(struct kin__journal_file *file, const struct record *record, const void *outputs,
                       uint64_t bytes)
{
    uint64_t zero = 0, at = file->end;
    file->torn = true;
    if (!write_at(file, outputs, (size_t)bytes, at + sizeof *record) ||
        !write_at(file, &zero, (size_t)(rounded(bytes) - bytes), at + sizeof *record + bytes) ||
        !write_at(file, record, sizeof *record, at))
        return failed(file, "write");
    file->torn = false;
    file->end = at + sizeof *record + rounded(bytes);
    return 0;
}

int kin__journal_note(struct kin__journal_file *file, uint64_t first, uint64_t items, const void *outputs)
{
    uint64_t bytes = items * file->header.out_size;
    uint64_t whole = sizeof(struct record) + rounded(bytes);
    if (file->buffered + whole > BUFFER) {
        int error = kin__journal_flush(file);
        if (error)
            return error;
    }
    struct record record = {.first = first, .items = items};
    record.sum = sum_of(file, &record, file->end + file->buffered, hash_of_outputs(outputs, bytes));
    if (whole > BUFFER)
        return write_large(file, &record, outputs, bytes);
    unsigned char *at = file->buffer + file->buffered;
    memcpy(at, &record, sizeof record);
    if (bytes)
        memcpy(at + sizeof record, outputs, (size_t)bytes);
    memset(at + sizeof record + bytes, 0, (size_t)(rounded(bytes) - bytes));
    file->buffered += whole;
    return 0;
}

int kin__journal_sync(struct kin__journal_file *file)
{
    return fdatasync(file->fd) < 0 && errno != EINVAL && errno != EROFS ? failed(file, "sync") : 0;
}

/* ---- for others ------------------------------------------------------------------------------ */

int kin_journal_read(const char *path, kin_journal_info *out)
{
    if (!path || !out || out->size < sizeof out->size || out->size > sizeof *out * 16)
        return kin__fail(KIN_EINVAL, "cannot read a journal: %s",
                         path ? "the size field of the result is not set" : "its name is NULL");
    struct kin__journal_file file;
    int error = open_file(&file, path, O_RDONLY);
    if (!error)
        error = read_through(&file, NULL);
    struct stat about;
    if (!error && fstat(file.fd, &about) < 0)
        error = failed(&file, "read");
    if (!error) {
        kin_journal_info info = {.size = out->size,
                                 .total = file.header.count,
                                 .done = file.done,
                                 .in_size = file.header.in_size,
                                 .out_size = file.header.out_size,
                                 .bytes = file.end,
                                 .torn = (uint64_t)about.st_size - file.end};
        size_t size = out->size < sizeof info ? out->size : sizeof info;
        memset(out, 0, out->size);
        memcpy(out, &info, size);
    }
    kin__journal_close(&file);
    return error;
}
