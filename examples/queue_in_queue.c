/*
 * queue_in_queue.c - each question brings the queue for its answer. Beside it, queue_in_queue.py, which shows what Python says when a
 * queue is put into a queue, and goes round it by a manager.
 *
 * A queue is a pointer, valid in every process: it is a message like any other.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

struct question {
    int number;
    kin_queue *answer;
};

static void die(const char *what)
{
    fprintf(stderr, "queue_in_queue: %s: %s\n", what, kin_error_message());
    exit(1);
}

static int server(void *arg)
{
    kin_queue *questions = *(kin_queue **)arg;
    struct question question;
    int error;
    while ((error = kin_queue_get(questions, &question, sizeof question, NULL, KIN_FOREVER)) == 0) {
        int answer = question.number * 2;
        if (kin_queue_put(question.answer, &answer, sizeof answer, KIN_FOREVER))
            return kin_error_code();
    }
    return error == KIN_ECLOSED ? 0 : error;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_queue *questions = kin_queue_new(NULL);
    kin_process *process = questions ? kin_process_start(server, &questions, sizeof questions, NULL) : NULL;
    if (!process)
        die("server");
    for (int i = 1; i <= 3; i++) {
        int answer;
        struct question question = {.number = i, .answer = kin_queue_new(NULL)};
        if (!question.answer || kin_queue_put(questions, &question, sizeof question, KIN_FOREVER))
            die("question");
        if (kin_queue_get(question.answer, &answer, sizeof answer, NULL, KIN_FOREVER))
            die("answer");
        printf("twice %d is %d\n", i, answer);
        kin_queue_free(question.answer);
    }
    if (kin_queue_close(questions) || kin_process_join(process, KIN_FOREVER))
        die("end");
    kin_process_free(process);
    return kin_queue_free(questions);
}
