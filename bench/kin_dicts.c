/* kin_dicts.c - a dict in shared memory. */
#include "dicts.h"
#include "run_kin.h"

#include <kin.h>

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

void kin_dict_open(const char *who)
{
    (void)who;
    kin_dict *dict = kin_dict_new(NULL);
    if (!dict)
        bench_fail("%s", kin_error_message());
    bench_dict_open(&(struct bench_dict){dict, get, set});
}
