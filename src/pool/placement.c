/* pool/placement.c - see placement.h. */
#include "pool/placement.h"

#include "base/failure.h"
#include "os/module.h"
#include "os/os.h"
#include "pool/hand.h"
#include "process/child.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADED_MAX 8

/* ---- in the maker ---------------------------------------------------------------------------- */

/* Groups that lie apart first: other packages, then other caches, then other cores, and last the second threads of cores. */
static int by_distance(const void *left, const void *right)
{
    const struct kin__cpu *a = left, *b = right;
    int differ[] = {a->thread - b->thread, a->core - b->core, a->cache - b->cache, a->package - b->package,
                    a->number - b->number};
    for (int i = 0; i < 5; i++)
        if (differ[i])
            return differ[i];
    return 0;
}

size_t kin__place_order(int pin, const struct kin__cpu *cpus, size_t count, size_t threads, int *order)
{
    size_t groups = count / threads ? count / threads : 1;
    struct kin__cpu *heads = malloc(groups * sizeof *heads);
    if (!heads)
        return 0;
    for (size_t i = 0; i < groups; i++)
        heads[i] = cpus[i * threads];
    if (pin == KIN_PIN_SPREAD)
        qsort(heads, groups, sizeof *heads, by_distance);
    for (size_t i = 0; i < groups; i++) {
        size_t head = 0;
        while (cpus[head].number != heads[i].number)
            head++;
        for (size_t j = 0; j < threads; j++)
            order[i * threads + j] = cpus[(head + j) % count].number;
    }
    free(heads);
    return groups;
}

static int pin_explicitly(kin_pool *pool, const kin_pool_options *options)
{
    size_t threads = (size_t)pool->threads;
    for (size_t i = 0; i < (size_t)pool->workers * threads; i++)
        pool->pins[i] = options->cpus[i % options->cpu_count];
    return 0;
}

static int pin_by_place(kin_pool *pool, int pin)
{
    size_t count = kin__os_cpus(NULL, 0), threads = (size_t)pool->threads;
    size_t room = count > threads ? count : threads;
    struct kin__cpu *cpus = count ? malloc(count * sizeof *cpus) : NULL;
    int *order = count ? malloc(room * sizeof *order) : NULL;
    size_t groups = 0;
    if (cpus && order && kin__os_cpus(cpus, count) <= count) {
        kin__os_topology(KIN__OS_TOPOLOGY, cpus, count);
        groups = kin__place_order(pin, cpus, count, threads, order);
    }
    for (size_t i = 0; groups && i < (size_t)pool->workers; i++)
        memcpy(pool->pins + i * threads, order + i % groups * threads, threads * sizeof *order);
    free(cpus);
    free(order);
    return groups ? 0 : kin__fail(KIN_ENOMEM, "could not find out which CPUs there are");
}

static int check(const kin_pool_options *options)
{
    if (options->pin < KIN_PIN_NONE || options->pin > KIN_PIN_EXPLICIT)
        return kin__fail(KIN_EINVAL, "cannot pin workers in way %d: it is not one of enum kin_pin",
                         options->pin);
    bool given = options->cpus && options->cpu_count;
    if (options->pin == KIN_PIN_EXPLICIT && !given)
        return kin__fail(KIN_EINVAL, "cannot pin workers: no CPUs are given");
    if (options->pin != KIN_PIN_EXPLICIT && (options->cpus || options->cpu_count))
        return kin__fail(KIN_EINVAL, "cannot pin workers: CPUs are given, but pin is not KIN_PIN_EXPLICIT");
    for (size_t i = 0; given && i < options->cpu_count; i++)
        if (options->cpus[i] < 0)
            return kin__fail(KIN_EINVAL, "cannot pin workers to CPU %d", options->cpus[i]);
    if (options->threads < KIN_THREADS_ANY)
        return kin__fail(KIN_EINVAL, "cannot give workers %d threads", options->threads);
    return 0;
}

int kin__place_workers(kin_pool *pool, const kin_pool_options *options)
{
    int error = check(options);
    if (error || pool->kind == KIN_POOL_INLINE)
        return error;
    int share = kin__place_budget() / pool->wanted;
    pool->capped = options->threads >= 0;
    pool->threads = options->threads > 0 ? options->threads : share > 1 ? share : 1;
    pool->threads_asked = options->threads > 0;
    if (options->pin == KIN_PIN_NONE)
        return 0;
    pool->pins =
        kin_arena_calloc(pool->arena, (size_t)pool->workers * (size_t)pool->threads, sizeof *pool->pins);
    if (!pool->pins)
        return kin_error_code();
    return options->pin == KIN_PIN_EXPLICIT ? pin_explicitly(pool, options)
                                            : pin_by_place(pool, options->pin);
}

int kin__place_budget(void)
{
    const struct kin__hand *hand = kin__hand_here();
    return hand && hand->pool->kind == KIN_POOL_THREADS ? hand->pool->threads : kin_cpu_count();
}

/* ---- in the worker --------------------------------------------------------------------------- */

/* Names that libraries look at when they are loaded, and what those that are there already are told by. */
static const char *const variables[] = {"OMP_NUM_THREADS",  "OPENBLAS_NUM_THREADS",   "MKL_NUM_THREADS",
                                        "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"};
static const char *const setters[] = {"omp_set_num_threads", "openblas_set_num_threads",
                                      "MKL_Set_Num_Threads", "bli_thread_set_num_threads"};
#define OF_THREAD "OMP_NUM_THREADS" /* its setter's number is the calling thread's, as OpenMP has it */
static const char *const libraries[] = {"libgomp", "libomp", "libiomp", "openblas", "libmkl_rt", "libblis"};

/* What is set to less already stays, unless the pool's maker has asked for a number. */
static int threads_for(const char *variable, const kin_pool *pool)
{
    const char *set = getenv(variable);
    int value = set ? atoi(set) : 0;
    return !pool->threads_asked && value > 0 && value < pool->threads ? value : pool->threads;
}

/* A library with threads that is loaded already, as after a fork, and how it is told. */
struct loaded {
    void (*set)(int);
    const char *variable;
};

/*
 * What the maker has found before it starts a worker by fork, for the worker: that must not ask the loader, whose locks
 * another thread of the maker's may have had at the fork. Threads that look at once find the same. Not thread-local:
 * there is little room for that in plug-ins.
 */
static struct {
    _Atomic size_t count;
    struct {
        void (*_Atomic set)(int);
        const char *_Atomic variable;
    } libraries[LOADED_MAX];
} found;

static bool is_threaded(const char *path)
{
    const char *name = strrchr(path, '/');
    bool threaded = false;
    for (size_t i = 0; name && i < sizeof libraries / sizeof *libraries; i++)
        threaded |= strstr(name, libraries[i]) != NULL;
    return threaded;
}

static size_t find_setters(const char *name, struct loaded *out, size_t count)
{
    enum { SETTERS = sizeof setters / sizeof *setters };
    void *addresses[SETTERS];
    kin__os_module_symbols(name, setters, SETTERS, addresses);
    for (size_t i = 0; i < SETTERS && count < LOADED_MAX; i++)
        if (addresses[i]) {
            *(void **)&out[count].set = addresses[i];
            out[count++].variable = variables[i];
        }
    return count;
}

static void find_libraries(void)
{
    char names[LOADED_MAX][PATH_MAX];
    if (kin__child_forked_beside_threads()) /* it has what its maker had found */
        return;
    size_t count = kin__os_modules_named(is_threaded, names, LOADED_MAX);
    struct loaded libraries_found[LOADED_MAX];
    size_t setters_found = 0;
    for (size_t i = 0; i < count; i++)
        setters_found = find_setters(names[i], libraries_found, setters_found);
    for (size_t i = 0; i < setters_found; i++) {
        atomic_store(&found.libraries[i].set, libraries_found[i].set);
        atomic_store(&found.libraries[i].variable, libraries_found[i].variable);
    }
    atomic_store(&found.count, setters_found);
}

void kin__place_before_start(const kin_pool *pool)
{
    if (pool->capped && pool->kind == KIN_POOL_PROCESSES && pool->start_method == KIN_START_FORK)
        find_libraries();
}

static void tell_libraries(const kin_pool *pool)
{
    bool is_thread = pool->kind == KIN_POOL_THREADS;
    if (is_thread || pool->start_method != KIN_START_FORK)
        find_libraries();
    size_t count = atomic_load(&found.count);
    for (size_t i = 0; i < count; i++) {
        void (*set)(int) = atomic_load(&found.libraries[i].set);
        const char *variable = atomic_load(&found.libraries[i].variable);
        if (!is_thread || strcmp(variable, OF_THREAD) == 0)
            set(threads_for(variable, pool));
    }
}

/* Not by setenv, whose lock another thread of the maker's may have had at the fork. */
static int set_variables(const kin_pool *pool, int worker)
{
    enum { COUNT = sizeof variables / sizeof *variables };
    char number[16], texts[COUNT][16];
    struct kin__variable set[COUNT + 1];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", threads_for(variables[i], pool));
        set[i] = (struct kin__variable){variables[i], texts[i]};
    }
    snprintf(number, sizeof number, "%d", pool->threads);
    set[COUNT] = (struct kin__variable){"KIN_CPUS", number};
    return kin__os_environ_set(set, COUNT + 1) == 0
               ? 0
               : kin__fail(KIN_ENOMEM, "could not tell worker %d of pool \"%s\" of its threads", worker,
                           pool->name);
}

int kin__place_myself(const kin_pool *pool, int worker)
{
    if (pool->capped) {
        int error = pool->kind == KIN_POOL_PROCESSES ? set_variables(pool, worker) : 0;
        if (error)
            return error;
        tell_libraries(pool);
    }
    if (!pool->pins)
        return 0;
    return kin__os_pin(pool->pins + (size_t)worker * (size_t)pool->threads, (size_t)pool->threads);
}
