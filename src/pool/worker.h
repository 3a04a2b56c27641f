/* pool/worker.h - what runs in a worker process. */
#ifndef KIN_POOL_WORKER_H
#define KIN_POOL_WORKER_H

#include "pool/pool_shared.h"

struct kin__worker_arg {
    kin_pool *pool;
    int worker;
};

/* A worker's body, as a kin process's function. */
int kin__worker_main(void *arg);

#endif
