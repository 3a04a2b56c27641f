/*
 * process/function.h - functions that cross processes.
 *
 * A function is named by its module (the program, a library, a plug-in) and its offset there, so that any
 * function, a static one too, can be a process's or a task's body without registration. The module is
 * an entry in a table in the region, with its build id: who resolves the reference finds the very same
 * build among its own modules, wherever it lies there, or loads it.
 *
 * The table: entries are only ever appended, and never change once they count.
 *
 *   field      written by   rule                              when the writer dies there
 *   --------   ----------   -------------------------------   ---------------------------------------
 *   lock       appender     robust mutex                      next owner goes on: nothing to repair
 *   count      appender     under lock; one release store     the entry is in, or never was
 *   entry[i]   appender     under lock, before count > i      i == count: the next one overwrites it
 *
 * Who resolves takes no lock: it copies an entry below `count`, checks it, then acts.
 *
 * Limits   A module without a build id (-Wl,--build-id=none, some linkers' default) is known by its path,
 *          device, inode, size and time of change. Code in no module (generated code, nested functions'
 *          trampolines) cannot be named. At most KIN__MODULES_MAX modules (builds of them) in a family's
 *          life.
 * Threads  Any.
 */
#ifndef KIN_PROCESS_FUNCTION_H
#define KIN_PROCESS_FUNCTION_H

#include "family/lock.h"
#include "family/region.h"
#include "os/module.h"

#include <stdatomic.h>
#include <stdint.h>

#define KIN__MODULES_MAX 512u

/* A function, for any member. Plain bytes; may lie in shared memory. All zero: none. */
struct kin__function {
    uint32_t module; /* index in the table, plus 1 */
    uint32_t flags;  /* 0 */
    uint64_t offset; /* from where the module is loaded */
};

struct kin__module {
    struct kin__build build;
    uint32_t program;         /* whether it is the program of who entered it */
    struct kin__os_file file; /* looked at only if there is no build id */
    char path[PATH_MAX];      /* absolute, as the kernel names it */
};

struct kin__modules {
    struct kin__lock lock;
    _Atomic uint32_t count;
    struct kin__module entry[KIN__MODULES_MAX];
};

_Static_assert(KIN__AT_MODULES + sizeof(struct kin__modules) <= KIN__AT_THREADS, "the table has its room");

/* The founder, once, before its first child. */
void kin__function_init(void);

/*
 * Name a function for other members. `what` is its part in the caller's message: "the task's function".
 *
 * KIN_EINVAL    NULL; or in no module, or not in a module's code
 * KIN_ENOTFOUND its module has no build id, and its file is gone or replaced
 * KIN_ELIMIT    too many modules
 * KIN_ENOINIT   no family
 */
int kin__function_refer(void (*fn)(void), struct kin__function *out, const char *what);

/*
 * Find a named function in this process. Its module is loaded if it is not yet here, and then stays. A few
 * ns from the second time on.
 *
 * KIN_EINVAL    not a reference, or one that leads out of its module's code
 * KIN_ENOTFOUND its module is not loaded here and cannot be: the file is gone, or does not load
 * KIN_EMISMATCH another build of it is here, or in its file
 * KIN_ENOINIT   no family
 */
int kin__function_resolve(const struct kin__function *ref, void (**out)(void));

/* The name of the function itself, "" if it is not known: by the symbols of its file. */
void kin__function_name(const struct kin__function *ref, char *out, size_t size);

#endif
