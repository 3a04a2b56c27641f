/* kin.h - everything. Short names for what is typed most: kin_map, kin_for, kin_malloc, kin_free. */
#ifndef KIN_H
#define KIN_H

#include "kin/api.h"
#include "kin/arena.h"
#include "kin/array.h"
#include "kin/barrier.h"
#include "kin/broadcast.h"
#include "kin/condition.h"
#include "kin/connection.h"
#include "kin/error.h"
#include "kin/event.h"
#include "kin/heap.h"
#include "kin/init.h"
#include "kin/listener.h"
#include "kin/lock.h"
#include "kin/log.h"
#include "kin/output.h"
#include "kin/pack.h"
#include "kin/pool.h"
#include "kin/process.h"
#include "kin/progress.h"
#include "kin/queue.h"
#include "kin/random.h"
#include "kin/rlock.h"
#include "kin/semaphore.h"
#include "kin/shared_memory.h"
#include "kin/start_method.h"
#include "kin/value.h"
#include "kin/waits.h"

#endif
