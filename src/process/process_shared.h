/*
 * process/process_shared.h - a process as it lies in the heap.
 *
 *   field             written by         rule                          when the writer dies there
 *   ---------------   ----------------   ---------------------------   --------------------------------
 *   name to data      starter            before the child runs         an OPEN intent: recovery frees the block
 *   next              journal            the starter's list            undone
 *   pid               starter or child   same value                    as stored
 *   session           starter; under     before it attaches            as stored
 *                     forkserver child
 *   told, told_code,  the process        told last                     not told: the status counts, and children
 *   started_any                                                        of its own are looked for
 *   error             the process, or    before told / ended           the next recoverer writes it again
 *                     the recoverer
 *   collecting        starter            1 before it asks for the      not known, and the starter is dead
 *                                        status
 *   status, code      starter            before known                  not known: see find_end
 *   known             starter            0 to 1                        as stored
 *   end               the recoverer      under the life lock, before   the next recoverer writes it again
 *                                        ended
 *   ended             the recoverer      0 to 1, one store, then wake  the next recoverer
 *   oom_before        starter            before the child runs         not linked yet
 *   killed            starter            0 to 1, before the signal     told of a signal that was not sent
 *   crash             the process        see process/crash.h           see there
 *   printed           starter            see process/printed.h         see there
 *   gone              journal            under its lock; the last one   undone
 *                                        frees in the same transaction
 *
 *   P1  ended == 1: end is final; all that the member had is recovered but its slot
 *   P2  end and ended are written under the member's life lock, or by the starter of one that never attached
 *   P3  the object is freed when both its starter (it let go of it, or died) and the member (it is recovered)
 *       are gone; so a recoverer may touch it, and so may the starter until it lets go. Any other member may find
 *       it freed at any time: it reads, and compares magic and id, which no other object ever has
 */
#ifndef KIN_PROCESS_SHARED_H
#define KIN_PROCESS_SHARED_H

#include "family/member.h"
#include "family/object.h"
#include "kin/process.h"
#include "process/crash.h"
#include "process/function.h"

#include <stdatomic.h>

enum kin__gone { KIN__MEMBER_GONE = 1, KIN__STARTER_GONE = 2 };

struct kin__carried;
struct kin__limited;
struct kin__printed;

struct kin_process {
    _Atomic uint32_t magic;
    int32_t start_method;
    kin__id id;
    _Atomic kin__id starter;  /* 0: gone, or there was none; its own recovery frees the object */
    struct kin_process *next; /* in the starter's list of those it started */
    _Atomic int32_t pid;
    uint32_t gone; /* enum kin__gone: who no longer needs the object */
    _Atomic uint32_t ended;
    _Atomic uint32_t told;
    int32_t told_code;
    _Atomic uint32_t collecting;
    _Atomic uint32_t known;
    int32_t code, status;    /* as in siginfo_t */
    _Atomic uint32_t killed; /* by kin_process_kill: a SIGKILL that needs no other reason */
    uint64_t oom_before;     /* kin__os_oom_kills() before it started */
    kin_end end;
    int32_t session; /* 0: not started by kin */
    bool started_any;
    bool server;            /* the template of a forkserver: not a child for the program */
    int32_t default_method; /* its starter's, which it begins with */
    bool daemon;
    bool detached;
    char name[32];
    kin_error error;
    kin_process_fn fork_fn;        /* under fork: the function itself, same address in parent and child */
    struct kin__function function; /* else: by reference */
    struct kin__limited *limited;  /* behind the data; NULL: no limits (process/limits.h) */
    size_t arg_size;
    void *arg;                    /* into data, or the shared pointer that was given */
    struct kin__crash *crash;     /* in the same block, behind data; NULL: kin did not start it */
    struct kin__carried *carried; /* the same; NULL: it was given none */
    struct kin__printed *printed; /* the same; NULL: its output passes */
    _Alignas(16) unsigned char data[];
};

/* NULL, or something else than a process: an error that says so. */
int kin__process_check(const kin_process *process, const char *what);

/* Let `ended` become true if the member `id`, whose object this is or was, has ended: collects the status, recovers. True
 * if it has. For any member at any time. */
bool kin__process_settle(kin_process *process, kin__id id);

/* Wait until it has ended; false: not in time. For any member at any time. */
bool kin__process_wait(kin_process *process, kin__id id, double timeout);

/* The starter lets go of the object, on its list or not; it is not to be touched after. Under the guardian's mutex. */
void kin__process_let_go(kin_process *process);

#endif
