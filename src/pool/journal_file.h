/*
 * pool/journal_file.h - the file that kin/journal.h tells of: a header, then records, each of a run of items.
 *
 *   header   magic, version, what the job is, check sum                      64 bytes
 *   record   first item, how many, check sum; their outputs; up to 8 bytes   24 bytes and the outputs
 *
 * in the machine's byte order (the magic tells another one). Records are appended by one process, and never change. A check
 * sum covers the record's place in the file, too, so old bytes cannot pass for one.
 *
 *   when the writer dies                     the next one finds
 *   --------------------------------------   ---------------------------------------------------
 *   before or in the header                  less than a header, of its own job: begins anew
 *   in a record                              a record that is not whole: cuts it off
 *   between cutting one off and going on     the same, or a file that is whole
 */
#ifndef KIN_POOL_JOURNAL_FILE_H
#define KIN_POOL_JOURNAL_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__JOURNAL_VERSION 1u

struct kin__journal_header {
    char magic[8];
    uint32_t version, byte_order;
    uint64_t count, in_size, out_size;
    uint64_t job; /* hash of what else tells it from others */
    uint64_t unused;
    uint64_t sum;
};

/* A run of items that is in the file. */
struct kin__journal_run {
    uint64_t first, items;
    uint64_t at; /* of the outputs */
};

struct kin__journal_file {
    int fd;
    char *path; /* for texts */
    struct kin__journal_header header;
    struct kin__journal_run *runs; /* in the file's order */
    size_t run_count, run_room;
    uint64_t done; /* items in them */
    uint64_t end;  /* where the next record goes */
    bool torn;     /* there may be something behind it */
    unsigned char *buffer;
    size_t buffered;
};

/*
 * Open or make the file of that job (count, in_size, out_size, job of `wanted`), lock it and read it through. 0, KIN_EBUSY,
 * KIN_EMISMATCH (another job's), KIN_EINVAL (no journal), KIN_ESYSTEM, KIN_ENOMEM.
 */
int kin__journal_open(struct kin__journal_file *file, const char *path,
                      const struct kin__journal_header *wanted);
void kin__journal_close(struct kin__journal_file *file);

/* Copy the outputs of items `from` to `from + items - 1` of a run. */
int kin__journal_load(const struct kin__journal_file *file, const struct kin__journal_run *run, uint64_t from,
                      uint64_t items, void *out);

/* Note a run of items, `items` of them at most kin__journal_most(); it is in the file after the next flush without error. */
int kin__journal_note(struct kin__journal_file *file, uint64_t first, uint64_t items, const void *outputs);
uint64_t kin__journal_most(const struct kin__journal_file *file);
int kin__journal_flush(struct kin__journal_file *file);

/* To the disk. */
int kin__journal_sync(struct kin__journal_file *file);

#endif
