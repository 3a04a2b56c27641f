/* shared_table.c - a dictionary that all workers read: it lies in memory once, and none of them can change it. */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 5000, QUESTIONS = 8 };

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kin_error_message());
    exit(1);
}

/* A record: what is known of a word. */
struct word {
    int number, length;
};

struct answer {
    struct word word;
    int found;
};

static int look_up(kin_task *task, const char (*question)[32], struct answer *answer)
{
    const kin_table *words = kin_task_context(task);
    kin_table_entry entry;
    if (kin_table_find(words, *question, strlen(*question), &entry) == 0) {
        answer->word = *(const struct word *)entry.value; /* in place */
        answer->found = 1;
    }
    return 0;
}

static const kin_table *make_words(void)
{
    kin_table_builder *builder = kin_table_build();
    for (int i = 0; i < WORDS; i++) {
        char key[32];
        int length = snprintf(key, sizeof key, "word%d", i * i);
        struct word word = {i, length};
        if (kin_table_add(builder, key, (size_t)length, &word, sizeof word))
            die("add");
    }
    const kin_table *words = kin_table_seal(builder);
    if (!words)
        die("seal");
    return words;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    const kin_table *words = make_words();
    char questions[QUESTIONS][32];
    struct answer answers[QUESTIONS] = {0};
    for (int i = 0; i < QUESTIONS; i++)
        snprintf(questions[i], sizeof questions[i], "word%d", i * i * i * i + i % 3);
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 3));
    if (!pool ||
        kin_pool_map(pool, (kin_task_fn)look_up,
                     KIN_MAP_ARGS(.in = questions, .in_size = sizeof *questions, .out = answers,
                                  .out_size = sizeof *answers, .count = QUESTIONS, .context = (void *)words)))
        die("map");
    printf("%zu words\n", kin_table_count(words));
    for (int i = 0; i < QUESTIONS; i++)
        if (answers[i].found)
            printf("%s: number %d, %d letters\n", questions[i], answers[i].word.number,
                   answers[i].word.length);
        else
            printf("%s: not there\n", questions[i]);
    kin_pool_free(pool);
    kin_table_free(words);
    return 0;
}
