/* run_uthash.c - uthash, the hash table of many C programs: in private memory, for one thread. */
#include "dicts.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    char key[16];
    int64_t value;
    UT_hash_handle hh;
};

static struct entry *table;

static int64_t get(void *object, const char *key)
{
    struct entry *entry;
    (void)object;
    HASH_FIND_STR(table, key, entry);
    if (!entry)
        bench_fail("no key %s", key);
    return entry->value;
}

static void set(void *object, const char *key, int64_t value)
{
    struct entry *entry;
    (void)object;
    HASH_FIND_STR(table, key, entry);
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry)
            bench_fail("no memory");
        strncpy(entry->key, key, sizeof entry->key - 1);
        HASH_ADD_STR(table, key, entry);
    }
    entry->value = value;
}

static void open_table(const char *who)
{
    (void)who;
    bench_dict_open(&(struct bench_dict){NULL, get, set});
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"dict-*", "uthash", open_table, bench_dict_run, NULL},
    };
    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
