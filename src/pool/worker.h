/* pool/worker.h - what runs in a worker, be it a process or a thread. */
#ifndef KIN_POOL_WORKER_H
#define KIN_POOL_WORKER_H

#include "pool/pool_shared.h"

struct kin__worker_arg {
    kin_pool *pool;
    int worker;
};

/* A worker's body, as a kin process's function. */
int kin__worker_main(void *arg);

/* The same, in a thread of the maker's, or a process: 0, or the exit code of one that cannot work. */
int kin__worker_run(kin_pool *pool, int worker, kin_initializer_fn initializer, kin_finalizer_fn finalizer);

#endif
