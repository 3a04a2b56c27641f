/* process/started.c - see started.h. */
#include "process/started.h"

#include "base/in_child.h"
#include "base/log.h"
#include "family/region.h"
#include "os/os.h"

#include <unistd.h>

static uint64_t own_mark;
static pid_t own_session;

/* Differs from all others on this machine: the nonce is random, an id is used once. Splitmix64's finalizer (Steele, Lea and
 * Flood 2014) is a bijection. The top bit stays 0: all ones would mean "no limit". */
static uint64_t mark_of(kin__id id)
{
    uint64_t x = kin__known.nonce ^ (id * 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) >> 1;
}

KIN__IN_CHILD void kin__started_mark(const kin_process *process)
{
    own_mark = mark_of(process->id);
    own_session = process->session;
    kin__os_mark(own_mark);
}

void kin__started_end_own(void)
{
    const struct kin__member *me = kin__self_if_attached();
    if (own_mark)
        kin__os_end_marked(own_mark, getpid(), me ? atomic_load(&me->attached) : 0, own_session);
}

KIN__IN_CHILD void kin__started_note(kin_process *process)
{
    process->started_any = kin__os_started_any();
}

/* It ended in order, and says so: most do. */
static bool left_nothing(const kin_process *process)
{
    return atomic_load_explicit(&process->told, memory_order_acquire) && !process->started_any;
}

void kin__started_end(const struct kin__member *dead)
{
    const kin_process *process = dead->process;
    if (!process || !process->session || left_nothing(process))
        return;
    pid_t pid = atomic_load(&process->pid);
    int ended = kin__os_end_marked(mark_of(process->id), pid, atomic_load(&dead->attached), process->session);
    if (ended)
        kin_log(KIN_LOG_INFO, "process \"%s\" (pid %d) has ended, and with it %d process%s it had started",
                process->name, (int)pid, ended, ended == 1 ? "" : "es");
}
