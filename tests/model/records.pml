/*
 * records.pml - single tasks (src/pool: record.h, submit.c, lane.c, hand.c, burial.c, timing.c, warden.c, result.c) as a model for
 * spin.
 *
 * The maker submits records, cancels some, waits for each, frees it and may use it again; workers claim and run them, and may be
 * killed before each of their steps; the maker's warden ends who runs what was canceled, settles what the dead had to do with,
 * posts what is to be tried again, and seats new workers. model_test searches all interleavings for a broken assertion, for a
 * state in which nobody can go on though work is left, and for a run that goes on for ever.
 *
 * How it stands for the code. Each access to a shared word is a step of its own; a CAS compares all of the state word: generation,
 * seat, state. What a caller sees of a futex is one bit, "changed since I read it last", and a wait is one step that compares it
 * and goes to sleep. Names are the code's; each part says which function it is.
 *
 * What is checked
 *   R1  a finish is final: what was canceled is not told as done, and who waited sees what it stays (check_finished)
 *   R2  nobody runs a record that another living worker runs and is to finish (begin_task)
 *   R3  what is queued is found in the end: else the maker would wait for ever, which is a deadlock
 *   R4  who writes to a record writes to that one, and not to what it has become since (write_output)
 *   A kill of the warden's strikes only who runs what was canceled, or has ended to run it and waits for death (strike). What was
 *   canceled before it had begun is never run. A task fails of deaths or failures only after RETRIES more attempts.
 *
 * Not modelled
 *   Weaker orders than sequential consistency. Tasks that submit tasks (their lanes, their stacks), pieces and their count, limits
 *   of time (which end a worker by the same steps as a cancel), back-off (it is over at once), priorities, a full lane, maps,
 *   results' data, sealed members. The warden's and the sleepers' looks by themselves: a lost wake-up is a deadlock.
 *
 * Parameters: WORKERS; RECORDS, each used ROUNDS times; how often in all a worker is killed by others (DEATHS), a record is
 * canceled (CANCELS), a task fails by itself (FAILS); RETRIES; HANGS: a task may last until its worker is killed.
 *
 *   check    one_worker_one_death             short   cycles  -DWORKERS=1 -DRECORDS=1 -DRETRIES=1
 *   check    two_workers_one_death            long    -DRECORDS=1 -DRETRIES=1
 *   check    two_deaths_without_retries       long    -DWORKERS=1 -DRECORDS=1 -DDEATHS=2
 *   check    cancels                          short   -DWORKERS=1 -DRECORDS=1 -DCANCELS=1 -DHANGS=1 -DRETRIES=1
 *   check    two_workers_and_a_cancel         long    -DRECORDS=1 -DCANCELS=1 -DHANGS=1 -DDEATHS=0
 *   check    cancel_beside_another            long    -DWORKERS=1 -DCANCELS=1 -DHANGS=1 -DDEATHS=0
 *   check    used_again                       long    -DWORKERS=1 -DRECORDS=1 -DROUNDS=2 -DCANCELS=1 -DRETRIES=1
 *   check    used_again_by_two_workers        long    -DRECORDS=1 -DROUNDS=2 -DCANCELS=1 -DDEATHS=0
 *   check    failures_are_tried_again         long    -DWORKERS=1 -DRECORDS=1 -DFAILS=1 -DRETRIES=2
 *   check    two_records_two_workers          long    -DDEATHS=0
 *   check    failure_and_cancel               long    -DWORKERS=1 -DRECORDS=1 -DFAILS=1 -DCANCELS=1 -DRETRIES=1
 *
 *   mistake  claim           short   a claim is a load and a store              -DRECORDS=1 -DDEATHS=0 -DCANCELS=1 -DWORKERS=1
 *   mistake  finish          short   a finish is a store                        -DRECORDS=1 -DDEATHS=0 -DCANCELS=1 -DWORKERS=1
 *   mistake  cancel          long    a cancel is a store                        -DRECORDS=1 -DDEATHS=0 -DCANCELS=1 -DWORKERS=1
 *   mistake  task_late       long    the seat tells what it runs after the claim   -DRECORDS=1 -DDEATHS=0 -DCANCELS=1 -DWORKERS=1 -DHANGS=1
 *   mistake  kill            long    a kill is not announced                    -DWORKERS=1 -DCANCELS=1 -DDEATHS=0
 *   mistake  doomed_goes_on  long    who is doomed goes on                      -DWORKERS=1 -DCANCELS=1 -DDEATHS=0
 *   mistake  evict_untold    long    a cancel does not call the warden          -DRECORDS=1 -DCANCELS=1 -DHANGS=1 -DDEATHS=0 -DWORKERS=1
 *   mistake  running_stays   short   what the dead ran is not settled           -DWORKERS=1 -DRECORDS=1 -DRETRIES=1
 *   mistake  hint_lost       short   what lost its hint is not posted again     -DWORKERS=1 -DRECORDS=1 -DRETRIES=1
 *   mistake  delay_unsaid    long    a burial does not say that some may be delayed   -DWORKERS=1 -DRECORDS=1 -DFAILS=1 -DRETRIES=2
 *   mistake  delay_cleared   long    `delayed` is cleared after the look        -DRECORDS=2 -DFAILS=2 -DDEATHS=0 -DRETRIES=1
 *   mistake  reused          long    a record is used again while it is written to    -DRECORDS=1 -DROUNDS=2 -DCANCELS=1 -DDEATHS=0
 *   mistake  end_untold      short   what the dead had finished is told to nobody   -DWORKERS=1 -DRECORDS=1 -DRETRIES=1
 *   mistake  wants_late      short   who waits says so after it has looked      -DRECORDS=1 -DDEATHS=0 -DWORKERS=1
 *   mistake  tell_early      long    who waits is told before the finish        -DRECORDS=1 -DDEATHS=0 -DWORKERS=1
 *   mistake  sleeper_late    long    who sleeps says so after it has looked     -DRECORDS=1 -DDEATHS=0 -DWORKERS=1
 *   mistake  post_early      long    who posts looks for sleepers first         -DRECORDS=1 -DDEATHS=0 -DWORKERS=1
 *   mistake  calls_late      long    the warden reads `calls` after its look    -DRECORDS=1 -DRETRIES=1 -DWORKERS=1
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef CANCELS
#define CANCELS 0
#endif
#ifndef FAILS
#define FAILS 0
#endif
#ifndef RETRIES
#define RETRIES 0
#endif
#ifndef HANGS
#define HANGS 0
#endif

#define FREE 0
#define QUEUED 1
#define DELAYED 2
#define RUNNING 3
#define DONE 4 /* from here on: finished */
#define FAILED 5
#define CANCELED 6
#define NO_SEAT 15
#define NONE 15

#define CELLS 12 /* more than are ever posted */

/* ---- shared memory: kin_result, kin__lane, kin__seat, kin_pool ------------------------------------ */

byte work[RECORDS]; /* these three are the state word */
byte seat[RECORDS] = NO_SEAT;
byte gen[RECORDS];
bit wants[RECORDS];
byte place[RECORDS];
byte attempts[RECORDS];

byte cell_record[CELLS];
byte cell_gen[CELLS];
byte tail;
byte next;

byte task[WORKERS] = NONE; /* or, or a record */
byte task_gen[WORKERS];
bit doomed[WORKERS];
bit sleepers[WORKERS];
bit rung[WORKERS]; /* its bell has changed since it read it */
bit called;        /* pool.calls has changed since the warden read it */
bit warden_sleeps;
bit delayed;

/* ---- the kernel, and what is private ----------------------------------------------------------------- */

bit alive[WORKERS] = 1;
bit struck[WORKERS]; /* it was sent SIGKILL */
bit ended[WORKERS];
bit bell_sleeper[WORKERS];
bit warden_sleeper;
bit maker_sleeper; /* on the state of one record */
byte maker_on;
bit desk; /* its mutex */

byte runs[WORKERS] = NONE; /* or the record whose function it is in */
byte runs_gen[WORKERS];
bit awaits_death[WORKERS];
bit barred[RECORDS]; /* it was canceled before it had begun */
byte spoilt[RECORDS];  /* attempts that died or failed */
byte output[RECORDS]; /* the generation that wrote it */
byte deaths_left = DEATHS;
byte cancels_left = CANCELS;
byte fails_left = FAILS;
bit over; /* the maker is done */

#define FINISHED(w) ((w) >= DONE)
#define EVICTED(r) (work[r] == CANCELED && seat[r] != NO_SEAT)

/* ---- deaths ------------------------------------------------------------------------------------------- */

inline end_of(w)
{
    if
    :: runs[w] != NONE && work[runs[w]] == RUNNING && gen[runs[w]] == runs_gen[w] && seat[runs[w]] == w ->
       spoilt[runs[w]]++
    :: else
    fi;
    alive[w] = 0;
    struck[w] = 0;
    bell_sleeper[w] = 0;
    runs[w] = NONE;
    awaits_death[w] = 0
}

/* A step of a worker, or its death before it. A kill of the warden's may come some steps later. */
inline may_die(w)
{
    if
    :: struck[w] -> assert(awaits_death[w] || (runs[w] != NONE && EVICTED(runs[w])) || (runs[w] == NONE && task[w] != NONE))
    :: !struck[w] && deaths_left > 0 -> deaths_left--
    fi
}

#define STEP if ::
#define OR_DIES :: atomic { may_die(me); end_of(me); goto unborn } fi

/* kin__call_warden */
inline call_warden()
{
    called = 1;
    if
    :: warden_sleeps -> warden_sleeper = 0
    :: !warden_sleeps
    fi
}

/* The guardian, and worker_ended in pool.c */
active proctype guardian()
{
    byte w;
end:
    do
    :: atomic { !alive[0] && !ended[0] && !over -> w = 0 }; ended[w] = 1; call_warden()
#if WORKERS > 1
    :: atomic { !alive[1] && !ended[1] && !over -> w = 1 }; ended[w] = 1; call_warden()
#endif
    od
}

/* ---- lanes ---------------------------------------------------------------------------------------------- */

/* kin__wake_one: one that sleeps, if there is one. */
inline wake_one(v)
{
    v = 0;
    do
    :: v < WORKERS ->
       if
       :: atomic { sleepers[v] -> sleepers[v] = 0 }; rung[v] = 1; bell_sleeper[v] = 0; break
       :: !sleepers[v] -> v++
       fi
    :: v == WORKERS -> break
    od;
    v = 0
}

/* kin__desk_post, under the desk's mutex. */
inline post(r, v)
{
#ifdef WRONG_POST_EARLY
    wake_one(v);
#endif
    assert(tail < CELLS);
    atomic { place[r] = tail; cell_record[tail] = r; cell_gen[tail] = gen[r] }; /* nobody sees it yet */
    tail++;
#ifndef WRONG_POST_EARLY
    wake_one(v)
#else
    skip
#endif
}

/* kin__record_tell, when it is finished. */
inline tell(r)
{
    if
    :: wants[r] ->
       if
       :: atomic { maker_sleeper && maker_on == r -> maker_sleeper = 0 }
       :: else
       fi
    :: !wants[r]
    fi
}

/* ---- a worker: every process that ever sits in one seat --------------------------------------------- */

inline begin_task(r, g)
{
    assert(!barred[r]);
    assert(spoilt[r] <= RETRIES);
    other = 0;
    do
    :: other < WORKERS ->
       assert(other == me || runs[other] != r || runs_gen[other] != gen[r] || EVICTED(r)); /* R2 */
       other++
    :: other == WORKERS -> break
    od;
    other = 0;
    runs[me] = r;
    runs_gen[me] = g
}

inline write_output(r, g)
{
    assert(gen[r] == g && work[r] != FREE); /* R4 */
    output[r] = g
}

active [WORKERS] proctype worker()
{
    byte me = _pid - 1;
    byte r, g, other, outcome;
    bit mine, was_doomed;

unborn:
    atomic { r = 0; g = 0; other = 0; outcome = 0; mine = 0; was_doomed = 0 };
end_unborn:
    if
    :: alive[me]
    :: over -> goto gone
    fi;

look: /* wait_for_call */
    STEP atomic { next != tail -> r = cell_record[next]; g = cell_gen[next]; next++; goto follow } /* kin__lane_pop */
    :: next == tail
    OR_DIES;
    STEP rung[me] = 0 OR_DIES;
#ifndef WRONG_SLEEPER_LATE
    STEP sleepers[me] = 1 OR_DIES;
#endif
    STEP atomic { next != tail -> goto awake } :: next == tail OR_DIES;
#ifdef WRONG_SLEEPER_LATE
    STEP sleepers[me] = 1 OR_DIES;
#endif
    STEP atomic { !rung[me] -> bell_sleeper[me] = 1 } :: rung[me] OR_DIES;
end_asleep:
    STEP !bell_sleeper[me] OR_DIES;
awake:
    STEP sleepers[me] = 0 OR_DIES;
    goto look;

follow:
    STEP work[r] == QUEUED && gen[r] == g :: atomic { work[r] != QUEUED || gen[r] != g -> goto forget } OR_DIES;
    /* claim_and_run */
#ifndef WRONG_TASK_LATE
    STEP atomic { task[me] = r; task_gen[me] = g } OR_DIES; /* one word */
#endif
#ifdef WRONG_CLAIM
    STEP work[r] == QUEUED && gen[r] == g :: atomic { !(work[r] == QUEUED && gen[r] == g) -> goto no_claim } OR_DIES;
    STEP atomic { work[r] = RUNNING; seat[r] = me; begin_task(r, g) } OR_DIES;
#else
    STEP atomic {
        if
        :: work[r] == QUEUED && gen[r] == g -> work[r] = RUNNING; seat[r] = me; begin_task(r, g)
        :: else -> goto no_claim
        fi
    } OR_DIES;
#endif
#ifdef WRONG_TASK_LATE
    STEP atomic { task[me] = r; task_gen[me] = g } OR_DIES; /* one word */
#endif
    /* run: its function, */
    if
    :: outcome = DONE
    :: atomic { fails_left > 0 -> fails_left--; outcome = FAILED }
    :: HANGS && work[r] == CANCELED -> goto hangs
    fi;
    STEP atomic { write_output(r, g) } OR_DIES;
    /* what comes of it */
    STEP outcome == DONE
    :: atomic { outcome == FAILED -> /* kin__record_again */
       if
       :: attempts[r] < RETRIES -> attempts[r]++; spoilt[r]++; outcome = DELAYED /* a death now counts once more */
       :: else
       fi }
    OR_DIES;
#ifdef WRONG_TELL_EARLY
    STEP atomic { tell(r) } OR_DIES;
#endif
#ifdef WRONG_FINISH
    STEP atomic { work[r] = outcome; seat[r] = NO_SEAT; mine = 1; runs[me] = NONE; spoilt[r] = spoilt[r] + (outcome == FAILED) } OR_DIES;
#else
    STEP atomic { /* kin__record_step */
        if
        :: work[r] == RUNNING && seat[r] == me && gen[r] == g ->
           work[r] = outcome;
           seat[r] = NO_SEAT;
           mine = 1;
           spoilt[r] = spoilt[r] + (outcome == FAILED)
        :: else
        fi;
        runs[me] = NONE
    } OR_DIES;
#endif
    if
    :: mine && outcome == DELAYED ->
       STEP delayed = 1 OR_DIES;
       STEP called = 1 OR_DIES;
       STEP atomic { warden_sleeps -> warden_sleeper = 0 } :: !warden_sleeps OR_DIES
    :: mine && outcome != DELAYED ->
#ifndef WRONG_TELL_EARLY
       STEP atomic { wants[r] -> if :: maker_sleeper && maker_on == r -> maker_sleeper = 0 :: else fi }
       :: !wants[r] OR_DIES
#else
       skip
#endif
    :: !mine
    fi;
leave:
    STEP atomic { /* who finished it is not doomed for it, and stores; who did not compares */
        if
        :: doomed[me] -> was_doomed = 1
        :: else -> task[me] = NONE
        fi
    } OR_DIES;
#ifndef WRONG_DOOMED_GOES_ON
    if
    :: was_doomed -> awaits_death[me] = 1; STEP false OR_DIES
    :: else
    fi;
#else
    STEP task[me] = NONE OR_DIES;
#endif
    goto forget;

no_claim:
    goto leave;
hangs:
    STEP false OR_DIES;
forget:
    atomic { r = 0; g = 0; outcome = 0; mine = 0; was_doomed = 0 };
    goto look;
gone:
    skip
}

/* ---- the warden ----------------------------------------------------------------------------------------- */

/* evict, kin__worker_doom */
inline evict(w)
{
    atomic { top = task[w]; top_gen = task_gen[w]; top_doomed = doomed[w] };
    if
    :: top != NONE && !top_doomed ->
       if
       :: EVICTED(top) && seat[top] == w && gen[top] == top_gen ->
#ifdef WRONG_KILL
          struck[w] = alive[w]
#else
          atomic {
              if
              :: task[w] == top && task_gen[w] == top_gen && alive[w] -> doomed[w] = 1; top_doomed = 1
              :: else
              fi
          };
          if
          :: top_doomed -> struck[w] = alive[w]
          :: !top_doomed -> call_warden()
          fi
#endif
       :: else
       fi
    :: else
    fi;
    atomic { top = 0; top_gen = 0; top_doomed = 0 }
}

/* kin__records_bury and kin__post_start. */
inline bury(w)
{
    atomic { !desk -> desk = 1 };
    i = 0;
    do
    :: i < RECORDS ->
#ifndef WRONG_RUNNING_STAYS
       if
       :: work[i] == RUNNING && seat[i] == w -> /* settle: nobody but a cancel changes it now */
          if
          :: attempts[i] < RETRIES -> attempts[i]++; to = DELAYED
          :: else -> to = FAILED
          fi;
          atomic {
              if
              :: work[i] == RUNNING && seat[i] == w -> work[i] = to; seat[i] = NO_SEAT
              :: else -> to = 0
              fi
          };
          if
          :: to == FAILED -> tell(i)
          :: else
          fi
       :: else
       fi;
#endif
       i++
    :: i == RECORDS -> break
    od;
    i = 0;
#ifndef WRONG_HINT_LOST
    do
    :: i < RECORDS -> /* post_again */
       if
       :: work[i] == QUEUED && place[i] < next -> post(i, v)
       :: else
       fi;
       i++
    :: i == RECORDS -> break
    od;
#endif
#ifndef WRONG_END_UNTOLD
    i = 0;
    do
    :: i < RECORDS -> /* tell_again */
       if
       :: FINISHED(work[i]) -> tell(i)
       :: else
       fi;
       i++
    :: i == RECORDS -> break
    od;
#endif
#ifndef WRONG_DELAY_UNSAID
    delayed = 1;
#endif
    atomic { i = 0; to = 0; task[w] = NONE; doomed[w] = 0; ended[w] = 0; sleepers[w] = 0; rung[w] = 0; alive[w] = 1; desk = 0 }
}

/* kin__delayed_look */
inline look_at_delayed()
{
    if
    :: delayed ->
#ifndef WRONG_DELAY_CLEARED
       delayed = 0;
#endif
       atomic { !desk -> desk = 1 };
       i = 0;
       do
       :: i < RECORDS ->
          atomic {
              if
              :: work[i] == DELAYED -> work[i] = QUEUED; to = 1
              :: else
              fi
          };
          if
          :: to -> to = 0; post(i, v)
          :: else
          fi;
          i++
       :: i == RECORDS -> break
       od;
       i = 0;
#ifdef WRONG_DELAY_CLEARED
       delayed = 0;
#endif
       desk = 0
    :: !delayed
    fi
}

active proctype warden()
{
    byte w, i, to, v, top, top_gen;
    bit top_doomed;
again:
#ifndef WRONG_CALLS_LATE
    called = 0;
#endif
    w = 0;
    do
    :: w < WORKERS ->
       evict(w);
       if
       :: ended[w] -> bury(w)
       :: !ended[w]
       fi;
       w++
    :: w == WORKERS -> break
    od;
    w = 0;
    look_at_delayed();
#ifdef WRONG_CALLS_LATE
    called = 0;
#endif
    warden_sleeps = 1;
    if
    :: atomic { !called -> warden_sleeper = 1 }
    :: called
    fi;
end_asleep:
    if
    :: !warden_sleeper
    fi;
    warden_sleeps = 0;
    goto again
}

/* ---- the maker -------------------------------------------------------------------------------------------- */

inline submit(r)
{
    atomic { !desk -> desk = 1 };
    atomic { /* fill, queue */
        assert(work[r] == FREE);
        gen[r]++;
        work[r] = QUEUED;
        seat[r] = NO_SEAT;
        wants[r] = 0;
        attempts[r] = 0;
        barred[r] = 0;
        spoilt[r] = 0
    };
    post(r, v);
    desk = 0
}

/* cancel in submit.c */
inline cancel(r)
{
    do
    :: FINISHED(work[r]) -> break
    :: else ->
       atomic { before = work[r]; by = seat[r] };
       if
       :: FINISHED(before) -> break
       :: else
       fi;
#ifdef WRONG_CANCEL
       atomic {
           work[r] = CANCELED;
           seat[r] = (before == RUNNING -> by : NO_SEAT);
           barred[r] = (before == QUEUED && spoilt[r] == 0)
       };
#else
       atomic {
           if
           :: work[r] == before && seat[r] == by ->
              work[r] = CANCELED;
              seat[r] = (before == RUNNING -> by : NO_SEAT);
              barred[r] = (before == QUEUED)
           :: else -> before = NONE
           fi
       };
#endif
       if
       :: before == RUNNING ->
#ifndef WRONG_EVICT_UNTOLD
          call_warden();
#endif
          break
       :: before == NONE
       :: else -> break
       fi
    od;
    atomic { before = 0; by = 0 }
}

/* kin_result_wait */
inline await(r)
{
#ifndef WRONG_WANTS_LATE
    wants[r] = 1;
#endif
    do
    :: FINISHED(work[r]) -> break
    :: atomic { !FINISHED(work[r]) -> before = work[r]; by = seat[r] };
#ifdef WRONG_WANTS_LATE
       wants[r] = 1;
       maker_on = r;
       maker_sleeper = 1;
#else
       atomic {
           if
           :: work[r] == before && seat[r] == by -> maker_on = r; maker_sleeper = 1
           :: else
           fi
       };
#endif
       if
       :: !maker_sleeper
       fi
    od;
    atomic { before = 0; by = 0 }
}

inline check_finished(r)
{
    atomic {
        assert(FINISHED(work[r])); /* R1 */
        assert(!was_canceled || work[r] == CANCELED);
        assert(work[r] != DONE || output[r] == gen[r]);
        assert(work[r] != FAILED || spoilt[r] > RETRIES)
    }
}

/* kin_result_free: it is used again when its worker no longer writes to it. */
inline set_free(r)
{
#ifndef WRONG_REUSED
    if
    :: seat[r] == NO_SEAT || task[seat[r]] != r || task_gen[seat[r]] != gen[r]
    fi;
#endif
    atomic { work[r] = FREE; seat[r] = NO_SEAT }
}

active proctype maker()
{
    byte k, round, before, by, v;
    bit was_canceled;
    do
    :: round < ROUNDS ->
       do
       :: k < RECORDS -> submit(k); k++
       :: k == RECORDS -> break
       od;
       k = 0;
       do
       :: k < RECORDS ->
          was_canceled = 0;
          if
          :: atomic { cancels_left > 0 -> cancels_left-- };
             cancel(k);
             was_canceled = (work[k] == CANCELED)
          :: true
          fi;
          await(k);
          check_finished(k);
          set_free(k);
          k++
       :: k == RECORDS -> break
       od;
       k = 0;
       round++
    :: round == ROUNDS -> break
    od;
    over = 1
}
