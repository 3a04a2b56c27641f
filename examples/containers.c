/*
 * containers.c - a dict, a list and a namespace in shared memory: three processes count words. In Python a server process has them, and
 * each access asks it; here each process reads and writes them directly.
 */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const lines[] = {"the quick brown fox jumps over the lazy dog", "the dog sleeps",
                                    "the fox does not"};
#define LINES 3

struct shared {
    kin_dict *counts;
    kin_list *done;
    kin_namespace *total;
};

struct job {
    struct shared *shared;
    int line;
};

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kin_error_message());
    exit(1);
}

static int count_words(void *arg)
{
    struct job *job = arg;
    struct shared *shared = job->shared;
    char line[80], *rest = NULL;
    snprintf(line, sizeof line, "%s", lines[job->line]);
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        if (kin_dict_add(shared->counts, kin_any_text(word), kin_any_int(1),
                         NULL) || /* no lock: it is one step */
            kin_namespace_add(shared->total, "words", kin_any_int(1), NULL))
            return 1;
    return kin_list_append(shared->done, kin_any_int(job->line)) ? 1 : 0;
}

static void run_all(struct shared *shared)
{
    kin_process *processes[LINES];
    for (int i = 0; i < LINES; i++)
        if (!(processes[i] =
                  kin_process_start(count_words, &(struct job){shared, i}, sizeof(struct job), NULL)))
            die("start");
    for (int i = 0; i < LINES; i++) {
        if (kin_process_join(processes[i], KIN_FOREVER))
            die("join");
        kin_process_free(processes[i]);
    }
}

/* The words in order, with their counts. */
static void print_counts(kin_dict *counts)
{
    kin_list *words = kin_list_new(NULL);
    kin_dict_iterator *iterator = kin_dict_iterate(counts);
    kin_any key;
    if (!words || !iterator)
        die("words");
    while (kin_dict_next(iterator, &key, NULL) == 0)
        if (kin_list_append(words, key))
            die("append");
    kin_dict_iterator_free(iterator);
    if (kin_list_sort(words, false))
        die("sort");
    for (int64_t i = 0; kin_list_get(words, i, &key) == 0; i++) {
        int64_t count;
        if (kin_dict_get_int(counts, key, &count))
            die("get");
        printf("%s: %lld\n", (const char *)key.data, (long long)count);
        kin_any_clear(&key);
    }
    kin_list_free(words);
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    struct shared *shared = kin_calloc(1, sizeof *shared);
    if (!shared || !(shared->counts = kin_dict_new(NULL)) || !(shared->done = kin_list_new(NULL)) ||
        !(shared->total = kin_namespace_new(NULL)) ||
        kin_namespace_set(shared->total, "words", kin_any_int(0)))
        die("containers");
    run_all(shared);
    print_counts(shared->counts);
    kin_any words;
    if (kin_list_sort(shared->done, false) || kin_namespace_get(shared->total, "words", &words))
        die("total");
    printf("%zu lines done, %lld words\n", kin_list_length(shared->done), (long long)words.integer);
    kin_dict_free(shared->counts);
    kin_list_free(shared->done);
    kin_namespace_free(shared->total);
    kin_free(shared);
    return 0;
}
