/*
 * pipe.c - a parent asks, its child answers, through a pipe. Beside it, pipe.py.
 *
 * Each process closes the end that it does not use. So when the parent closes its own, the child sees the end of it.
 */
#include <kin.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "pipe: %s: %s\n", what, kin_error_message());
    exit(1);
}

struct ends {
    kin_connection *parents, *childs;
};

static int answer(void *arg)
{
    const struct ends *ends = arg;
    char text[100];
    size_t size;
    int error;
    if (ends->parents && kin_connection_close(ends->parents))
        return 1;
    while ((error = kin_connection_recv(ends->childs, text, sizeof text, &size, KIN_FOREVER)) == 0) {
        for (size_t i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (kin_connection_send(ends->childs, text, size, KIN_FOREVER))
            return 2;
    }
    return error == KIN_ECLOSED ? 0 : 3;
}

int main(int argc, char **argv)
{
    static const char *const words[] = {"a question", "another one", "the last"};
    kin_connection *pipe[2];
    if (kin_init(&argc, &argv) || kin_pipe(pipe, true))
        die("start");
    /* Under fork the child has both ends whatever it is told; else it has those that its argument names. */
    struct ends ends = {.parents = pipe[0], .childs = pipe[1]};
    kin_process *child = kin_process_start(answer, &ends, sizeof ends, NULL);
    if (!child || kin_connection_close(pipe[1]))
        die("child");
    for (int i = 0; i < 3; i++) {
        char text[100];
        size_t size = 0;
        if (kin_connection_send(pipe[0], words[i], strlen(words[i]), KIN_FOREVER) ||
            kin_connection_recv(pipe[0], text, sizeof text, &size, KIN_FOREVER))
            die("talk");
        printf("%s: %.*s\n", words[i], (int)size, text);
    }
    printf("anything else: %s\n", kin_connection_poll(pipe[0], 0.1) == 0 ? "yes" : "no");
    if (kin_connection_close(pipe[0]) || kin_process_join(child, KIN_FOREVER))
        die("end");
    kin_end end;
    kin_process_end(child, &end);
    printf("the child saw the end, exit code %d\n", end.exit_code);
    kin_process_free(child);
    return 0;
}
