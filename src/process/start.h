/* process/start.h - starting processes, for kin's own floors above. */
#ifndef KIN_PROCESS_START_H
#define KIN_PROCESS_START_H

#include "process/process_shared.h"

struct kin__start {
    kin_process_fn fn;
    const void *arg; /* copied, or */
    size_t arg_size;
    void *shared; /* passed as it is */
    kin_process_options options;
    bool server; /* the template of a forkserver */
    bool has_channel;
    int channel; /* a descriptor that it is given first, if it has_channel */
};

kin_process *kin__process_start(const struct kin__start *start);

/* What DEFAULT means now; whether it is a method, or DEFAULT. */
int kin__start_method(int wanted);
bool kin__start_method_ok(int method);
/* What kin_set_start_method set here, to be handed on; in a fresh image: begin with it. */
int kin__start_method_set(void);
void kin__start_method_begin(int method);

/* Before a fork, in a process that has other threads than kin's: say so, the first time. */
void kin__start_method_warn(void);

/* 0, or why this program cannot spawn. */
int kin__spawn_possible(void);

/* Start a fresh image of this program for a member that is STARTING; its pid, or an error. */
pid_t kin__spawn_member(struct kin__member *member);

/* In kin_init: if this process was spawned for a member, run it and never return. */
void kin__spawn_enter(void);

/* In a child after fork. */
void kin__init_forked(void);

/* What main gave to kin_init, for children's sake. */
void kin__spawn_remember(char **argv);

/* "the caller's stack", "a heap or data segment": where a private pointer leads, for messages. */
const char *kin__where(const void *pointer);

#endif
