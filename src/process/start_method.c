/* process/start_method.c - see kin/start_method.h: which method is the default, and the word about forks beside threads. */
#include "kin/start_method.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/guardian.h"
#include "family/member.h"
#include "family/region.h"
#include "os/os.h"
#include "process/child.h"
#include "process/start.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *name;
    int method;
} methods[] = {{"fork", KIN_START_FORK}, {"spawn", KIN_START_SPAWN}, {"forkserver", KIN_START_FORKSERVER}};
#define METHODS (sizeof methods / sizeof *methods)

/* A thread that was just joined may be seen for a moment. */
#define LOOKS 5
#define PAUSE_NS 1000000

static _Atomic int own_default; /* KIN_START_DEFAULT: the family's */

bool kin__start_method_ok(int method)
{
    return method == KIN_START_DEFAULT || kin_start_method_name(method);
}

int kin__start_method(int wanted)
{
    if (wanted == KIN_START_DEFAULT)
        wanted = atomic_load(&own_default);
    if (wanted == KIN_START_DEFAULT && kin__region)
        wanted = kin__region->start_method;
    return wanted == KIN_START_DEFAULT ? KIN_START_FORK : wanted;
}

int kin__start_method_set(void)
{
    return atomic_load(&own_default);
}

void kin__start_method_begin(int method)
{
    atomic_store(&own_default, method);
}

int kin_set_start_method(int method)
{
    if (!kin__self())
        return kin_error_code();
    if (!kin__start_method_ok(method))
        return kin__fail(KIN_EINVAL, "cannot set start method %d: it is not one of enum kin_start_method",
                         method);
    if ((method == KIN_START_SPAWN || method == KIN_START_FORKSERVER) && kin__spawn_possible() != 0)
        return kin_error_code();
    atomic_store(&own_default, method);
    return 0;
}

int kin_get_start_method(void)
{
    return kin__self() ? kin__start_method(KIN_START_DEFAULT) : kin_error_code();
}

int kin_all_start_methods(int *out, size_t capacity, size_t *count)
{
    if (!kin__self())
        return kin_error_code();
    if (!count || (capacity && !out))
        return kin__fail(KIN_EINVAL, "cannot list start methods: no place for the %s",
                         count ? "list" : "count");
    kin_error before;
    kin_error_get(&before);
    size_t possible = METHODS;
    if (kin__spawn_possible() != 0) {
        possible = 1;
        kin__fail_with(&before);
    }
    int first = kin__start_method(KIN_START_DEFAULT);
    size_t at = 0;
    if (capacity)
        out[at++] = first;
    for (size_t i = 0; i < possible; i++)
        if (methods[i].method != first && at < capacity)
            out[at++] = methods[i].method;
    *count = possible;
    return 0;
}

const char *kin_start_method_name(int method)
{
    for (size_t i = 0; i < METHODS; i++)
        if (methods[i].method == method)
            return methods[i].name;
    return NULL;
}

int kin_start_method_by_name(const char *name)
{
    for (size_t i = 0; name && i < METHODS; i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].method;
    return kin__fail(KIN_EINVAL, "there is no start method \"%.40s\": it must be fork, spawn or forkserver",
                     name ? name : "");
}

/* The program's threads beside the one that asks. */
static int other_threads(void)
{
    return kin__os_thread_count() - 1 - kin__own_threads();
}

void kin__start_method_warn(void)
{
    if (kin__start_warned)
        return;
    int others = other_threads();
    for (int looks = 1; others > 0 && looks < LOOKS; looks++) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        others = other_threads();
    }
    if (others <= 0)
        return;
    kin__start_warned = true;
    kin_log(KIN_LOG_WARNING,
            "a process is forked while %d other thread%s run%s: a lock that one of them holds stays locked "
            "in the child; "
            "use start method forkserver (KIN_START_METHOD=forkserver, kin_set_start_method), or spawn",
            others, others == 1 ? "" : "s", others == 1 ? "s" : "");
}
