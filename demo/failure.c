/* failure.c - how a task failed, in a word and in a sentence. */
#include "failure.h"

#include <signal.h>
#include <stdio.h>

/* GLPK aborts when malloc gives it nothing: under a memory limit, that is how the limit shows. */
static bool out_of_memory(const struct batch *batch, const kin_task_error *error)
{
    return error->error.code == KIN_EMEMLIMIT ||
           (batch->plan.memory_limit > 0 && error->end.how == KIN_END_SIGNALED &&
            error->end.signal == SIGABRT);
}

enum failure_kind failure_kind(const struct batch *batch, size_t problem)
{
    const kin_task_error *error = &batch->error[problem];

    if (error->error.code == 0)
        return FAILURE_NONE;
    if (error->error.code == KIN_ETIMELIMIT)
        return FAILURE_TIME;
    if (out_of_memory(batch, error))
        return FAILURE_MEMORY;
    if (error->end.how == KIN_END_SIGNALED && error->end.signal == SIGKILL)
        return FAILURE_KILLED;
    return error->end.how == KIN_END_RUNNING ? FAILURE_OWN : FAILURE_DIED;
}

const char *failure_word(enum failure_kind kind)
{
    static const char *const words[] = {"", "time limit", "memory limit", "killed", "died", "failed"};

    return words[kind];
}

char *failure_story(const struct batch *batch, size_t problem, char *buffer, size_t size)
{
    const kin_task_error *error = &batch->error[problem];
    const char *last_words = batch->note[problem].words.text;

    if (error->end.how == KIN_END_SIGNALED && error->end.signal == SIGABRT && last_words[0])
        snprintf(buffer, size, "%s; GLPK's last words: \"%s\"", error->error.message, last_words);
    else
        snprintf(buffer, size, "%s", error->error.message);
    return buffer;
}
