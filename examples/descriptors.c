/*
 * descriptors.c - an open file, and a pipe's end, are sent to a process that runs already. Beside it, descriptors.py.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "descriptors: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* Reads from the file that it is sent, and tells through the pipe that it is sent next. */
static int count_lines(void *arg)
{
    kin_connection *way = *(kin_connection **)arg;
    int fd;
    if (kin_connection_recv_fd(way, &fd, 10))
        return 1;
    kin_connection *out = kin_connection_recv_connection(way, 10);
    FILE *file = fdopen(fd, "r");
    if (!out || !file)
        return 2;
    rewind(file);
    char line[100];
    int lines = 0;
    while (fgets(line, sizeof line, file))
        lines++;
    fclose(file);
    return kin_connection_send(out, &lines, sizeof lines, 10) ? 3 : 0;
}

int main(int argc, char **argv)
{
    kin_connection *way[2], *pipe[2];
    if (kin_init(&argc, &argv) || kin_pipe(way, true))
        die("start");
    kin_process *child = kin_process_start(count_lines, &way[1], sizeof way[1], NULL);
    if (!child)
        die("child");
    FILE *file = tmpfile(); /* it has no name: only the descriptor leads to it */
    if (!file)
        die("file");
    fputs("one\ntwo\nthree\n", file);
    fflush(file);
    if (kin_connection_send_fd(way[0], fileno(file), 10))
        die("send the file");
    if (kin_pipe(pipe, false) || kin_connection_send_connection(way[0], pipe[1], 10) ||
        kin_connection_close(pipe[1]))
        die("send the pipe's end");
    int lines;
    if (kin_connection_recv(pipe[0], &lines, sizeof lines, NULL, 10))
        die("receive");
    printf("the child has read %d lines of a file without a name\n", lines);
    if (kin_process_join(child, KIN_FOREVER))
        die("join");
    kin_process_free(child);
    fclose(file);
    return 0;
}
