/*
 * condition.pml - a condition and its lock (src/sync: condition.c, mutex.c, and W2 of wait.c) as a model for spin.
 *
 * Waiters take an item each; if there is none they wait at the condition. The maker S makes as many items as there are
 * waiters, each when the last one was taken (EAGER: at once), so that no later one makes good for it, and notifies one for each. Waiters may be killed before each of their steps. The guardian G of
 * S's process recovers them; R does, too, and may be killed in the middle of that. Whoever lives has to get its item: a
 * notification or a wake that is lost is a state in which nobody can go on.
 *
 * How it stands for the code. Each access to the lock's word, to a note, to the condition's bits is a step of its own; steps of one
 * kind of access by its only user are joined. A futex wait is a step that compares and goes to sleep. Who sleeps looks again
 * by himself (W1) only where the lock's owner has died: one who has just seen it alive may miss the recovery's wake.
 * Whatever else is lost is lost for good. Names are the code's.
 *
 * What is checked
 *   L1 of mutex.h: one has the lock; who takes it from a dead one is the only one to do so; what it guards is used by its
 *   owner only. C1, C2 of condition.c: every item made while somebody waits gets to one who lives (no deadlock), unless its
 *   taker died with the lock: the next owner, S, is told, and notifies again. At the end
 *   nobody is left at the condition, and every item is there or was taken.
 *
 * Not modelled: slots that are used again, a maker that dies (the next owner is told, and notifies by itself), an rlock's
 * depth, weaker orders. Who finds an owner dead in the code recovers it if nobody else does; here that is left to G and R.
 *
 * Parameters: WAITERS; DEATHS, how many are killed; TIMEOUTS, how often a wait is over in time; HELP: whether there is an R; EAGER.
 *
 *   check    two_waiters            short   cycles  -DWAITERS=2 -DDEATHS=1
 *   check    eager_maker            long    -DWAITERS=2 -DDEATHS=1 -DEAGER=1
 *   check    one_times_out          long    -DWAITERS=2 -DDEATHS=1 -DTIMEOUTS=1
 *   check    recoverer_is_killed    long    -DWAITERS=2 -DDEATHS=2 -DHELP=1
 *   check    two_die                long    -DWAITERS=2 -DDEATHS=2 -DTIMEOUTS=1
 *   check    three_waiters          long    -DWAITERS=3 -DDEATHS=0
 *
 *   mistake  dropped        short   recovery does not pass a notification on                -DWAITERS=2 -DDEATHS=1
 *   mistake  leave_early    short   a waiter drops its note before it has the lock          -DWAITERS=2 -DDEATHS=1
 *   mistake  enter_late     short   a waiter gives the lock up before it waits              -DWAITERS=2 -DDEATHS=0
 *   mistake  bit_late       short   a waiter sets its bit after it gave up the lock         -DWAITERS=2 -DDEATHS=0
 *   mistake  notify_store   long    a note is changed by a store                            -DWAITERS=2 -DDEATHS=0 -DTIMEOUTS=1
 *   mistake  timeout_store  long    who gives up stores so, though it was just notified     -DWAITERS=2 -DDEATHS=0 -DTIMEOUTS=1
 *   mistake  recover_store  long    recovery stores that the dead waits no more             -DWAITERS=2 -DDEATHS=1
 *   mistake  dead_counts    long    a notification of one that is gone is nobody's          -DWAITERS=2 -DDEATHS=1
 *   mistake  unwoken        short   recovery wakes nobody (W2)                              -DWAITERS=2 -DDEATHS=1
 *   mistake  slept          short   who has slept takes the lock as if nobody else did      -DWAITERS=2 -DDEATHS=0
 *   mistake  bit_forgotten  short   who takes the lock forgets that others sleep            -DWAITERS=2 -DDEATHS=0
 *   mistake  takeover       long    the lock of the dead is taken by a store                -DWAITERS=2 -DDEATHS=1
 *   mistake  wake_early     long    a release wakes before it releases                      -DWAITERS=2 -DDEATHS=0
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0
#endif
#ifndef EAGER
#define EAGER 0
#endif
#ifndef HELP
#define HELP 0
#endif

/* Waiters are 1 to WAITERS. */
#define S (WAITERS + 1)
#define G (WAITERS + 2)
#define R (WAITERS + 3)
#define PROCESSES (WAITERS + 4)

#define NONE 0
#define WAITING 1
#define NOTIFIED 2
#define STATE(n) ((n) % 4)
#define NUMBER(n) ((n) - STATE(n))

#define AWAKE 0
#define ON_LOCK 1
#define ON_NOTE 2

/* ---- shared memory ----------------------------------------------------------------------------- */

byte owner;              /* the lock's word: 0, it is free; and */
bit sleepers;
byte note[PROCESSES];
byte ticket[PROCESSES];
byte tickets;
bit waiting[PROCESSES];
bit at_condition[PROCESSES];
byte items;              /* guarded by the lock */
bit gone[PROCESSES];     /* the name is */
bit released[PROCESSES]; /* the slot is */
byte life[PROCESSES];    /* the recoverer; 0: none */

/* ---- the kernel -------------------------------------------------------------------------------- */

bit dead[PROCESSES];
byte sleeps[PROCESSES];

/* ---- of the model alone ------------------------------------------------------------------------- */

byte deaths_left = DEATHS;
byte timeouts_left = TIMEOUTS;
byte taken;
byte over; /* waiters that have ended or died */

#define STEP if ::
#define OR_DIES :: atomic { me != S && me != G && deaths_left > 0 -> deaths_left--; goto dies } fi

#define WAKES(x) :: (x) <= S && sleeps[x] == ON_LOCK -> sleeps[x] = AWAKE

/* One of those that sleep on the lock, any. */
inline wake_lock()
{
    if
    WAKES(1)
    WAKES(2)
    WAKES(3)
#if WAITERS > 2
    WAKES(4)
#endif
    :: else
    fi
}

/* ---- mutex.c ------------------------------------------------------------------------------------- */

/* kin__mutex_try, kin__mutex_wait without limit */
inline acquire()
{
    slept = 0;
    got = 0;
    do
    :: got -> break
    :: else ->
       STEP atomic { seen = owner; seen_bit = sleepers } OR_DIES;
       if
       :: seen == 0 || gone[seen] ->
          STEP atomic {
              if
#ifdef WRONG_TAKEOVER
              :: gone[seen] || (owner == seen && sleepers == seen_bit) ->
#else
              :: owner == seen && sleepers == seen_bit ->
#endif
                 assert(owner == 0 || dead[owner]); /* L1 */
                 owner = me;
                 got = 1;
#ifdef WRONG_SLEPT
                 sleepers = seen_bit
#elif defined(WRONG_BIT_FORGOTTEN)
                 sleepers = 0
#else
                 sleepers = seen_bit || slept
#endif
              :: else
              fi
          } OR_DIES
       :: else ->
          got = seen_bit;
          if
          :: !got ->
             STEP atomic {
                 if
                 :: owner == seen && !sleepers -> sleepers = 1; got = 1
                 :: else
                 fi
             } OR_DIES
          :: else
          fi;
          if
          :: got ->
             got = 0;
             slept = 1;
             STEP atomic {
                 if
                 :: owner == seen && sleepers -> sleeps[me] = ON_LOCK
                 :: else
                 fi
             } OR_DIES;
             STEP sleeps[me] == AWAKE
             :: atomic { sleeps[me] == ON_LOCK && owner && gone[owner] -> sleeps[me] = AWAKE } /* W1 */
             OR_DIES
          :: else
          fi
       fi
    od;
    slept = 0; got = 0; seen = 0; seen_bit = 0
}

inline release()
{
#ifdef WRONG_WAKE_EARLY
    STEP atomic { if :: sleepers -> wake_lock() :: else fi } OR_DIES;
    STEP atomic { owner = 0; sleepers = 0 } OR_DIES;
#else
    STEP atomic {
        assert(owner == me);
        had = sleepers;
        owner = 0;
        sleepers = 0
    } OR_DIES;
    if
    :: had -> STEP atomic { wake_lock() } OR_DIES
    :: else
    fi;
    had = 0
#endif
}

/* ---- condition.c ---------------------------------------------------------------------------------- */

inline set_note()
{
    STEP atomic { at_condition[me] = 1; ticket[me] = tickets; tickets++ } OR_DIES;
    STEP note[me] = mine + WAITING OR_DIES
}

inline set_bit()
{
    STEP waiting[me] = 1 OR_DIES
}

inline leave_all()
{
    STEP note[me] = NUMBER(note[me]) OR_DIES;
    STEP waiting[me] = 0 OR_DIES;
    STEP at_condition[me] = 0 OR_DIES
}

inline await_note()
{
    do
    :: STEP mine + WAITING != note[me] -> break
       :: atomic { mine + WAITING == note[me] -> sleeps[me] = ON_NOTE }
       :: atomic {
           timeouts_left > 0 -> timeouts_left--; had = 1
       }
       OR_DIES;
       if
       :: had ->
          had = 0;
#ifdef WRONG_TIMEOUT_STORE
          STEP note[me] = mine OR_DIES;
          timed = 1;
#else
          STEP atomic {
              if
              :: note[me] == mine + WAITING -> note[me] = mine; timed = 1
              :: else
              fi
          } OR_DIES;
#endif
          break
       :: else -> STEP sleeps[me] == AWAKE OR_DIES
       fi
    od
}

inline wait_here()
{
    mine = (NUMBER(note[me]) + 4) % 16;
#ifdef WRONG_ENTER_LATE
    release();
    set_note();
    set_bit();
#elif defined(WRONG_BIT_LATE)
    set_note();
    release();
    set_bit();
#else
    set_note();
    set_bit();
    release();
#endif
    await_note();
#ifdef WRONG_LEAVE_EARLY
    leave_all();
    acquire();
#else
    acquire();
    leave_all();
#endif
    mine = 0
}

/* The lowest ticket of those that wait, and its note: a pass over all, a step for each. */
inline first_waiter()
{
    first = 0;
    x = 1;
    do
    :: x <= WAITERS ->
       STEP atomic {
           if
           :: waiting[x] && STATE(note[x]) == WAITING && at_condition[x] &&
              (first == 0 || ticket[x] < ticket[first]) -> first = x; its = note[x]
           :: else
           fi
       } OR_DIES;
       x++
    :: else -> break
    od;
    x = 0
}

/* The CAS of its note, and the wake; in done. */
inline give_note()
{
    STEP atomic {
        if
#ifdef WRONG_NOTIFY_STORE
        :: true ->
#else
        :: note[first] == its ->
#endif
           note[first] = NUMBER(its) + NOTIFIED; done = 1
        :: else
        fi
    } OR_DIES;
    if
    :: done ->
       STEP atomic {
           if
           :: sleeps[first] == ON_NOTE -> sleeps[first] = AWAKE
           :: else
           fi
       } OR_DIES
    :: else
    fi
}

/* notify_one: `look` whether it lives. That it is recovered by who looks is a wait for G here. */
inline notify_one(look)
{
    done = 0;
    do
    :: done -> break
    :: else ->
       first_waiter();
       if
       :: first == 0 -> break
       :: else
       fi;
       had = 0;
       if
       :: look && dead[first] -> STEP atomic { gone[first] -> had = 1 } :: !gone[first] OR_DIES
       :: else
       fi;
       if
       :: had ->
          had = 0;
#ifdef WRONG_DEAD_COUNTS
          done = 1
#else
          STEP atomic {
              if
              :: note[first] == its -> note[first] = NUMBER(its)
              :: else
              fi
          } OR_DIES
#endif
       :: else -> give_note()
       fi
    od;
    done = 0; first = 0; its = 0
}

/* ---- recovery: kin__condition_recover, then its name and its slot go; W2 -------------------------- */

inline wake_all()
{
    STEP atomic {
        x = 1;
        do
        :: x <= S -> sleeps[x] = AWAKE; x++
        :: else -> break
        od;
        x = 0
    } OR_DIES
}

inline recover(p)
{
    if
    :: !gone[p] ->
       STEP its_note = note[p] OR_DIES;
       if
       :: STATE(its_note) == WAITING ->
#ifdef WRONG_RECOVER_STORE
          STEP note[p] = NUMBER(its_note) OR_DIES;
          its_note = NUMBER(its_note)
#else
          STEP atomic {
              if
              :: note[p] == its_note -> note[p] = NUMBER(its_note); its_note = note[p]
              :: else -> its_note = note[p]
              fi
          } OR_DIES
#endif
       :: else
       fi;
#ifndef WRONG_DROPPED
       if
       :: STATE(its_note) == NOTIFIED -> notify_one(0)
       :: else
       fi;
#endif
       STEP note[p] = NUMBER(note[p]) OR_DIES;
       STEP waiting[p] = 0 OR_DIES;
       STEP at_condition[p] = 0 OR_DIES;
       its_note = 0;
       STEP gone[p] = 1 OR_DIES
    :: else
    fi;
#ifndef WRONG_UNWOKEN
    wake_all();
#endif
    STEP released[p] = 1 OR_DIES
}

#define LEFT(p) (dead[p] && !released[p])
#define NONE_LEFT (!LEFT(1) && !LEFT(2) && (WAITERS < 3 || !LEFT(3)))
#define TO_RECOVER(p) (LEFT(p) && (life[p] == 0 || dead[life[p]]))

/* One who is dead, under its life lock. */
inline recover_one()
{
    STEP atomic { TO_RECOVER(1) -> victim = 1; life[1] = me }
    :: atomic { TO_RECOVER(2) -> victim = 2; life[2] = me }
#if WAITERS > 2
    :: atomic { TO_RECOVER(3) -> victim = 3; life[3] = me }
#endif
    :: over == WAITERS && NONE_LEFT
    OR_DIES;
    if
    :: victim ->
       recover(victim);
       STEP life[victim] = 0 OR_DIES
    :: else -> break
    fi;
    victim = 0
}

/* ---- the processes --------------------------------------------------------------------------------- */

proctype waiter(byte me)
{
    byte seen, mine;
    bit seen_bit, slept, got, had, timed;

    acquire();
    do
    :: STEP items == 0 && !timed :: items > 0 || timed -> break OR_DIES;
       wait_here()
    od;
    STEP atomic { /* who was not notified in time leaves without one */
        assert(owner == me);
        if
        :: timed
        :: else -> items--; taken++
        fi
    } OR_DIES;
    release();
    if
    :: false -> goto dies /* spin wants each label used */
    :: true -> goto ends
    fi;
dies:
    atomic { dead[me] = 1; sleeps[me] = AWAKE };
ends:
    atomic { over++; seen = 0; mine = 0; seen_bit = 0; slept = 0; got = 0; had = 0; timed = 0 }
}

proctype recoverer(byte me)
{
    byte x, first, its, its_note, victim;
    bit had, done;

    do
    :: recover_one()
    od;
    goto ends;
dies:
    dead[me] = 1;
ends:
    atomic { x = 0; first = 0; its = 0; its_note = 0; victim = 0; had = 0; done = 0 }
}

active proctype maker()
{
    byte me = S, made, x, first, its, seen;
    bit seen_bit, slept, got, had, done, told;

    atomic {
        made = 1;
        do
        :: made <= WAITERS -> run waiter(made); made++
        :: else -> break
        od;
        made = 0;
        run recoverer(G);
        if
        :: HELP -> run recoverer(R)
        :: else
        fi
    };
    do
    :: made < WAITERS || told ->
       acquire();
       atomic {
           assert(owner == S);
           if
           :: told
           :: else -> items++; made++
           fi;
           told = 0
       };
       notify_one(1);
       release();
#if !EAGER
       if
       :: items == 0 || over == WAITERS
       :: owner && gone[owner] && items > 0 -> told = 1
       fi
#endif
    :: else -> break
    od;
    over == WAITERS;
    /* All have ended; those that died are recovered. */
    NONE_LEFT;
    atomic {
        assert(items + taken == WAITERS);
        x = 1;
        do
        :: x <= WAITERS ->
           assert(!waiting[x] && !at_condition[x] && STATE(note[x]) == NONE);
           x++
        :: else -> break
        od;
        assert(owner == 0 || dead[owner])
    };
    if
    :: false -> goto dies
    :: true
    fi;
dies:
    skip
}
