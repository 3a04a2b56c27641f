/*
 * pool/post.h - who sits in a seat, as its maker sees it: a process, or a thread of the maker's own.
 *
 * All but what is said otherwise under the mutex of the posts, once there is a warden.
 */
#ifndef KIN_POOL_POST_H
#define KIN_POOL_POST_H

#include "pool/local.h"

/* Start a worker in a seat. */
int kin__post_start(struct kin__local *local, int worker);

/* Stop it, or wait for its end if it is a thread, and let go of it. */
void kin__post_clear(struct kin__local *local, int worker);

/* SIGKILL; a thread is left alone. */
void kin__post_kill(struct kin__post *post);

/* Let `ended` become true if it has ended, and whoever should have noticed has not. */
void kin__post_look(struct kin__post *post);

/* Wait until a worker has ended that is known to be about to. */
void kin__post_await(struct kin__local *local, int worker);

/* The same, up to a deadline, for all that it printed too. 0, KIN_ETIMEDOUT with the record. Without the mutex. */
int kin__post_join(struct kin__local *local, int worker, double deadline);

/* How it ended; how that is told; its process's id. */
void kin__post_end(const struct kin__post *post, kin_end *end);
void kin__post_story(const struct kin__post *post, kin_error *story);
int kin__post_pid(const struct kin__post *post);

/* Seconds of CPU time that its process has used since it had used this much. */
double kin__post_cpu_since(const struct kin__post *post, uint64_t began_ns);

#endif
