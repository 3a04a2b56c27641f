/*
 * process/crash.h - what a process that crashes tells of it, and what others make of that.
 *
 * The dying thread writes a report into its process object, in a signal handler (os/fatal.h): first the facts, then
 * the addresses of its frames one by one, last the names of the files they lie in. Whoever settles the end copies the
 * report, checks it, and makes words of it; names of functions are looked up only when somebody asks.
 *
 *   field          written by       rule                                when the writer dies there
 *   ------------   --------------   ---------------------------------   -----------------------------------
 *   state          dying thread     NONE, or PASSED, to WRITING by      WRITING: nothing is told but what
 *                                   CAS; to FACTS once they are         the kernel says. FACTS: it dies of this
 *                                   whole; to PASSED before an          signal, if it was. PASSED: the same, but it
 *                                   earlier handler gets the signal     may have recovered
 *   facts          dying thread     while WRITING                       as above
 *   frames         dying thread     one, then count                     as many as count says are whole
 *   count          dying thread     one release store a frame           as stored
 *   files          dying thread     one, then named                     as above: other frames are in no file
 *   named          dying thread     one release store a file            as stored
 *   all others     dying thread     the first one, by `state`; others wait until the process is dead
 *
 *   X1  state is FACTS or PASSED: the facts are whole
 */
#ifndef KIN_PROCESS_CRASH_H
#define KIN_PROCESS_CRASH_H

#include "kin/process.h"

#include <stdatomic.h>
#include <stdint.h>

#define KIN__FRAMES_MAX 64
#define KIN__FILES_MAX 16
#define KIN__FILE_NAMES 1536 /* bytes for all their paths */

enum kin__crash_state { KIN__CRASH_NONE = 0, KIN__CRASH_WRITING, KIN__CRASH_FACTS, KIN__CRASH_PASSED };

struct kin__crash_frame {
    uint64_t address; /* as the file's symbols count; if in no file, as it was in the process */
    uint64_t start;   /* of the file's first map in the process; 0: in no file */
    uint64_t called;  /* 0: the instruction itself; 1: where a call returns to */
};

struct kin__crash_file {
    uint64_t start;
    uint64_t name; /* offset in names */
};

struct kin__crash {
    _Atomic uint32_t state; /* enum kin__crash_state */
    int32_t signal;
    int32_t signal_code;
    int32_t sender;
    int32_t error_number; /* errno when it came: tells why the last allocation failed, if it did */
    int32_t error_code;   /* the thread's kin_error_code() */
    int32_t fault;        /* enum kin_fault, as far as the process can tell */
    uint64_t address;
    uint64_t private_data; /* bytes, as RLIMIT_DATA counts */
    char name[40];
    _Atomic uint32_t count;
    _Atomic uint32_t named;
    struct kin__crash_frame frames[KIN__FRAMES_MAX];
    struct kin__crash_file files[KIN__FILES_MAX];
    char names[KIN__FILE_NAMES];
};

struct kin_process;

/* Once a process image, after a handler for `like` was installed. Children made by fork have it from their parent. */
void kin__crash_prepare(int like);

/* The frame, in a child's main thread, whose callers are its starter's affair. */
extern uintptr_t kin__crash_bottom;

/* What a process left, copied; false: nothing, or nothing whole, or of another signal than it died of (0: any). */
bool kin__crash_read(const struct kin_process *process, int signal, struct kin__crash *out);

/* Add what the process told to what the kernel says about its end, or to nothing. */
void kin__crash_tell(struct kin_process *process, kin_end *end);

/* For kin_process_backtrace. */
int kin__crash_backtrace(const struct kin_process *process, char *buffer, size_t size);

/* ", in f (file.c:12), called from g (file.c:30)" or "": for messages. Slow: looks up names. */
char *kin__crash_where(const struct kin_process *process, char *buffer, size_t size);

#endif
