/*
 * pool.pml - the pool's protocol (src/pool: supervise.c, death.c, pool.c, worker.c, task.c), step by step.
 *
 * A supervisor, two workers that may be killed before any step, the guardian that tells of a death, and the
 * futexes they sleep on. Every access to a shared word is a step of its own; where several stand in an atomic or
 * d_step, only one of them can be seen by another process, or the rest is bookkeeping of the model ("ghost").
 *
 * Left out: relaxed orders (all steps are sequentially consistent here, as the code's doorbell, asleep, answered,
 * event, waiting and next are; of status and current the supervisor reads only what a death or an answer has
 * ordered before), spinning (a sleeper may sleep at once), adaptive chunks, limits, interrupts, initializers, and
 * the look that the supervisor takes by itself every 0.1 s: without it a lost wake-up is a deadlock.
 *
 * Parameters (-D): ITEMS a map, CHUNK, MAPS, RETRIES, DEATHS in all, FAILS: how many items fail by themselves,
 * STOP: stop at the first failure. -DWRONG_... plants a mistake; run.sh lists them.
 */
#ifndef ITEMS
#define ITEMS 3
#endif
#ifndef CHUNK
#define CHUNK 1
#endif
#ifndef MAPS
#define MAPS 1
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef STOP
#define STOP 0
#endif

#ifndef FINISH
#define FINISH 1
#endif

#define WORKERS 2
#define PENDING 0
#define DONE 1
#define FAILED 2

/* ---- shared memory --------------------------------------------------------------------------- */

byte doorbell[WORKERS];
bit quit[WORKERS];
byte answered[WORKERS];
bit asleep[WORKERS];
byte current[WORKERS];

byte next;
bit stop;
byte event;
bit waiting;
byte chosen;
byte total;
bit listed;
byte list[ITEMS];
byte status[ITEMS];
byte attempts[ITEMS];

/* ---- the kernel, and the maker's records of its children -------------------------------------- */

bit alive[WORKERS];
bit bell_sleeper[WORKERS]; /* asleep in a futex wait on its doorbell */
bit event_sleeper;         /* the supervisor, on event */
bit process[WORKERS];      /* post->process is not NULL */
bit settled[WORKERS];      /* process->ended */
bit notify[WORKERS];       /* the record has worker_ended to call */
bit ended[WORKERS];        /* post->ended */
bit mutex;                 /* kin__guardian_mutex */

/* ---- ghosts ---------------------------------------------------------------------------------- */

byte in_item[WORKERS];   /* index + 1 from the first instruction of an item's function to its last */
byte doomed[WORKERS];    /* index + 1 from the store to current to that to status: a death here is charged */
byte died_in[ITEMS];     /* how often that happened in this map */
bit complete[ITEMS];     /* its function has returned, and out is written */
byte deaths_left = DEATHS;
byte fails_left = FAILS;
bit over;                /* the supervisor is through */

inline wake_supervisor() { event_sleeper = 0 }

/* ---- death, and the guardian ------------------------------------------------------------------ */

/* A process is gone, killed or not: it sleeps nowhere. */
inline end_of(w)
{
    alive[w] = 0;
    bell_sleeper[w] = 0;
    in_item[w] = 0;
    doomed[w] = 0
}

inline kill(w)
{
    if
    :: doomed[w] -> died_in[doomed[w] - 1]++
    :: else
    fi;
    end_of(w)
}

/* worker_ended() in pool.c. */
inline tell_end(w)
{
    ended[w] = 1;
    event++;
    wake_supervisor()
}

/* child_ended() in children.c; under the mutex. */
inline settle(w)
{
    settled[w] = 1;
    if
    :: notify[w] -> tell_end(w)
    :: else
    fi
}

active proctype guardian()
{
    byte w;
end:
    do
    :: atomic { mutex == 0 && process[0] && !alive[0] && !settled[0] -> mutex = 1; w = 0 };
       settle(w);
       atomic { mutex = 0; w = 0 }
    :: atomic { mutex == 0 && process[1] && !alive[1] && !settled[1] -> mutex = 1; w = 1 };
       settle(w);
       atomic { mutex = 0; w = 0 }
    od
}

/* ---- a worker -------------------------------------------------------------------------------- */

/* A step of a worker: what it does, or its death before it. */
#define STEP if ::
#define OR_DIES :: atomic { deaths_left > 0 -> deaths_left--; kill(me); goto unborn } :: over -> goto gone fi

inline begin_item()
{
    assert(in_item[1 - me] != index + 1); /* P2 */
    assert(status[index] != DONE);        /* P1, P3 */
    assert(died_in[index] <= RETRIES);
    in_item[me] = index + 1;
#ifdef WRONG_CURRENT_LATE
    doomed[me] = index + 1;
#endif
    if
    :: fails_left > 0 -> fails_left--; fails = 1
    :: true
    fi
}

inline end_item()
{
    in_item[me] = 0;
    complete[index] = 1
}

proctype worker(byte me)
{
    byte seen, round, from, to, at, index;
    bit fails;

unborn:
    atomic { seen = 0; round = 0; from = 0; to = 0; at = 0; index = 0; fails = 0 };
end_unborn:
    if
    :: alive[me]
    :: over -> goto gone
    fi;
    STEP seen = answered[me] OR_DIES;

wait: /* wait_for_doorbell: a spin that ends at any time, */
    STEP doorbell[me] != seen -> goto rung :: doorbell[me] == seen OR_DIES;
    STEP quit[me] -> goto rung :: !quit[me] OR_DIES;
    STEP asleep[me] = 1 OR_DIES; /* then sleep */
look:
    STEP doorbell[me] != seen -> goto awake :: doorbell[me] == seen OR_DIES;
    STEP quit[me] -> goto awake :: !quit[me] OR_DIES;
    STEP atomic { doorbell[me] == seen -> bell_sleeper[me] = 1 } :: doorbell[me] != seen -> goto look OR_DIES;
    STEP !bell_sleeper[me] -> goto look OR_DIES;
awake:
    STEP asleep[me] = 0 OR_DIES;
rung:
    round = doorbell[me]; /* was read above; nobody changes it before we answer, but to make us quit */
#ifdef WRONG_SILENT_QUIT
    if
    :: round == seen -> goto quits
    :: else
    fi;
#else
    STEP quit[me] -> goto quits :: !quit[me] OR_DIES;
#endif

claim: /* work */
#ifdef WRONG_CLAIM
    STEP from = next OR_DIES;
    STEP next = from + CHUNK OR_DIES;
#else
    STEP atomic { from = next; next = next + CHUNK } OR_DIES;
#endif
    atomic {
        if
        :: from >= total -> from = 0; goto answer
        :: else -> to = (total - from < CHUNK -> total : from + CHUNK); at = from; from = 0
        fi
    };
item:
    if
    :: at == to -> goto claim
    :: at < to && stop -> goto answer
    :: atomic { at < to && !stop -> index = (listed -> list[at] : at) }
    OR_DIES;

    /* kin__task_run. What it writes is read by others only when it is dead, or answers: so these steps are points
     * to die at, and no others but the item itself a point for others to go on. */
    atomic {
#ifndef WRONG_CURRENT_LATE
        STEP current[me] = index + 1; doomed[me] = index + 1 OR_DIES;
#endif
        STEP begin_item() OR_DIES
    };
    atomic {
#ifndef WRONG_STATUS_EARLY
        STEP end_item() OR_DIES;
#endif
#ifdef WRONG_CURRENT_LATE
        STEP current[me] = index + 1 OR_DIES;
#endif
        STEP status[index] = (fails -> FAILED : DONE); doomed[me] = 0 OR_DIES;
#ifdef WRONG_STATUS_EARLY
        STEP end_item() OR_DIES;
#endif
        if
        :: fails && STOP -> STEP stop = 1 OR_DIES
        :: else
        fi;
        fails = 0
    };
    at++;
    goto item;

answer:
#ifndef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
    STEP chosen <= 1 - me -> goto last :: chosen > 1 - me OR_DIES;
    STEP doorbell[1 - me] != round -> goto last :: doorbell[1 - me] == round OR_DIES;
    STEP answered[1 - me] != round -> goto answered_for :: answered[1 - me] == round OR_DIES;
last:
#ifdef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
#ifdef WRONG_WAITING_EARLY
    STEP fails = waiting OR_DIES;
    STEP event++ OR_DIES;
    STEP atomic { fails -> wake_supervisor() } :: !fails OR_DIES;
#else
    STEP event++ OR_DIES;
    STEP waiting :: !waiting -> goto answered_for OR_DIES;
    STEP wake_supervisor() OR_DIES;
#endif
answered_for:
#ifdef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
    atomic { seen = round; round = 0; from = 0; to = 0; at = 0; index = 0; fails = 0 };
    goto wait;

quits:
    atomic { end_of(me); goto unborn };
gone:
    skip
}

/* ---- the supervisor --------------------------------------------------------------------------- */

/* kin__post_start */
inline post_start(w)
{
    atomic { /* of these only `alive` is seen by others */
        asleep[w] = 0;
        current[w] = 0;
        ended[w] = 0;
        settled[w] = 0;
        notify[w] = 0;
        process[w] = 1;
        alive[w] = 1
    };
    atomic { /* kin__child_notify */
        mutex == 0;
        notify[w] = 1;
        if
        :: settled[w] -> tell_end(w)
        :: else
        fi
    }
}

/* kin__post_clear */
inline post_clear(w)
{
    atomic { mutex == 0 -> notify[w] = 0; process[w] = 0 }
}

/* kin_process_is_alive, kin_process_join: settles a death that nobody has settled yet; `gone` tells. */
inline ask_alive(w)
{
    atomic {
        if
        :: settled[w] -> gone = 1
        :: !settled[w] && mutex == 0 && alive[w] -> gone = 0
        :: !settled[w] && mutex == 0 && !alive[w] -> settle(w); gone = 1
        fi
    }
}

inline stop_map()
{
    stopping = 1;
    stop = 1
}

/* kin__bury: the worker is known to have ended */
inline bury(w)
{
    atomic { /* what the dead one wrote, nobody else looks at now */
    settled[w];
    undone = 1;
    item = current[w];
    if
#ifdef WRONG_IDLE_ITEM
    :: item > 0 && doorbell[w] == round && status[item - 1] == PENDING ->
#else
    :: item > 0 && doorbell[w] == round && answered[w] != round && status[item - 1] == PENDING ->
#endif
       if
       :: attempts[item - 1] < RETRIES -> attempts[item - 1]++
       :: else ->
          assert(died_in[item - 1] == RETRIES + 1); /* its worker died in it, each time */
          status[item - 1] = FAILED;
          if
          :: STOP -> stop_map()
          :: else
          fi
       fi
#ifndef WRONG_UNSTOPPED
    :: item > 0 && doorbell[w] == round && answered[w] != round && status[item - 1] == FAILED && STOP ->
       stop_map() /* it may have died before it said so */
#endif
    :: else
    fi;
    item = 0
    };
    post_clear(w)
}

inline handle_death(w)
{
    bury(w);
    if
    :: next < total && !stopping -> post_start(w)
    :: else ->
#ifdef WRONG_QUIET_BURIAL
       skip
#else
       /* Nobody sits there any more: others must not leave the wake-up to it; and who looked before, has. */
       answered[w] = doorbell[w];
       event++
#endif
    fi
}

inline look()
{
    busy = 0;
    s = 0;
    do
    :: atomic { s < chosen -> gone = process[s] && ended[s] };
       if
       :: gone -> handle_death(s)
       :: else
       fi;
       atomic { busy = busy || (process[s] && answered[s] != round); s++ }
    :: s >= chosen -> break
    od;
    atomic { s = 0; gone = 0 }
}

inline wait_for_round()
{
    do
    ::
#ifdef WRONG_WAITING_LATE
       seen = event;
       look();
       waiting = 1;
#elif defined(WRONG_SEEN_LATE)
       waiting = 1;
       look();
       seen = event;
#else
       seen = event;
       waiting = 1;
       look();
#endif
       if
       :: !busy -> break
       :: else
       fi;
       atomic { /* futex wait */
           if
           :: event == seen -> event_sleeper = 1
           :: else
           fi
       };
       event_sleeper == 0
    od;
    waiting = 0
}

inline man_seats()
{
    s = 0;
    do
    :: s < chosen ->
       if
       :: process[s] -> ask_alive(s)
       :: !process[s] -> gone = 1
       fi;
       if
       :: gone || ended[s] ->
          if
          :: process[s] -> bury(s)
          :: !process[s]
          fi;
#ifndef WRONG_KEEP_ANSWERED
          answered[s] = doorbell[s];
#endif
          post_start(s)
       :: else
       fi;
       s++
    :: else -> break
    od;
    gone = 0
}

inline ring(w)
{
    gone = asleep[w];
    if
    :: gone -> bell_sleeper[w] = 0
    :: else
    fi
}

inline ring_seats()
{
    atomic {
        current[0] = 0;
        if
        :: chosen > 1 -> current[1] = 0
        :: else
        fi;
        round++;
        s = 0
    };
    do
    :: s < chosen -> doorbell[s] = round; ring(s); s++
    :: else -> break
    od
}

/* Between rounds no worker touches any of this; answer() alone may still read `chosen`. */
inline open_window()
{
    d_step {
        s = 0;
        do
        :: s < ITEMS ->
           status[s] = PENDING; attempts[s] = 0; died_in[s] = 0; complete[s] = 0; s++
        :: else -> break
        od;
        s = 0;
        stopping = 0;
        total = ITEMS;
        listed = 0;
        left = ITEMS
    }
}

inline list_pending()
{
    d_step {
        s = 0;
        left = 0;
        do
        :: s < ITEMS ->
           if
           :: status[s] == PENDING -> list[left] = s; left++
           :: else
           fi;
           s++
        :: else -> break
        od;
        s = left;
        do
        :: s < ITEMS -> list[s] = 0; s++
        :: else -> break
        od;
        s = 0;
        total = left;
        listed = 1
    }
}

/* What the caller may rely on. */
inline check_map()
{
    d_step {
        s = 0;
        do
        :: s < ITEMS ->
           assert(status[s] != PENDING || stopping);
           assert(status[s] != DONE || complete[s]);
           assert(status[s] != FAILED || !STOP || stopping);
           s++
        :: else -> break
        od;
        assert(!in_item[0] && !in_item[1]);
        s = 0
    }
}

active proctype supervisor()
{
    byte round, seen, s, item, left, maps;
    bit busy, gone, undone, stopping;

    atomic { run worker(0); run worker(1) };
    post_start(0);
    post_start(1);
    do
    :: maps < MAPS ->
       stop = 0;
       open_window();
       do
       :: left > 0 && !stopping ->
          chosen = (total < WORKERS -> total : WORKERS);
          next = 0;
          undone = 0;
          man_seats();
          ring_seats();
          wait_for_round();
          if
          :: stop -> stopping = 1
          :: else
          fi;
          left = 0;
          if
#ifndef WRONG_NO_SCAN
          :: undone && !stopping -> list_pending()
#endif
          :: else
          fi
       :: else -> break
       od;
       check_map();
       maps++
    :: else -> break
    od;

#if FINISH
    /* kin_pool_finish */
    s = 0;
    do
    :: s < WORKERS ->
       quit[s] = 1;
#ifndef WRONG_SILENT_QUIT
       doorbell[s]++;
#endif
       ring(s);
       s++
    :: else -> break
    od;
    s = 0;
    do
    :: s < WORKERS ->
       if
       :: process[s] -> atomic { !alive[s] -> ask_alive(s) }; post_clear(s)
       :: else
       fi;
       s++
    :: else -> break
    od;
    over = 1
#else
    atomic { /* kin_pool_free kills them */
        mutex == 0;
        if
        :: alive[0] -> end_of(0)
        :: else
        fi;
        if
        :: alive[1] -> end_of(1)
        :: else
        fi;
        process[0] = 0;
        process[1] = 0;
        over = 1
    }
#endif
}
