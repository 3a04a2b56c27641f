/* kin_dicts.c - a dict in shared memory; and one that another process fills meanwhile. */
#include "dicts.h"
#include "run_kin.h"

#include <kin.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MORE 400000u /* keys: a dict of 16 stripes doubles each 5 times for them */

struct filling {
    kin_dict *dict;
    _Atomic int begun, stop;
};

static struct filling *filling;

static int64_t get(void *object, const char *key)
{
    int64_t value;
    if (kin_dict_get_int(object, kin_any_text(key), &value))
        bench_fail("%s", kin_error_message());
    return value;
}

static void set(void *object, const char *key, int64_t value)
{
    if (kin_dict_set(object, kin_any_text(key), kin_any_int(value)))
        bench_fail("%s", kin_error_message());
}

static kin_dict *new_dict(void)
{
    kin_dict *dict = kin_dict_new(NULL);
    if (!dict)
        bench_fail("%s", kin_error_message());
    bench_dict_open(&(struct bench_dict){dict, get, set});
    return dict;
}

void kin_dict_open(const char *who)
{
    (void)who;
    if (!strcmp(bench_set, "dict-get-growing"))
        filling = kin_calloc(1, sizeof *filling);
    else
        new_dict();
}

static int fill(void *arg)
{
    struct filling *to = arg;
    for (unsigned i = 0; i < MORE && !atomic_load(&to->stop); i++) {
        if (kin_dict_set(to->dict, kin_any_int(i), kin_any_int(i)))
            return 1;
        atomic_store(&to->begun, 1);
    }
    return 0;
}

double kin_dict_run(const struct bench_request *request)
{
    if (!filling)
        return bench_dict_run(request);
    filling->dict = new_dict();
    atomic_store(&filling->begun, 0);
    atomic_store(&filling->stop, 0);
    kin_process *process = kin_process_start_shared(fill, filling, NULL);
    if (!process)
        bench_fail("%s", kin_error_message());
    while (!atomic_load(&filling->begun))
        ;
    double took = bench_dict_run(request);
    atomic_store(&filling->stop, 1);
    if (kin_process_join(process, 10))
        bench_fail("%s", kin_error_message());
    kin_process_free(process);
    kin_dict_free(filling->dict);
    return took;
}
