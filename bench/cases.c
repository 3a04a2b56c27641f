/* cases.c - what is measured, against whom, and what was promised. */
#include "bench.h"

#include <string.h>

/* The number of items for which the METG of a pool with chunks is told: it falls as the number grows. */
#define CHUNKED 10000

#define ARRAYS_BYTES ((size_t)512 << 20)

/* clang-format off */
const struct bench_entry bench_entries[] = {
    /* only         set           name                     who                runner        kind                count repeats guess, fresh */
    {"metg-map",    "metg-map",    "metg-map",             "kin",             "run_kin",    BENCH_METG,         0,       0, 1e-4, false},
    {"metg-map",    "metg-map",    "metg-map",             "kin+limits",      "run_kin",    BENCH_METG,         0,       0, 1e-4, false},
    {"metg-map",    "metg-map",    "metg-map",             "openmp",          "run_openmp", BENCH_METG,         0,       0, 1e-4, false},
    {"metg-map",    "metg-map",    "metg-map",             "openmp-array",    "run_openmp", BENCH_METG,         0,       0, 1e-4, false},
    {"metg-map",    "metg-map",    "metg-map",             "forkpipe",        "run_c",      BENCH_METG,         0,       0, 1e-3, false},
    {"metg-map",    "metg-map",    "metg-map",             "mp.Pool",         "run_mp.py",  BENCH_METG,         0,       0, 1e-3, false},
    {"metg-map",    "metg-map",    "metg-map",             "mp.Pool-default", "run_mp.py",  BENCH_METG,         CHUNKED, 0, 1e-5, false},
    {"metg-map", "metg-map", "metg-map", "ppe", "run_mp.py", BENCH_METG, 0, 0, 1e-2, false},
    {"metg-map", "metg-map", "metg-map", "joblib", "run_joblib.py", BENCH_METG, 0, 0, 1e-3, false},
    {"metg-map", "metg-map", "metg-map", "openmpi", "run_openmpi", BENCH_METG, 0, 0, 1e-4, false},
    {"metg-map",    "metg-map",    "metg-map:call",        "mp.Pool",         "run_mp.py",  BENCH_NANOSECONDS,  0,       200000, 0, false},

    {"tasks-empty", "tasks-empty", "tasks-empty",          "kin",             "run_kin",    BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "kin+limits",      "run_kin",    BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "openmp",          "run_openmp", BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "openmp-array",    "run_openmp", BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "forkpipe",        "run_c",      BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "mp.Pool",         "run_mp.py",  BENCH_TASKS,        0,       0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty",          "mp.Pool-default", "run_mp.py",  BENCH_TASKS,        CHUNKED, 0, 0, false},

    {"tasks-empty", "tasks-empty", "tasks-empty", "ppe", "run_mp.py", BENCH_TASKS, 0, 0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty", "joblib", "run_joblib.py", BENCH_TASKS, 0, 0, 0, false},
    {"tasks-empty", "tasks-empty", "tasks-empty", "openmpi", "run_openmpi", BENCH_TASKS, 0, 0, 0, false},

    {"commands", "commands", "commands", "kin", "run_kin", BENCH_MICROSECONDS, 0, 500, 0, false},
    {"commands", "commands", "commands", "xargs", "run_c", BENCH_MICROSECONDS, 0, 500, 0, false},
    {"commands", "commands", "commands", "parallel", "run_parallel", BENCH_MICROSECONDS, 0, 100, 0, false},

    {"metg-apply",   "metg-apply",  "metg-apply",            "kin",             "run_kin",    BENCH_METG,          0,       0, 1e-3, false},
    {"metg-apply",   "metg-apply",  "metg-apply",            "forkpipe",        "run_c",      BENCH_METG,          0,       0, 1e-3, false},
    {"metg-apply",   "metg-apply",  "metg-apply",            "mp.Pool",         "run_mp.py",  BENCH_METG,          0,       0, 1e-2, false},
    {"metg-apply", "metg-apply", "metg-apply", "ppe", "run_mp.py", BENCH_METG, 0, 0, 1e-2, false},
    {"metg-apply", "metg-apply", "metg-apply", "openmpi", "run_openmpi", BENCH_METG, 0, 0, 1e-3, false},

    {"tasks-apply",  "tasks-apply", "tasks-apply",           "kin",             "run_kin",    BENCH_TASKS,         0,       0, 0, false},
    {"tasks-apply",  "tasks-apply", "tasks-apply",           "forkpipe",        "run_c",      BENCH_TASKS,         0,       0, 0, false},
    {"tasks-apply",  "tasks-apply", "tasks-apply",           "mp.Pool",         "run_mp.py",  BENCH_TASKS,         0,       0, 0, false},
    {"tasks-apply", "tasks-apply", "tasks-apply", "ppe", "run_mp.py", BENCH_TASKS, 0, 0, 0, false},
    {"tasks-apply", "tasks-apply", "tasks-apply", "openmpi", "run_openmpi", BENCH_TASKS, 0, 0, 0, false},

    {"pool-start",  "pool-start",  "pool-start",           "kin",             "run_kin",    BENCH_MILLISECONDS, 2,       1, 0, true},
    {"pool-start",  "pool-start",  "pool-start",           "mp.Pool",         "run_mp.py",  BENCH_MILLISECONDS, 2,       1, 0, true},
    {"pool-start",  "pool-start",  "pool-start:again",     "kin",             "run_kin",    BENCH_MILLISECONDS, 2,       10, 0, false},
    {"pool-start",  "pool-start",  "pool-start:again",     "mp.Pool",         "run_mp.py",  BENCH_MILLISECONDS, 2,       10, 0, false},

    {"map-8mib",    "map-8mib",    "map-8mib",             "kin",             "run_kin",    BENCH_GIGABYTES,    ARRAYS_BYTES, 2, 0, false},
    {"map-8mib",    "map-8mib",    "map-8mib:first",       "kin",             "run_kin",    BENCH_GIGABYTES,    ARRAYS_BYTES, 1, 0, false},
    {"map-8mib",    "map-8mib",    "map-8mib",             "one-process",     "run_c",      BENCH_GIGABYTES,    ARRAYS_BYTES, 2, 0, false},
    {"map-8mib",    "map-8mib",    "map-8mib",             "mp.Pool",         "run_mp.py",  BENCH_GIGABYTES,    ARRAYS_BYTES, 1, 0, false},
    {"map-8mib",    "hand-over",   "map-8mib:hand-8mib",   "kin",             "run_kin",    BENCH_MICROSECONDS, 8,       200, 0, false},
    {"map-8mib",    "hand-over",   "map-8mib:hand-512mib", "kin",             "run_kin",    BENCH_MICROSECONDS, 512,     200, 0, false},
    {"map-8mib",    "hand-over",   "map-8mib:hand-8mib",   "mp.Pool",         "run_mp.py",  BENCH_MICROSECONDS, 8,       5, 0, false},

    {"start-fork",  "start-fork",  "start-fork",           "kin",             "run_kin",    BENCH_MICROSECONDS, 0,       200, 0, false},
    {"start-fork",  "start-fork",  "start-fork",           "bare",            "run_c",      BENCH_MICROSECONDS, 0,       200, 0, false},
    {"start-fork",  "start-fork",  "start-fork",           "mp.Process",      "run_mp.py",  BENCH_MICROSECONDS, 0,       20, 0, false},

    {"start-fork-1gib", "start-fork-1gib", "start-fork-1gib", "kin",          "run_kin",    BENCH_MICROSECONDS, 0,       200, 0, false},
    {"start-fork-1gib", "start-fork-1gib", "start-fork-1gib", "bare",         "run_c",      BENCH_MICROSECONDS, 0,       200, 0, false},
    {"start-fork-1gib", "start-fork-1gib", "start-fork-1gib", "bare-1gib",    "run_c",      BENCH_MICROSECONDS, 0,       10, 0, false},

    {"start-spawn", "start-spawn", "start-spawn",          "kin",             "run_kin",    BENCH_MICROSECONDS, 0,       50, 0, false},
    {"start-spawn", "start-spawn", "start-spawn",          "posix_spawn",     "run_c",      BENCH_MICROSECONDS, 0,       50, 0, false},
    {"start-spawn", "start-spawn", "start-spawn",          "mp.Process",      "run_mp.py",  BENCH_MICROSECONDS, 0,       3, 0, false},

    {"start-forkserver", "start-forkserver", "start-forkserver", "kin",         "run_kin",    BENCH_MICROSECONDS, 0,       100, 0, false},
    {"start-forkserver", "start-forkserver", "start-forkserver", "kin-spawn",   "run_kin",    BENCH_MICROSECONDS, 0,       50, 0, false},
    {"start-forkserver", "start-forkserver", "start-forkserver", "posix_spawn", "run_c",      BENCH_MICROSECONDS, 0,       50, 0, false},
    {"start-forkserver", "start-forkserver", "start-forkserver", "mp.Process",  "run_mp.py",  BENCH_MICROSECONDS, 0,       10, 0, false},

    {"round-trip-awake",  "round-trip", "round-trip-awake",  "kin",          "run_kin",    BENCH_MICROSECONDS, 0,       200000, 0, false},
    {"round-trip-awake",  "round-trip", "round-trip-awake",  "openmp",       "run_openmp", BENCH_MICROSECONDS, 0,       200000, 0, false},
    {"round-trip-asleep", "round-trip", "round-trip-asleep", "kin",          "run_kin",    BENCH_MICROSECONDS, 0,       200, 0, false},
    {"round-trip-asleep", "round-trip", "round-trip-asleep", "openmp",       "run_openmp", BENCH_MICROSECONDS, 0,       200, 0, false},
    {"round-trip-asleep", "round-trip", "round-trip-asleep", "futex",        "run_c",      BENCH_MICROSECONDS, 0,       200, 0, false},

    {"malloc-64",   "malloc-64",   "malloc-64",            "kin",             "run_kin",    BENCH_NANOSECONDS,  0,       2000000, 0, false},
    {"malloc-64",   "malloc-64",   "malloc-64",            "glibc",           "run_c",      BENCH_NANOSECONDS,  0,       2000000, 0, false},
    {"malloc-64",   "malloc-64",   "malloc-64:batch",      "kin",             "run_kin",    BENCH_NANOSECONDS,  0,       2000000, 0, false},
    {"malloc-64",   "malloc-64",   "malloc-64:batch",      "glibc",           "run_c",      BENCH_NANOSECONDS,  0,       2000000, 0, false},

    {"malloc-64-remote", "malloc-64-remote", "malloc-64-remote", "kin",           "run_kin", BENCH_NANOSECONDS, 0, 500000, 0, false},
    {"malloc-64-remote", "malloc-64-remote", "malloc-64-remote", "kin-processes", "run_kin", BENCH_NANOSECONDS, 0, 500000, 0, false},
    {"malloc-64-remote", "malloc-64-remote", "malloc-64-remote", "glibc",         "run_c",   BENCH_NANOSECONDS, 0, 500000, 0, false},

    {"malloc-8mib", "malloc-8mib", "malloc-8mib",          "kin",             "run_kin",    BENCH_MICROSECONDS, 0,       500, 0, false},
    {"malloc-8mib", "malloc-8mib", "malloc-8mib",          "glibc",           "run_c",      BENCH_MICROSECONDS, 0,       500, 0, false},
    {"malloc-8mib", "malloc-8mib", "malloc-8mib:faults",   "kin",             "run_kin",    BENCH_FAULTS,       0,       500, 0, false},
    {"malloc-8mib", "malloc-8mib", "malloc-8mib:faults",   "glibc",           "run_c",      BENCH_FAULTS,       0,       500, 0, false},

    {"malloc-mixed", "malloc-mixed", "malloc-mixed",       "kin",             "run_kin",    BENCH_NANOSECONDS,  0,       1000000, 0, false},
    {"malloc-mixed", "malloc-mixed", "malloc-mixed",       "glibc",           "run_c",      BENCH_NANOSECONDS,  0,       1000000, 0, false},
    {"malloc-mixed", "malloc-mixed", "malloc-mixed:held",  "kin",             "run_kin",    BENCH_RATIO,        0,       1000000, 0, false},
    {"malloc-mixed", "malloc-mixed", "malloc-mixed:held",  "glibc",           "run_c",      BENCH_RATIO,        0,       1000000, 0, false},

    {"recovery",    "recovery",    "recovery",             "kin",             "run_kin",    BENCH_MICROSECONDS, 0,       20, 0, false},
    {"recovery",    "recovery",    "recovery",             "kin-4gib",        "run_kin",    BENCH_MICROSECONDS, 0,       20, 0, false},

    {"lock-uncontended", "lock-uncontended", "lock-uncontended", "kin",            "run_kin", BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"lock-uncontended", "lock-uncontended", "lock-uncontended", "kin-rlock",      "run_kin", BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"lock-uncontended", "lock-uncontended", "lock-uncontended", "pthread-robust", "run_c",   BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"lock-contended",   "lock-contended",   "lock-contended",   "kin",            "run_kin", BENCH_NANOSECONDS, 0, 1000000, 0, false},
    {"lock-contended",   "lock-contended",   "lock-contended",   "kin-rlock",      "run_kin", BENCH_NANOSECONDS, 0, 1000000, 0, false},
    {"lock-contended",   "lock-contended",   "lock-contended",   "pthread-robust", "run_c",   BENCH_NANOSECONDS, 0, 1000000, 0, false},
    {"semaphore",        "semaphore",        "semaphore",        "kin",            "run_kin", BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"semaphore",        "semaphore",        "semaphore",        "kin-owned",      "run_kin", BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"semaphore",        "semaphore",        "semaphore",        "sem_t",          "run_c",   BENCH_NANOSECONDS, 0, 2000000, 0, false},
    {"wake",             "wake",             "wake",             "kin",            "run_kin", BENCH_MICROSECONDS, 0, 300, 0, false},
    {"wake",             "wake",             "wake",             "kin-signal",     "run_kin", BENCH_MICROSECONDS, 0, 300, 0, false},
    {"wake",             "wake",             "wake",             "kin-event",      "run_kin", BENCH_MICROSECONDS, 0, 300, 0, false},
    {"wake",             "wake",             "wake",             "pthread-robust", "run_c",   BENCH_MICROSECONDS, 0, 300, 0, false},
    {"wake",             "wake",             "wake",             "sem_t",          "run_c",   BENCH_MICROSECONDS, 0, 300, 0, false},
    {"wake",             "wake",             "wake",             "futex",          "run_c",   BENCH_MICROSECONDS, 0, 300, 0, false},

    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-8", "queue-1-1-8", "queue-1-1-8", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-many-1-1-8", "queue-1-1-8", "queue-many-1-1-8", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-many-1-1-8", "queue-1-1-8", "queue-many-1-1-8", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-64", "queue-1-1-64", "queue-1-1-64", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-many-1-1-64", "queue-1-1-64", "queue-many-1-1-64", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-many-1-1-64", "queue-1-1-64", "queue-many-1-1-64", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1kib", "queue-1-1-1kib", "queue-1-1-1kib", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "ring", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-1-1-1mib", "queue-1-1-1mib", "queue-1-1-1mib", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-8", "queue-2-2-8", "queue-2-2-8", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-64", "queue-2-2-64", "queue-2-2-64", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "mqueue", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1kib", "queue-2-2-1kib", "queue-2-2-1kib", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "nng", "run_nng", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "boost", "run_boost", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"queue-2-2-1mib", "queue-2-2-1mib", "queue-2-2-1mib", "mp.Queue", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"broadcast-1-2-64", "broadcast-1-2-64", "broadcast-1-2-64", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"broadcast-1-2-64", "broadcast-1-2-64", "broadcast-1-2-64", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"broadcast-1-2-64", "broadcast-1-2-64", "broadcast-1-2-64", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},

    {"broadcast-1-2-1mib", "broadcast-1-2-1mib", "broadcast-1-2-1mib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"broadcast-1-2-1mib", "broadcast-1-2-1mib", "broadcast-1-2-1mib", "zmq", "run_zmq", BENCH_MESSAGES, 0, 0, 0, false},
    {"broadcast-1-2-1mib", "broadcast-1-2-1mib", "broadcast-1-2-1mib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},

    {"pipe-1-1-8", "pipe-1-1-8", "pipe-1-1-8", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-8", "pipe-1-1-8", "pipe-1-1-8", "kin-stream", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-8", "pipe-1-1-8", "pipe-1-1-8", "socketpair", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-8", "pipe-1-1-8", "pipe-1-1-8", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-8", "pipe-1-1-8", "pipe-1-1-8", "mp.Pipe", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"pipe-1-1-1kib", "pipe-1-1-1kib", "pipe-1-1-1kib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1kib", "pipe-1-1-1kib", "pipe-1-1-1kib", "kin-stream", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1kib", "pipe-1-1-1kib", "pipe-1-1-1kib", "socketpair", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1kib", "pipe-1-1-1kib", "pipe-1-1-1kib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1kib", "pipe-1-1-1kib", "pipe-1-1-1kib", "mp.Pipe", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"pipe-1-1-1mib", "pipe-1-1-1mib", "pipe-1-1-1mib", "kin", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1mib", "pipe-1-1-1mib", "pipe-1-1-1mib", "kin-stream", "run_kin", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1mib", "pipe-1-1-1mib", "pipe-1-1-1mib", "socketpair", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1mib", "pipe-1-1-1mib", "pipe-1-1-1mib", "pipe", "run_c", BENCH_MESSAGES, 0, 0, 0, false},
    {"pipe-1-1-1mib", "pipe-1-1-1mib", "pipe-1-1-1mib", "mp.Pipe", "run_mp.py", BENCH_MESSAGES, 0, 0, 0, false},

    {"queue-give", "queue-give", "queue-give", "kin", "run_kin", BENCH_MICROSECONDS, 1048576, 2000, 0, false},
    {"queue-give", "queue-give", "queue-give:1gib", "kin", "run_kin", BENCH_MICROSECONDS, 1073741824, 2000, 0, false},

    {"queue-wake", "queue-wake", "queue-wake", "kin", "run_kin", BENCH_MICROSECONDS, 0, 200, 0, false},
    {"queue-wake", "queue-wake", "queue-wake", "futex", "run_c", BENCH_MICROSECONDS, 0, 200, 0, false},

    {"manager-call-near", "manager-call-near", "manager-call-near", "kin", "run_kin", BENCH_MICROSECONDS, 0, 20000, 0, false},
    {"manager-call-near", "manager-call-near", "manager-call-near", "ping-pong", "run_c", BENCH_MICROSECONDS, 0, 20000, 0, false},
    {"manager-call-near", "manager-call-near", "manager-call-near", "mp.Manager", "run_mp.py", BENCH_MICROSECONDS, 0, 500, 0, false},
    {"manager-call-unix", "manager-call-unix", "manager-call-unix", "kin", "run_kin", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-unix", "manager-call-unix", "manager-call-unix", "socket", "run_c", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-unix", "manager-call-unix", "manager-call-unix", "redis", "run_redis", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-tcp", "manager-call-tcp", "manager-call-tcp", "kin", "run_kin", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-tcp", "manager-call-tcp", "manager-call-tcp", "socket", "run_c", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-tcp", "manager-call-tcp", "manager-call-tcp", "redis", "run_redis", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-tls", "manager-call-tls", "manager-call-tls", "kin", "run_kin", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-call-tls", "manager-call-tls", "manager-call-tls", "openssl", "run_openssl", BENCH_MICROSECONDS, 0, 2000, 0, false},
    {"manager-batch", "manager-batch", "manager-batch", "kin", "run_kin", BENCH_MICROSECONDS, 0, 20000, 0, false},
    {"manager-batch", "manager-batch", "manager-batch", "redis", "run_redis", BENCH_MICROSECONDS, 0, 20000, 0, false},

    {"dict-get-direct", "dict-get-direct", "dict-get-direct", "kin", "run_kin", BENCH_NANOSECONDS, 0, 500000, 0, false},
    {"dict-get-direct", "dict-get-direct", "dict-get-direct", "uthash", "run_uthash", BENCH_NANOSECONDS, 0, 500000, 0, false},
    {"dict-get-direct", "dict-get-direct", "dict-get-direct", "mp.Manager", "run_mp.py", BENCH_NANOSECONDS, 0, 500, 0, false},
    {"dict-get-growing", "dict-get-growing", "dict-get-growing", "kin", "run_kin", BENCH_NANOSECONDS, 0, 200000, 0, false},
    {"dict-set-direct", "dict-set-direct", "dict-set-direct", "kin", "run_kin", BENCH_NANOSECONDS, 0, 500000, 0, false},
    {"dict-set-direct", "dict-set-direct", "dict-set-direct", "uthash", "run_uthash", BENCH_NANOSECONDS, 0, 500000, 0, false},
};
/* clang-format on */
const size_t bench_entry_count = sizeof bench_entries / sizeof *bench_entries;

const struct bench_target bench_targets[] = {
    {"METG by map against OpenMP dynamic's", "metg-map", "kin", "metg-map", "openmp", false, 1.5},
    {"METG of Pool.map, chunksize 1, against kin's", "metg-map", "mp.Pool", "metg-map", "kin", true, 400},
    {"METG of Pool.map, default chunks, against kin's", "metg-map", "mp.Pool-default", "metg-map", "kin",
     true, 6},
    {"METG by apply_async against fork and pipes", "metg-apply", "kin", "metg-apply", "forkpipe", false, 1},
    {"METG by apply_async against an Open MPI master-worker", "metg-apply", "kin", "metg-apply", "openmpi",
     false, 1},
    {"METG of Pool.apply_async against kin's", "metg-apply", "mp.Pool", "metg-apply", "kin", true, 40},
    {"pool of 2 to first results against Pool's", "pool-start", "kin", "pool-start", "mp.Pool", false, 0.1},
    /* The same time: what is left between two equal things on a noisy machine. */
    {"hand-over of 512 MiB against that of 8 MiB", "map-8mib:hand-512mib", "kin", "map-8mib:hand-8mib", "kin",
     false, 1.25},
    {"64 sums of 8 MiB against one process", "map-8mib", "kin", "map-8mib", "one-process", true, 1.7},
    {"process start by fork against fork + wait", "start-fork", "kin", "start-fork", "bare", false, 1.5},
    {"with 1 GiB in the heap against small fork + wait", "start-fork-1gib", "kin", "start-fork-1gib", "bare",
     false, 3},
    {"process start by forkserver against kin's spawn", "start-forkserver", "kin", "start-forkserver",
     "kin-spawn", false, 0.5},
    {"one task to a worker awake against OpenMP's", "round-trip-awake", "kin", "round-trip-awake", "openmp",
     false, 3},
    {"one task to a worker asleep against a futex's", "round-trip-asleep", "kin", "round-trip-asleep",
     "futex", false, 1.2},
    {"malloc + free of 64 bytes against glibc's", "malloc-64", "kin", "malloc-64", "glibc", false, 2},
    {"the same, 1,000 at a time", "malloc-64:batch", "kin", "malloc-64:batch", "glibc", false, 2},
    {"64 bytes freed by another thread against glibc's", "malloc-64-remote", "kin", "malloc-64-remote",
     "glibc", false, 4},
    {"page faults of 8 MiB in warm memory", "malloc-8mib:faults", "kin", NULL, NULL, false, 0},
    {"a long mixed load against glibc's", "malloc-mixed", "kin", "malloc-mixed", "glibc", false, 2},
    {"memory held for it against glibc's", "malloc-mixed:held", "kin", "malloc-mixed:held", "glibc", false,
     1.25},
    {"recovery in a heap of 4 GiB against 40 MiB", "recovery", "kin-4gib", "recovery", "kin", false, 1.5},
    {"lock + release against a robust mutex's", "lock-uncontended", "kin", "lock-uncontended",
     "pthread-robust", false, 1.3},
    {"two processes contending for it against that", "lock-contended", "kin", "lock-contended",
     "pthread-robust", false, 1},
    {"signal semaphore against sem_t", "semaphore", "kin", "semaphore", "sem_t", false, 1.1},
    {"owned semaphore against sem_t", "semaphore", "kin-owned", "semaphore", "sem_t", false, 2.5},
    {"a sleeper woken by a lock against a bare futex", "wake", "kin", "wake", "futex", false, 1.3},
    {"by a signal semaphore", "wake", "kin-signal", "wake", "futex", false, 1.3},
    {"by an event", "wake", "kin-event", "wake", "futex", false, 1.3},
    {"8 bytes, one at a time, against zmq's", "queue-1-1-8", "kin", "queue-1-1-8", "zmq", true, 3},
    {"8 bytes, one at a time, against boost's", "queue-1-1-8", "kin", "queue-1-1-8", "boost", true, 3},
    {"8 bytes, one at a time, against pipe's", "queue-1-1-8", "kin", "queue-1-1-8", "pipe", true, 3},
    {"8 bytes, one at a time, against mqueue's", "queue-1-1-8", "kin", "queue-1-1-8", "mqueue", true, 3},
    {"8 bytes, one at a time, against nng's", "queue-1-1-8", "kin", "queue-1-1-8", "nng", true, 3},
    {"8 bytes, one at a time, against Python's Queue", "queue-1-1-8", "kin", "queue-1-1-8", "mp.Queue", true,
     60},
    {"64 bytes to two readers, against zmq's", "broadcast-1-2-64", "kin", "broadcast-1-2-64", "zmq", true, 3},
    {"64 bytes to two readers, against pipes", "broadcast-1-2-64", "kin", "broadcast-1-2-64", "pipe", true,
     3},
    {"8 bytes by a pipe, against bare packets", "pipe-1-1-8", "kin", "pipe-1-1-8", "socketpair", true, 0.75},
    {"1 MiB by a pipe, against pipe(2)", "pipe-1-1-1mib", "kin", "pipe-1-1-1mib", "pipe", true, 1.5},
    {"8 bytes by a pipe, against Python's Pipe", "pipe-1-1-8", "kin", "pipe-1-1-8", "mp.Pipe", true, 3},
    {"8 bytes, many at once, against zmq's", "queue-many-1-1-8", "kin", "queue-1-1-8", "zmq", true, 8},
    {"8 bytes, many at once, against boost's", "queue-many-1-1-8", "kin", "queue-1-1-8", "boost", true, 8},
    {"8 bytes, many at once, against pipe's", "queue-many-1-1-8", "kin", "queue-1-1-8", "pipe", true, 8},
    {"64 bytes, one at a time, against zmq's", "queue-1-1-64", "kin", "queue-1-1-64", "zmq", true, 3},
    {"64 bytes, one at a time, against boost's", "queue-1-1-64", "kin", "queue-1-1-64", "boost", true, 3},
    {"64 bytes, one at a time, against pipe's", "queue-1-1-64", "kin", "queue-1-1-64", "pipe", true, 3},
    {"64 bytes, one at a time, against mqueue's", "queue-1-1-64", "kin", "queue-1-1-64", "mqueue", true, 3},
    {"64 bytes, one at a time, against nng's", "queue-1-1-64", "kin", "queue-1-1-64", "nng", true, 3},
    {"64 bytes, one at a time, against Python's Queue", "queue-1-1-64", "kin", "queue-1-1-64", "mp.Queue",
     true, 60},
    {"64 bytes, many at once, against zmq's", "queue-many-1-1-64", "kin", "queue-1-1-64", "zmq", true, 8},
    {"64 bytes, many at once, against boost's", "queue-many-1-1-64", "kin", "queue-1-1-64", "boost", true, 8},
    {"64 bytes, many at once, against pipe's", "queue-many-1-1-64", "kin", "queue-1-1-64", "pipe", true, 8},
    {"1 KiB against boost's", "queue-1-1-1kib", "kin", "queue-1-1-1kib", "boost", true, 2},
    {"1 MiB against boost's", "queue-1-1-1mib", "kin", "queue-1-1-1mib", "boost", true, 1.5},
    {"2 producers, 2 consumers, 8 bytes, against zmq's", "queue-2-2-8", "kin", "queue-2-2-8", "zmq", true, 1},
    {"2 producers, 2 consumers, 8 bytes, against boost's", "queue-2-2-8", "kin", "queue-2-2-8", "boost", true,
     1},
    {"2 producers, 2 consumers, 8 bytes, against pipe's", "queue-2-2-8", "kin", "queue-2-2-8", "pipe", true,
     1},
    {"2 producers, 2 consumers, 8 bytes, against mqueue's", "queue-2-2-8", "kin", "queue-2-2-8", "mqueue",
     true, 1},
    {"2 producers, 2 consumers, 8 bytes, against nng's", "queue-2-2-8", "kin", "queue-2-2-8", "nng", true, 1},
    {"2 producers, 2 consumers, 64 bytes, against zmq's", "queue-2-2-64", "kin", "queue-2-2-64", "zmq", true,
     1},
    {"2 producers, 2 consumers, 64 bytes, against boost's", "queue-2-2-64", "kin", "queue-2-2-64", "boost",
     true, 1},
    {"2 producers, 2 consumers, 64 bytes, against pipe's", "queue-2-2-64", "kin", "queue-2-2-64", "pipe",
     true, 1},
    {"2 producers, 2 consumers, 64 bytes, against mqueue's", "queue-2-2-64", "kin", "queue-2-2-64", "mqueue",
     true, 1},
    {"2 producers, 2 consumers, 64 bytes, against nng's", "queue-2-2-64", "kin", "queue-2-2-64", "nng", true,
     1},
    {"2 producers, 2 consumers, 1 KiB, against zmq's", "queue-2-2-1kib", "kin", "queue-2-2-1kib", "zmq", true,
     1},
    {"2 producers, 2 consumers, 1 KiB, against boost's", "queue-2-2-1kib", "kin", "queue-2-2-1kib", "boost",
     true, 1},
    {"2 producers, 2 consumers, 1 KiB, against pipe's", "queue-2-2-1kib", "kin", "queue-2-2-1kib", "pipe",
     true, 1},
    {"2 producers, 2 consumers, 1 KiB, against mqueue's", "queue-2-2-1kib", "kin", "queue-2-2-1kib", "mqueue",
     true, 1},
    {"2 producers, 2 consumers, 1 KiB, against nng's", "queue-2-2-1kib", "kin", "queue-2-2-1kib", "nng", true,
     1},
    {"2 producers, 2 consumers, 1 MiB, against zmq's", "queue-2-2-1mib", "kin", "queue-2-2-1mib", "zmq", true,
     1},
    {"2 producers, 2 consumers, 1 MiB, against boost's", "queue-2-2-1mib", "kin", "queue-2-2-1mib", "boost",
     true, 1},
    {"2 producers, 2 consumers, 1 MiB, against pipe's", "queue-2-2-1mib", "kin", "queue-2-2-1mib", "pipe",
     true, 1},
    {"2 producers, 2 consumers, 1 MiB, against nng's", "queue-2-2-1mib", "kin", "queue-2-2-1mib", "nng", true,
     1},
    {"a block of 1 GiB handed over against one of 1 MiB", "queue-give:1gib", "kin", "queue-give", "kin",
     false, 1.25},
    {"a sleeping consumer woken, and back, against a futex's", "queue-wake", "kin", "queue-wake", "futex",
     false, 1.3},
    {"a get of Manager().dict() against kin's", "manager-call-near", "mp.Manager", "manager-call-near", "kin",
     true, 20},
    {"a near get against a ping-pong", "manager-call-near", "kin", "manager-call-near", "ping-pong", false,
     2},
    {"a get by a Unix socket against a bare one", "manager-call-unix", "kin", "manager-call-unix", "socket",
     false, 1.5},
    {"the same against Redis", "manager-call-unix", "kin", "manager-call-unix", "redis", false, 1},
    {"the same by TCP against Redis", "manager-call-tcp", "kin", "manager-call-tcp", "redis", false, 1},
    {"a get by TLS against a bare round trip", "manager-call-tls", "kin", "manager-call-tls", "openssl",
     false, 1.5},
    {"100 gets together against Redis", "manager-batch", "kin", "manager-batch", "redis", false, 1},
    {"a direct get against uthash's, in private memory", "dict-get-direct", "kin", "dict-get-direct",
     "uthash", false, 4},
};
const size_t bench_target_count = sizeof bench_targets / sizeof *bench_targets;

static const char *const titles[][2] = {
    {"metg-map", "METG(50 %) by a map on 2 workers: the shortest task at which half their time is "
                 "useful\n  (mp.Pool-default: of 10,000 tasks; openmp: the results added up; "
                 "openmp-array: put in an array, as kin's are;\n  ppe: ProcessPoolExecutor; joblib: its "
                 "batches; openmpi: a master and workers, one in flight at each)"},
    {"metg-map:call", "of that, what Python takes for the bare call of an empty task (ctypes)"},
    {"tasks-empty", "empty tasks mapped on 2 workers"},
    {"metg-apply",
     "METG(50 %) by tasks that are submitted one by one to 2 workers, all at once, and then waited for"},
    {"tasks-apply", "empty tasks submitted so"},
    {"commands", "the command `true`, two at a time (kin: tasks that each start one and wait for it)"},
    {"pool-start", "the first pool of 2 of a process, by fork, to its first 2 results"},
    {"pool-start:again", "the same of a process that has had pools before"},
    {"map-8mib", "the sums of 64 arrays of 8 MiB, 2 workers"},
    {"map-8mib:first", "the same by new workers, which touch all that memory for the first time"},
    {"map-8mib:hand-8mib", "an array of 8 MiB handed over: a map of 1 that reads a line of it"},
    {"map-8mib:hand-512mib", "an array of 512 MiB handed over, the same way"},
    {"start-fork", "a process started by fork and joined"},
    {"start-fork-1gib", "the same where 1 GiB of the heap is in use\n"
                        "  (bare: a small process; bare-1gib: one with as much private memory in use)"},
    {"start-spawn", "a process started as a new image and joined"},
    {"start-forkserver", "a process forked from a template that is ready, and joined\n"
                         "  (kin-spawn, posix_spawn: started as a new image)"},
    {"round-trip-awake", "one task through an idle pool and back, one after the other"},
    {"round-trip-asleep", "the same after a rest of 2 ms, all asleep\n"
                          "  (futex: two processes on two CPUs that hand one word to and fro)"},
    {"malloc-64", "64 bytes: malloc, then free, one thread"},
    {"malloc-64-remote", "64 bytes: malloc by one thread, free by another, through a ring\n"
                         "  (kin-processes: by another process)"},
    {"malloc-8mib", "8 MiB: malloc, a byte written in each page, free"},
    {"malloc-8mib:faults", "page faults in that"},
    {"malloc-mixed", "blocks of 16 bytes to 2 MiB that come and go: one malloc or free"},
    {"malloc-mixed:held", "the most memory held in that, for each byte of the most in use"},
    {"recovery", "the death of a member that owns 1,000 arenas, from its end to the last of them freed\n"
                 "  (in a heap of 40 MiB; kin-4gib: in one of 4 GiB)"},
    {"lock-uncontended", "acquire and release, nobody else there"},
    {"lock-contended", "two processes that each acquire, count, release: the time for one of all these"},
    {"semaphore", "acquire and release of one permit, nobody else there"},
    {"wake", "a release that wakes a process, until it runs and has what it slept for (the median of 300)"},
    {"queue-1-1-8", "8 bytes from one process to another through a queue\n  (ring: two processes that "
                    "only spin, the limit)"},
    {"queue-1-1-64", "the same, 64 bytes"},
    {"queue-1-1-1kib", "the same, 1 KiB"},
    {"queue-1-1-1mib", "the same, 1 MiB"},
    {"queue-many-1-1-8", "8 bytes, 64 messages a call"},
    {"queue-many-1-1-64", "64 bytes, 64 messages a call"},
    {"queue-2-2-8",
     "8 bytes, 2 producers and 2 consumers, all by one queue\n  (zmq, nng: a socket for each pair)"},
    {"queue-2-2-64", "the same, 64 bytes"},
    {"queue-2-2-1kib", "the same, 1 KiB"},
    {"queue-2-2-1mib", "the same, 1 MiB (pipe: one for each pair)"},
    {"pipe-1-1-8", "8 bytes from one process to another through a pipe with whole messages\n  "
                   "(socketpair: bare packets, "
                   "the limit; pipe: a length before each; kin-stream: as Python frames them)"},
    {"pipe-1-1-1kib", "the same, 1 KiB"},
    {"pipe-1-1-1mib", "the same, 1 MiB (socketpair: a stream)"},
    {"queue-give", "a block of 1 MiB given to another process, and back"},
    {"queue-give:1gib", "the same, 1 GiB"},
    {"broadcast-1-2-64", "64 bytes from one writer to each of two readers; told is how many it wrote"},
    {"broadcast-1-2-1mib", "the same, 1 MiB"},
    {"queue-wake", "a word to a consumer that sleeps, and back\n  (futex: two processes on two CPUs)"},
    {"manager-call-near", "a get of a dict in a manager, by a member of its family\n  (ping-pong: 32 "
                          "bytes through shared memory "
                          "and back, which looks and sleeps in the same way)"},
    {"manager-call-unix", "the same by a Unix socket (socket: 32 bytes there and back)"},
    {"manager-call-tcp", "the same by TCP over the loopback"},
    {"manager-call-tls", "the same by TLS 1.3, by key (openssl: 32 bytes there and back)"},
    {"dict-get-growing", "the same while another process puts up to 400,000 more keys in"},
    {"dict-get-direct",
     "a get of a dict of 10,000 texts and numbers in shared memory\n"
     "  (uthash: in private memory, for one thread; mp.Manager: a dict of one key, asked of its server)"},
    {"dict-set-direct", "a set of a key that is there already"},
    {"manager-batch", "the same by a Unix socket, 100 sent together: each"},
    {"malloc-64:batch", "64 bytes: 1,000 x malloc, then 1,000 x free, for one of each"},
};

const char *bench_title(const char *name)
{
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (!strcmp(titles[i][0], name))
            return titles[i][1];
    return "";
}

const char *bench_unit(enum bench_kind kind)
{
    switch (kind) {
    case BENCH_METG:
    case BENCH_MICROSECONDS:
        return "us";
    case BENCH_TASKS:
        return "tasks/s";
    case BENCH_MESSAGES:
        return "messages/s";
    case BENCH_GIGABYTES:
        return "GB/s";
    case BENCH_MILLISECONDS:
        return "ms";
    case BENCH_NANOSECONDS:
        return "ns";
    case BENCH_FAULTS:
        return "faults";
    case BENCH_RATIO:
        return "times";
    }
    return "";
}
