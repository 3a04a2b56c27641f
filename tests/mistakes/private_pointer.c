/* The items hold pointers to memory of malloc. */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    size_t number;
    char *text;
};

static int measure(kin_task *task, const struct line *line, size_t *length)
{
    (void)task;
    *length = strlen(line->text);
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        return 1;
    kin_pool *pool = kin_pool_new(KIN_POOL_OPTIONS(.workers = 1));
    struct line lines[2];
    size_t lengths[2];
    for (size_t i = 0; i < 2; i++) {
        lines[i].number = i;
        lines[i].text = malloc(1000000);
        if (!lines[i].text)
            return 1;
        strcpy(lines[i].text, "one line of the text");
    }
    if (kin_map(pool, measure, lines, lengths, 2))
        fprintf(stderr, "%s\n", kin_error_message());
    kin_pool_free(pool);
}
