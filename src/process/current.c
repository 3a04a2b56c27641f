/* process/current.c - the calling process, its parent, its children, its CPUs. */
#include "base/failure.h"
#include "family/heap.h"
#include "family/sealed.h"
#include "os/os.h"
#include "process/children.h"
#include "process/start.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The founder and plain forks were not started by kin; their object is made when first asked for. */
static kin_process *make_own(struct kin__member *me)
{
    if (kin__sealed_refuse("make an object for this process, which was forked by a sealed one"))
        return NULL;
    /* Like each process's object no block of the user's: its recovery frees it, under KIN_CHECK=heap too. */
    kin_process *process = kin__heap_open(sizeof *process, (uint64_t *)(void *)&me->process);
    if (!process)
        return NULL;
    memset(process, 0, sizeof *process);
    process->start_method = KIN_START_FORK;
    process->id = kin__member_id(me);
    atomic_store(&process->pid, (int32_t)getpid());
    snprintf(process->name, sizeof process->name, "%s", me->parent ? "forked" : "main");
    process->gone = KIN__STARTER_GONE; /* nobody will free it but its recovery */
    process->magic = KIN__PROCESS_MAGIC;
    me->process = process;
    kin__heap_close();
    return process;
}

kin_process *kin_current_process(void)
{
    struct kin__member *me = kin__self();
    if (!me || me->process)
        return me ? me->process : NULL;
    kin__guardian_lock();
    kin_process *process = me->process ? me->process : make_own(me);
    kin__guardian_unlock();
    return process;
}

kin_process *kin_parent_process(void)
{
    struct kin__member *me = kin__self();
    struct kin__member *parent = me ? kin__member_find(me->parent) : NULL;
    return parent ? parent->process : NULL;
}

int kin_active_children(kin_process **out, size_t capacity, size_t *count)
{
    struct kin__member *me = kin__self();
    if (!me)
        return KIN_ENOINIT;
    if (!count || (capacity && !out))
        return kin__fail(KIN_EINVAL, "cannot list children: no place for the %s", count ? "list" : "count");
    size_t found = 0;
    kin__guardian_lock();
    for (struct kin__watch *watch = kin__guardian_list; watch; watch = watch->next)
        if (!kin__guardian_check(watch) && !((struct kin__child *)watch)->process->server) {
            if (found < capacity)
                out[found] = ((struct kin__child *)watch)->process;
            found++;
        }
    kin__guardian_unlock();
    *count = found;
    return 0;
}

int kin_cpu_count(void)
{
    int count = kin__os_cpu_count();
    const char *share = getenv("KIN_CPUS");
    int most = share ? atoi(share) : 0;
    return most > 0 && most < count ? most : count;
}

const char *kin__where(const void *pointer)
{
    pthread_attr_t about;
    void *stack;
    size_t size;
    if (pthread_getattr_np(pthread_self(), &about) == 0) {
        int error = pthread_attr_getstack(&about, &stack, &size);
        pthread_attr_destroy(&about);
        if (!error && (uintptr_t)pointer - (uintptr_t)stack < size)
            return "the caller's stack";
    }
    return "the program's own heap, data or another mapping";
}
