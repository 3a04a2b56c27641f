/*
 * pool.pml - the pool's protocol (src/pool: supervise.c, death.c, worker.c, map.c, pool.c) as a model for spin.
 *
 * The maker supervises, workers may be killed before each of their steps, the maker's guardian thread tells of deaths,
 * and who waits sleeps on a futex. model_test searches all interleavings for a broken assertion, for a state in which
 * nobody can go on though work is left, and for a cycle: a run that goes on for ever.
 *
 * How it stands for the code. Each access to a shared word that another process may see meanwhile is a step of its own.
 * Steps stand in one `atomic` where nobody else looks: what a worker writes of its item is read by the supervisor only
 * when the worker has answered or is dead, so these remain points to die at, but not points for others to go on.
 * Names are the code's; each part says which function it is. A futex wait is one step that compares and goes to sleep.
 *
 * What is checked
 *   P1 to P3 of pool_shared.h (begin_item); after a map each item is done or failed, unless the map was stopped, and
 *   what is DONE is complete (check_map); an item fails by death only if its worker died in it each time (bury);
 *   where a failure is to stop the map, it does; man_seats finds each empty seat answered; every map and the finish
 *   come to their end.
 *
 * Not modelled
 *   Relaxed and acquire/release orders: all steps here are sequentially consistent. In the code doorbell, asleep,
 *   answered, event and waiting are; status, current and next are ordered by them. Also not: adaptive chunks (CHUNK is
 *   fixed), limits, interrupts, progress, initializers and finalizers, results and notes, the maker's death (its
 *   workers end by PDEATHSIG), wild writes, wrap of counters. Spinning is: a sleeper may find its word changed at once.
 *   The look that the supervisor takes by itself after 0.1 s happens LOOKS times only: a lost wake-up is a deadlock.
 *
 * Parameters: WORKERS; ITEMS of a map, CHUNK, MAPS in a row, RETRIES; how often in all a worker is killed (DEATHS), an
 * item fails by itself (FAILS), a start of a worker fails (STARTS), the supervisor's sleep ends by itself (LOOKS); STOP:
 * a failure stops the map; CANCELS: it may be canceled, and then an item may last for ever. model_test reads the table:
 *
 *   check    one_death                           short   cycles  -DITEMS=2 -DWORKERS=1
 *   check    two_deaths                          long    -DITEMS=2 -DDEATHS=2
 *   check    stops_at_a_failure                  long    -DITEMS=2 -DSTOP=1 -DFAILS=1 -DRETRIES=0
 *   check    two_workers_one_death               short   -DITEMS=2 -DRETRIES=0
 *   check    one_worker_is_canceled              short   -DITEMS=2 -DCANCELS=1 -DWORKERS=1
 *   check    two_workers_are_canceled            long    -DITEMS=2 -DCANCELS=1 -DDEATHS=0
 *   check    three_items_two_deaths              long    -DITEMS=3 -DDEATHS=2
 *   check    two_maps                            long    -DITEMS=2 -DMAPS=2 -DRETRIES=0
 *   check    workers_that_cannot_be_replaced     long    -DITEMS=2 -DDEATHS=2 -DSTARTS=1 -DMAPS=2 -DRETRIES=0
 *   check    looks_by_itself                     long    cycles  -DITEMS=2 -DLOOKS=1
 *   check    many_deaths                         long    -DWORKERS=1 -DITEMS=3 -DDEATHS=4 -DFAILS=1 -DRETRIES=2
 *   check    three_maps_of_chunks                long    -DITEMS=3 -DCHUNK=2 -DMAPS=3
 *
 *   mistake  claim            long    a claim is a load and a store                           -DDEATHS=0
 *   mistake  status_early     long    the status byte is written before the item is           -DITEMS=2
 *   mistake  current_late     long    current is written after the item                       -DITEMS=2 -DRETRIES=0
 *   mistake  current_kept     long    current is not cleared for a round              -DITEMS=2 -DRETRIES=0 -DMAPS=2
 *   mistake  idle_item        short   who had answered is charged with an item        -DITEMS=2 -DRETRIES=0 -DMAPS=2
 *   mistake  scan             long    what the dead had claimed is not looked for             -DITEMS=2
 *   mistake  unstopped        long    the dead's failure does not stop the map        -DITEMS=2 -DSTOP=1 -DFAILS=1
 *   mistake  job_late         long    the doorbell is written before the job                  -DITEMS=2 -DMAPS=2
 *   mistake  answer_late      long    a worker looks at the others before it answers          -DITEMS=2 -DDEATHS=0
 *   mistake  empty_seat       long    nobody answers from a seat that is left empty           -DITEMS=2
 *   mistake  burial_unseen    short   a burial does not make the supervisor look again        -DITEMS=2
 *   mistake  event_untold     long    the last answer wakes without a change of event         -DITEMS=2 -DDEATHS=0
 *   mistake  seen_late        long    event is read after the look                            -DITEMS=2 -DDEATHS=0
 *   mistake  waiting          short   both orders around `waiting` are turned (see below)     -DITEMS=2 -DDEATHS=0
 *   mistake  end_told_early   long    event changes before post->ended                        -DITEMS=2
 *   mistake  end_missed       long    who died before the call to kin__child_notify is not told  -DITEMS=2
 *   mistake  ring_early       short   asleep is read before the doorbell is written           -DITEMS=2 -DDEATHS=0
 *   mistake  quit_silent      long    the doorbell is not rung to quit                        -DITEMS=2 -DDEATHS=0
 *   mistake  quit_late        long    the doorbell is rung before quit is set                 -DITEMS=2 -DDEATHS=0
 *   mistake  cancel_unheard   long    a cancellation does not change event                    -DITEMS=2 -DCANCELS=1 -DWORKERS=1
 *   mistake  cancel_patient   long    a canceled map waits for the items under way            -DITEMS=2 -DCANCELS=1 -DWORKERS=1
 *   mistake  cancel_untold    long    a map whose items are left undone for it does not say so   -DITEMS=2 -DCANCELS=1 -DWORKERS=1
 *   mistake  event_stale      short   cycles  event is read once, so that no sleep lasts      -DITEMS=2 -DDEATHS=0
 *
 *   variant  waiting_read_early      long    a worker reads `waiting` before it changes event    -DITEMS=2
 *   variant  waiting_set_late        long    the supervisor sets `waiting` after the look        -DITEMS=2
 *   variant  event_if_waiting        long    event changes only if the supervisor waits          -DITEMS=2
 *
 * Either order around `waiting` is enough by itself: as the code stands, who answers before the supervisor's look is
 * seen by it, and who answers after it finds `waiting` set; if `waiting` were set after the look, whoever found it not
 * set had already changed event, and the futex would not sleep. Only both orders turned lose a wake-up.
 */
#ifndef WORKERS
#define WORKERS 2
#endif
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
#ifndef STARTS
#define STARTS 0
#endif
#ifndef LOOKS
#define LOOKS 0
#endif
#ifndef STOP
#define STOP 0
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifdef WRONG_WAITING
#define WAITING_READ_EARLY
#define WAITING_SET_LATE
#endif

#define PENDING 0
#define DONE 1
#define FAILED 2

/* ---- shared memory: struct kin__seat, kin__job, kin_pool ---------------------------------------- */

byte doorbell[WORKERS];
bit quit[WORKERS];
byte answered[WORKERS];
bit asleep[WORKERS];
byte current[WORKERS];

byte next;
bit stop;
bit event; /* set: changed since the supervisor read it last; it only compares */
bit waiting;
bit canceled;
byte chosen;
byte total;
bit listed; /* job->list is not NULL */
byte list[ITEMS];
byte status[ITEMS];
byte attempts[ITEMS];

/* ---- the kernel, and the maker's records of its children ----------------------------------------- */

bit alive[WORKERS];
bit struck[WORKERS];       /* it was sent SIGKILL: it may do some more steps, and dies */
bit bell_sleeper[WORKERS]; /* asleep in a futex wait on its doorbell */
bit event_sleeper;         /* the supervisor, on event */
bit process[WORKERS];      /* post->process is not NULL */
bit over[WORKERS];         /* the guardian has settled this process's end (watch->over, process->ended) */
bit notify[WORKERS];       /* the watch has worker_ended to call */
bit ended[WORKERS];        /* post->ended */
bit mutex;                 /* kin__guardian_mutex */

/* ---- of the model alone --------------------------------------------------------------------------- */

byte in_item[WORKERS];   /* index + 1, from the first instruction of an item's function to its last */
byte charged[WORKERS];   /* index + 1, from the store to current to that to status: a death here counts */
bit runs[ITEMS];         /* somebody runs it */
byte died_in[ITEMS];     /* how often its worker died in it, in this map */
bit complete[ITEMS];     /* its function has returned, and out is written */
bit has_failed;          /* an item has failed in this map */
byte deaths_left = DEATHS;
byte fails_left = FAILS;
byte starts_left;
byte looks_left = LOOKS;
bit finished;            /* kin_pool_finish has returned */

/* ---- death, and the guardian ---------------------------------------------------------------------- */

/* A process is gone, killed or not: it sleeps nowhere. */
inline end_of(w)
{
    alive[w] = 0;
    struck[w] = 0;
    bell_sleeper[w] = 0;
    if
    :: in_item[w] -> runs[in_item[w] - 1] = 0
    :: else
    fi;
    in_item[w] = 0;
    charged[w] = 0
}

inline kill(w)
{
    if
    :: charged[w] -> died_in[charged[w] - 1]++
    :: else
    fi;
    end_of(w)
}

/* worker_ended in pool.c */
inline worker_ended(w)
{
#ifdef WRONG_END_TOLD_EARLY
    event = 1;
    event_sleeper = 0;
    ended[w] = 1
#else
    ended[w] = 1;
    event = 1;
    event_sleeper = 0
#endif
}

/* kin__guardian_check and child_ended in guardian.c and children.c, under the mutex */
inline settle(w)
{
    over[w] = 1; /* before ended, so nobody asks in between */
    if
    :: notify[w] -> worker_ended(w)
    :: else
    fi
}

/* The guardian thread, as if there were one for each seat: the mutex lets one at a time work. */
active [WORKERS] proctype guardian()
{
    byte w = _pid;
end:
    do
    :: atomic { mutex == 0 && process[w] && !alive[w] && !over[w] -> mutex = 1 };
       settle(w);
       mutex = 0
    od
}

/* ---- a worker: every process that ever sits in one seat --------------------------------------------- */

inline may_die(w)
{
    if
    :: struck[w]
    :: !struck[w] && deaths_left > 0 -> deaths_left--
    fi
}

/* A step of a worker, or its death before it. */
#define STEP if ::
#define OR_DIES :: atomic { may_die(me); kill(me); goto unborn } fi

inline begin_item()
{
    assert(!runs[index]);          /* P2 */
    assert(status[index] != DONE); /* P1, P3 */
    assert(died_in[index] <= RETRIES);
    runs[index] = 1;
    in_item[me] = index + 1;
#ifdef WRONG_CURRENT_LATE
    charged[me] = index + 1;
#endif
    if
    :: fails_left > 0 -> fails_left--; fails = 1
    :: CANCELS -> lasts = 1
    :: true
    fi
}

inline end_item()
{
    runs[index] = 0;
    in_item[me] = 0;
    complete[index] = 1
}

active [WORKERS] proctype worker()
{
    byte me = _pid - WORKERS;
    byte seen, round, from, to, at, index;
    bit fails, lasts;

unborn:
    atomic { seen = 0; round = 0; from = 0; to = 0; at = 0; index = 0; fails = 0; lasts = 0 };
end_unborn:
    if
    :: alive[me]
    :: finished -> goto gone
    fi;
    STEP seen = answered[me] OR_DIES; /* kin__worker_main */

wait: /* wait_for_doorbell; a spin that ends at any time, */
    STEP doorbell[me] != seen -> goto rung :: doorbell[me] == seen OR_DIES;
    STEP asleep[me] = 1 OR_DIES; /* then sleep */
look:
    STEP doorbell[me] != seen -> goto awake :: doorbell[me] == seen OR_DIES;
    STEP atomic { doorbell[me] == seen -> bell_sleeper[me] = 1 } :: doorbell[me] != seen -> goto look OR_DIES;
    STEP !bell_sleeper[me] -> goto look OR_DIES;
awake:
    STEP asleep[me] = 0 OR_DIES;
rung:
    round = doorbell[me]; /* was read above; nobody changes it before we answer */
    STEP quit[me] -> goto quits :: !quit[me] OR_DIES;

claim: /* work */
#ifdef WRONG_CLAIM
    STEP from = next OR_DIES;
    STEP next = from + CHUNK OR_DIES;
    if
    :: from >= total -> from = 0; goto answer
    :: else -> to = (total - from < CHUNK -> total : from + CHUNK); at = from; from = 0
    fi;
#else
    STEP atomic {
        if /* `next` grows on in the code; the model stops counting at the end */
        :: next >= total -> goto answer
        :: else -> at = next; to = (total - next < CHUNK -> total : next + CHUNK); next = to
        fi
    } OR_DIES;
#endif
item:
    if
    :: at == to -> goto claim
    :: at < to && stop -> goto answer
    :: atomic { at < to && !stop -> index = (listed -> list[at] : at) }
    OR_DIES;

    /* kin__task_run: two points for others to go on, the item's beginning and its end. */
    atomic {
#ifndef WRONG_CURRENT_LATE
        STEP current[me] = index + 1; charged[me] = index + 1 OR_DIES;
#endif
        STEP begin_item() OR_DIES
    };
    if
    :: lasts -> STEP false OR_DIES
    :: else
    fi;
    atomic {
#ifndef WRONG_STATUS_EARLY
        STEP end_item() OR_DIES;
#endif
#ifdef WRONG_CURRENT_LATE
        STEP current[me] = index + 1 OR_DIES;
#endif
        STEP status[index] = (fails -> FAILED : DONE); has_failed = has_failed || fails; charged[me] = 0 OR_DIES;
#ifdef WRONG_STATUS_EARLY
        STEP end_item() OR_DIES;
#endif
        if
        :: fails && STOP -> STEP stop = 1 OR_DIES
        :: else
        fi;
        fails = 0;
        index = 0;
        at++
    };
    goto item;

answer:
#ifndef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
    at = 0;
other: /* its own seat it need not look at: that has answered */
    STEP at >= chosen -> goto last :: at < chosen OR_DIES;
    if
    :: at == me
    :: at != me ->
       STEP doorbell[at] != round -> goto next_other :: doorbell[at] == round OR_DIES;
       STEP answered[at] != round -> goto answered_for :: answered[at] == round OR_DIES
    fi;
next_other:
    at++;
    goto other;

last:
#ifdef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
#if defined(EVENT_IF_WAITING)
    STEP waiting :: !waiting -> goto answered_for OR_DIES;
    STEP event = 1 OR_DIES;
    STEP event_sleeper = 0 OR_DIES;
#elif defined(WAITING_READ_EARLY)
    STEP fails = waiting OR_DIES;
    STEP event = 1 OR_DIES;
    STEP atomic { fails -> event_sleeper = 0 } :: !fails OR_DIES;
#else
#ifndef WRONG_EVENT_UNTOLD
    STEP event = 1 OR_DIES;
#endif
    STEP waiting :: !waiting -> goto answered_for OR_DIES;
    STEP event_sleeper = 0 OR_DIES;
#endif

answered_for:
#ifdef WRONG_ANSWER_LATE
    STEP answered[me] = round OR_DIES;
#endif
    atomic { seen = round; round = 0; from = 0; to = 0; at = 0; index = 0; fails = 0; lasts = 0 };
    goto wait;

quits:
    atomic { end_of(me); goto unborn };
gone:
    skip
}

/* ---- the supervisor --------------------------------------------------------------------------------- */

/* kin__post_start. Of the stores at first only `alive` is seen by others. `gone` tells that it failed. */
inline post_start(w)
{
    atomic {
        asleep[w] = 0;
        current[w] = 0;
        ended[w] = 0;
        over[w] = 0;
        notify[w] = 0;
        gone = 0;
        if
        :: starts_left > 0 -> starts_left--; gone = 1
        :: true -> process[w] = 1; alive[w] = 1
        fi
    };
    if
    :: gone
    :: !gone ->
       atomic { /* kin__child_notify */
           mutex == 0;
           notify[w] = 1;
#ifndef WRONG_END_MISSED
           if
           :: over[w] -> worker_ended(w)
           :: else
           fi
#endif
       }
    fi
}

/* kin__post_clear */
inline post_clear(w)
{
    atomic { mutex == 0 -> notify[w] = 0; process[w] = 0 }
}

/* kin_process_is_alive, kin_process_join: settles an end that nobody has settled yet */
inline settle_own(w)
{
    atomic {
        if
        :: over[w]
        :: !over[w] && mutex == 0 && alive[w]
        :: !over[w] && mutex == 0 && !alive[w] -> settle(w)
        fi
    }
}

/* kin__map_stop */
inline map_stop()
{
    stopping = 1;
    stop = 1
}

/* kin__map_break */
inline map_break()
{
    outcome = 1;
    map_stop()
}

/* decide_item and fail_item */
inline decide_item()
{
    if
    :: outcome
    :: !outcome && attempts[item - 1] < RETRIES -> attempts[item - 1]++
    :: !outcome && attempts[item - 1] >= RETRIES ->
       assert(died_in[item - 1] == RETRIES + 1); /* its worker died in it, each time */
       status[item - 1] = FAILED;
       if
       :: STOP -> map_stop()
       :: else
       fi
    fi
}

/* kin__bury; what the dead one wrote, nobody else looks at now */
inline bury(w)
{
    atomic {
        over[w]; /* kin_process_join: ended was told after it */
        undone = 1;
        item = current[w];
        if /* last_item */
#ifdef WRONG_IDLE_ITEM
        :: item > 0 && doorbell[w] == round ->
#else
        :: item > 0 && doorbell[w] == round && answered[w] != round ->
#endif
           if
           :: status[item - 1] == PENDING -> decide_item()
#ifndef WRONG_UNSTOPPED
           :: status[item - 1] == FAILED && STOP -> map_stop()
#endif
           :: else
           fi
        :: else
        fi;
        item = 0
    };
    post_clear(w)
}

/* kin__handle_death */
inline handle_death(w)
{
    bury(w);
    more = next < total && !stopping;
    if
    :: more -> post_start(w)
    :: else
    fi;
    if
    :: more && !gone
    :: else ->
       if
       :: more -> map_break()
       :: else
       fi;
#ifndef WRONG_EMPTY_SEAT
       answered[w] = doorbell[w];
#endif
#ifndef WRONG_BURIAL_UNSEEN
       event = 1
#endif
    fi;
    atomic { more = 0; gone = 0 }
}

/* kin__map_check_canceled and end_busy_workers */
inline check_canceled()
{
    if
    :: canceled && !outcome ->
       map_break();
#ifndef WRONG_CANCEL_PATIENT
       do
       :: s < chosen ->
          atomic {
              if
              :: process[s] && answered[s] != round && alive[s] -> struck[s] = 1
              :: else
              fi;
              s++
          }
       :: else -> break
       od;
       s = 0
#endif
    :: else
    fi
}

/* look; the one that has lasted 0.1 s is thorough */
inline look()
{
    busy = 0;
    s = 0;
    check_canceled();
    do
    :: s < chosen ->
       if
       :: thoroughly && process[s] -> settle_own(s)
       :: else
       fi;
       if
       :: process[s] && ended[s] -> handle_death(s)
       :: else
       fi;
       atomic { busy = busy || (process[s] && answered[s] != round); s++ }
    :: s >= chosen -> break
    od;
    s = 0
}

inline futex_wait_for_event()
{
    atomic {
        thoroughly = 0;
        if
        :: !event -> event_sleeper = 1
        :: else
        fi
    };
    atomic {
        if
        :: !event_sleeper
        :: event_sleeper && looks_left > 0 -> looks_left--; event_sleeper = 0; thoroughly = 1
        fi
    }
}

inline wait_for_round()
{
    thoroughly = 0;
#ifdef WRONG_EVENT_STALE
    event = 0;
#endif
    do
    ::
#if !defined(WRONG_SEEN_LATE) && !defined(WRONG_EVENT_STALE)
       event = 0;
#endif
#ifndef WAITING_SET_LATE
       waiting = 1;
#endif
       look();
#ifdef WAITING_SET_LATE
       waiting = 1;
#endif
#ifdef WRONG_SEEN_LATE
       event = 0;
#endif
       if
       :: !busy -> break
       :: else
       fi;
       futex_wait_for_event()
    od;
    atomic { waiting = 0; thoroughly = 0 }
}

/* man_seats; `gone` tells that a seat stays empty */
inline man_seats()
{
    s = 0;
    gone = 0;
    do
    :: s < chosen && process[s] && !ended[s] -> s++
    :: s < chosen && process[s] && ended[s] ->
       bury(s);
       if
       :: outcome -> gone = 1; break
       :: else
       fi
    :: s < chosen && !process[s] ->
       /* The code sets answered to doorbell here: it is already, as every seat that is found dead or left empty in a
        * round was answered for. */
       assert(answered[s] == doorbell[s]);
       post_start(s);
       if
       :: gone -> break
       :: else
       fi;
       s++
    :: s >= chosen -> break
    od;
    s = 0
}

/* kin__seat_ring, after the doorbell was written */
inline ring(w, number)
{
#ifdef WRONG_RING_EARLY
    gone = asleep[w];
    doorbell[w] = number;
#else
    doorbell[w] = number;
    gone = asleep[w];
#endif
    if
    :: gone -> bell_sleeper[w] = 0
    :: else
    fi;
    gone = 0
}

inline ring_seats()
{
    atomic { /* a worker that has answered does not look at current */
        s = 0;
#ifndef WRONG_CURRENT_KEPT
        do
        :: s < chosen -> current[s] = 0; s++
        :: s >= chosen -> break
        od;
        s = 0;
#endif
        round++
    };
    do
    :: s < chosen -> ring(s, round); s++
    :: s >= chosen -> break
    od;
    s = 0
}

inline run_round()
{
    chosen = (total < WORKERS -> total : WORKERS);
#ifndef WRONG_JOB_LATE
    next = 0;
#endif
    undone = 0;
    man_seats();
    if
    :: gone || outcome -> map_break(); gone = 0
    :: else ->
       ring_seats();
#ifdef WRONG_JOB_LATE
       next = 0;
#endif
       wait_for_round();
       if
       :: stop -> stopping = 1;
#ifndef WRONG_CANCEL_UNTOLD
          check_canceled()
#endif
       :: else
       fi
    fi
}

/* prepare_job and open_window in map.c. Of all this only `chosen` may still be read, by a worker that has answered and
 * looks at the others. */
inline open_window()
{
    stop = 0;
    chosen = 0;
    d_step {
        s = 0;
        do
        :: s < ITEMS ->
           status[s] = PENDING; attempts[s] = 0; died_in[s] = 0; complete[s] = 0; list[s] = 0; s++
        :: else -> break
        od;
        s = 0;
        has_failed = 0;
        outcome = 0;
        stopping = 0;
        listed = 0;
        total = ITEMS
    }
}

inline list_pending()
{
    d_step {
        s = 0;
        total = 0;
        do
        :: s < ITEMS ->
           if
           :: status[s] == PENDING -> list[total] = s; total++
           :: else
           fi;
           s++
        :: else -> break
        od;
        s = total;
        do
        :: s < ITEMS -> list[s] = 0; s++
        :: else -> break
        od;
        s = 0;
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
           assert(!runs[s]);
           s++
        :: else -> break
        od;
        s = 0;
        assert(!has_failed || !STOP || stopping);
        assert(!stopping || outcome || STOP)
    }
}

#if CANCELS
/* stop_maps of kin_pool_free, in another thread of the maker */
active proctype canceler()
{
    canceled = 1;
    stop = 1;
#ifndef WRONG_CANCEL_UNHEARD
    event = 1;
#endif
    event_sleeper = 0
}
#endif

/* kin_pool_finish */
inline finish_workers()
{
    s = 0;
    do
    :: s < WORKERS ->
#ifdef WRONG_QUIT_LATE
       ring(s, doorbell[s] + 1);
       quit[s] = 1;
#else
       quit[s] = 1;
#ifdef WRONG_QUIT_SILENT
       ring(s, doorbell[s]);
#else
       ring(s, doorbell[s] + 1);
#endif
#endif
       s++
    :: else -> break
    od;
    s = 0;
    do
    :: s < WORKERS ->
       if
       :: process[s] -> !alive[s]; settle_own(s); post_clear(s)
       :: !process[s]
       fi;
       s++
    :: else -> break
    od;
    finished = 1
}

active proctype supervisor()
{
    byte round, s, item, maps;
    bit busy, gone, more, undone, stopping, outcome, thoroughly;

    /* kin_pool_new, where all starts succeed */
    do
    :: s < WORKERS -> post_start(s); s++
    :: s == WORKERS -> break
    od;
    starts_left = STARTS;

    do
    :: maps < MAPS ->
       open_window();
       do /* kin__supervise */
       :: total > 0 && !stopping ->
          run_round();
          if
#ifndef WRONG_SCAN
          :: undone && !stopping -> list_pending()
#endif
          :: else -> total = 0
          fi
       :: else -> break
       od;
       check_map();
       maps++
    :: else -> break
    od;

    finish_workers()
}
