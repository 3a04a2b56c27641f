/*
 * broadcast.pml - a broadcast (src/message: broadcast.c, broadcast_write.c, broadcast_read.c) as a model for spin.
 *
 * One writer, readers that join, read until the end or not so long, and leave. Each message lies in a block, as large ones do. All of them may be killed
 * before each of their steps, also in the gate. S lives: it recovers the dead, closes the broadcast once the writer has ended and all is read (so that
 * the close's wake makes good for no other) and, when all have gone, mends what is left and frees what is kept.
 *
 * How it stands for the code. Each access to floor, tail, a position, an owner, a record, offered, kept and an event's words is a step of
 * its own, and a copy of a message has a beginning and an end; a transaction of the journal is one step, and so is recovery of what a dead one had in the
 * heap. A futex wait is a step that compares and goes to sleep, a wake wakes all that sleep there. After each recovery a sleeper looks
 * again once (W2 of wait.h); whatever else is lost is lost for good. Names are the code's.
 *
 * What is checked
 *   B1 and B3 of broadcast_shared.h; a reader reads each message from where it joined on, whole, once and in order, and where it has
 *   missed some it knows how many; what was written before the end is read before the end is told; a block is never freed twice nor copied
 *   when free (but where that is noticed), and at the end none is left. Nobody waits for ever, the writer for no dead reader either.
 *
 * Not modelled: messages in the ring itself and SKIPs, timeouts, sleeping for the gate (queue.pml), weaker orders (the fences of
 * kin__broadcast_drop and untouched; gate.h).
 *
 * Parameters: READERS, MESSAGES, SIZE of the ring in messages, DEATHS; SLOW: 0 WAIT, 1 DROP, 2 CUT.
 *
 *   check    one_reader        short   cycles  -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   check    one_drops         short   cycles  -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=1
 *   check    one_cuts          short   cycles  -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=2
 *   check    two_readers       long    -DREADERS=2 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   check    two_drop          long    -DREADERS=2 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=1
 *   check    three_messages    long    -DREADERS=1 -DMESSAGES=3 -DSIZE=2 -DDEATHS=2 -DSLOW=0
 *   check    three_drop        long    -DREADERS=1 -DMESSAGES=3 -DSIZE=2 -DDEATHS=2 -DSLOW=1
 *
 *   mistake  tail_early        short   the message is in before it is written               -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  position_early    short   a reader moves on before it has copied               -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  room_untold       short   a reader that moves on tells nobody                  -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  leave_untold      short   who leaves tells nobody                              -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  items_untold      short   a write tells nobody                                 -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  wake_one          short   a write wakes one reader only                        -DREADERS=2 -DMESSAGES=1 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  writer_looks_early short  the writer looks before it says that it sleeps       -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  reader_looks_early short  a reader looks before it says that it sleeps         -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  over_late         short   whether it is over is asked after the last look      -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   mistake  dead_in_the_way   short   a dead reader counts                                 -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   mistake  living_cleared    short   a reader that lives is taken for dead                -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=0
 *   mistake  no_mend           short   who takes the gate over mends nothing                -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   mistake  offered_alone     short   offered and moved change in two steps                -DREADERS=1 -DMESSAGES=1 -DSIZE=1 -DDEATHS=1 -DSLOW=0
 *   mistake  unkept            short   a block goes out without kept                        -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=1
 *   mistake  kept_blindly      short   who mends frees a kept block that is not out         -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=1 -DSLOW=1
 *   mistake  floor_late        short   a block is freed before floor passes it              -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=1
 *   mistake  untouched_first   short   a reader asks whether all was there before it copies -DREADERS=1 -DMESSAGES=2 -DSIZE=1 -DDEATHS=0 -DSLOW=1
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef SIZE
#define SIZE 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SLOW
#define SLOW 0
#endif
#define WAIT 0
#define DROP 1
#define CUT 2

/* members: the writer, readers from 1 on, S */
#define W 0
#define MEMBERS (READERS + 1)
#define S MEMBERS

#define ITEMS 0
#define ROOM 1
#define NOWHERE 9

/* ---- the broadcast ------------------------------------------------------------------------------------ */

byte gate; /* member + 1; 0: nobody */
byte asleep[2];
byte signal[2];
byte floor, tail;
byte ring[SIZE]; /* message + 1 */
byte offered, offered_at, kept, kept_at;
byte gone; /* number after the last that floor has passed */
bit closed;
bit owner[MEMBERS + 1]; /* a reader's slot is taken */
bit cut[MEMBERS + 1];
byte position[MEMBERS + 1];

/* ---- the heap, the kernel ----------------------------------------------------------------------------- */

byte block[MESSAGES]; /* 0: none yet, 1: in use, 2: freed */
byte moved;           /* the writer's block on its way in: message + 1 */
bit alive[MEMBERS + 1];
bit recovered[MEMBERS + 1];
byte recoveries;
byte at[MEMBERS + 1]; /* the event that it sleeps at, or NOWHERE */

/* ---- of the model alone ------------------------------------------------------------------------------- */

byte deaths_left = DEATHS;
byte ended, died;
bit writer_ended;

#define STEP if ::
#define OR_DIES :: atomic { me != S && deaths_left > 0 -> deaths_left--; goto dies } fi

inline free_block(message)
{
    assert(block[message - 1] == 1);
    block[message - 1] = 2
}

/* kin__member_recover */
inline recover(who)
{
    STEP atomic {
        if
        :: !recovered[who] ->
           if
           :: who == W && moved -> free_block(moved); moved = 0
           :: else
           fi;
           recovered[who] = 1;
           recoveries++
        :: else
        fi
    } OR_DIES
}

/* ---- events ------------------------------------------------------------------------------------------- */

inline prepare(event)
{
    STEP seen = signal[event] OR_DIES;
    STEP asleep[event] = 1 OR_DIES
}

inline sleep(event)
{
    STEP atomic {
        if
        :: signal[event] == seen -> at[me] = event
        :: else
        fi
    } OR_DIES;
    if
    :: at[me] == NOWHERE
    :: atomic { at[me] != NOWHERE && looked < recoveries -> looked = recoveries; at[me] = NOWHERE }
    :: atomic { me != S && deaths_left > 0 -> deaths_left--; goto dies }
    fi
}

/* kin__event_wake of all; with `one`: of one */
inline wake(event, one)
{
    STEP asleep[event] = 0 OR_DIES;
    STEP atomic {
        signal[event] = (signal[event] + 1) % 16;
        m = 0;
        do
        :: m < MEMBERS && at[m] == event ->
           at[m] = NOWHERE;
           if
           :: one -> break
           :: else -> m++
           fi
        :: m < MEMBERS && at[m] != event -> m++
        :: m == MEMBERS -> break
        od;
        m = 0
    } OR_DIES
}

inline tell(event)
{
    STEP sleepers = asleep[event] OR_DIES;
    if
    :: sleepers ->
#ifdef WRONG_WAKE_ONE
       wake(event, 1)
#else
       wake(event, 0)
#endif
    :: else
    fi;
    sleepers = 0
}

/* ---- the gate: who waits for it is woken in time (queue.pml) --------------------------------------------- */

/* mend(): what is read, then what is done */
inline mend()
{
    STEP atomic { what = offered; out = tail != offered_at } OR_DIES;
    if
    :: what && !out -> STEP atomic { free_block(what); offered = 0 } OR_DIES
    :: else -> STEP offered = 0 OR_DIES
    fi;
    STEP atomic { what = kept; out = floor != kept_at } OR_DIES;
    if
#ifdef WRONG_KEPT_BLINDLY
    :: what -> STEP atomic { free_block(what); kept = 0 } OR_DIES
#else
    :: what && out -> STEP atomic { free_block(what); kept = 0 } OR_DIES
#endif
    :: else -> STEP kept = 0 OR_DIES
    fi;
    what = 0;
    out = 0
}

inline acquire()
{
    do
    :: atomic { gate == 0 -> gate = me + 1; break }
    :: atomic { gate != 0 && !alive[gate - 1] && !recovered[gate - 1] -> who = gate };
       recover(who - 1);
       who = 0
    :: atomic { gate != 0 && !alive[gate - 1] && recovered[gate - 1] -> gate = me + 1; mending = 1; break }
    :: atomic { me != S && deaths_left > 0 -> deaths_left--; goto dies }
    od;
    if
    :: mending ->
#ifndef WRONG_NO_MEND
       mend();
#endif
       mending = 0
    :: else
    fi
}

inline release()
{
    STEP atomic { assert(gate == me + 1); gate = 0 } OR_DIES
}

/* kin__broadcast_drop */
inline drop()
{
    what = ring[floor % SIZE];
    assert(what && floor < tail);
#ifndef WRONG_UNKEPT
    STEP kept_at = floor OR_DIES;
    STEP kept = what OR_DIES;
#endif
    STEP gone = what OR_DIES;
#ifdef WRONG_FLOOR_LATE
    STEP atomic { free_block(what); kept = 0 } OR_DIES;
    STEP floor = floor + 1 OR_DIES;
#else
    STEP floor = floor + 1 OR_DIES;
    STEP atomic { free_block(what); kept = 0 } OR_DIES;
#endif
    what = 0
}

/* ---- who writes --------------------------------------------------------------------------------------- */

/* Whether a reader that counts stands at floor still, one look a reader; it goes to `who`, + 1. */
inline look_for_slow()
{
    who = 0;
    n = 1;
    do
    :: n < MEMBERS ->
       STEP atomic {
           if
           :: owner[n] && !cut[n] && position[n] <= floor -> who = n + 1
           :: else
           fi
       } OR_DIES;
       if
       :: who -> break
       :: else -> n++
       fi
    :: else -> break
    od;
    n = 0
}

/* Each reader that stands in the way and is dead, or with CUT, does so no more; `cleared` if there was one. */
inline clear_the_way()
{
    cleared = 0;
    n = 1;
    do
    :: n < MEMBERS ->
       STEP out = owner[n] && !cut[n] && position[n] <= floor OR_DIES;
       if
#ifdef WRONG_LIVING_CLEARED
       :: out -> owner[n] = 0; cleared = 1
#else
#ifndef WRONG_DEAD_IN_THE_WAY
       :: out && !alive[n] -> /* kin__reader_gone */
          recover(n);
          STEP owner[n] = 0 OR_DIES;
          cleared = 1
#endif
       :: out && alive[n] && SLOW == CUT -> STEP cut[n] = 1 OR_DIES; cleared = 1
#ifdef WRONG_DEAD_IN_THE_WAY
       :: out && SLOW == WAIT
#else
       :: out && alive[n] && SLOW == WAIT
#endif
#endif
       :: !out
       fi;
       n++
    :: else -> break
    od;
    out = 0;
    n = 0
}

/* Under the gate before and after. */
inline make_room()
{
    do
    :: tail - floor < SIZE -> break
    :: else ->
       look_for_slow();
       if
       :: SLOW == DROP || !who -> who = 0; drop()
       :: SLOW != DROP && who ->
          who = 0;
          clear_the_way();
          if
          :: cleared -> cleared = 0
          :: else ->
             release();
#ifdef WRONG_WRITER_LOOKS_EARLY
             look_for_slow();
             prepare(ROOM);
#else
             prepare(ROOM);
             look_for_slow(); /* await_readers */
#endif
             if
             :: who -> who = 0; sleep(ROOM)
             :: else
             fi;
             acquire()
          fi
       fi
    od
}

inline publish()
{
#ifdef WRONG_TAIL_EARLY
    STEP tail = tail + 1 OR_DIES;
    STEP ring[(tail - 1) % SIZE] = number + 1 OR_DIES;
    STEP atomic { moved = 0; offered = 0 } OR_DIES
#else
    STEP ring[tail % SIZE] = number + 1 OR_DIES;
    STEP offered_at = tail OR_DIES;
#ifdef WRONG_OFFERED_ALONE
    STEP moved = 0 OR_DIES;
    STEP offered = number + 1 OR_DIES;
#else
    STEP atomic { moved = 0; offered = number + 1 } OR_DIES;
#endif
    STEP tail = tail + 1 OR_DIES;
    assert(tail - floor <= SIZE); /* B1 */
    STEP offered = 0 OR_DIES
#endif
}

proctype writer()
{
    byte me = W, number, seen, m, n, who, what, looked;
    bit mending, out, sleepers, cleared;

    do
    :: number < MESSAGES ->
       STEP atomic { block[number] = 1; moved = number + 1 } OR_DIES;
       acquire();
       make_room();
       publish();
       release();
#ifndef WRONG_ITEMS_UNTOLD
       tell(ITEMS);
#endif
       number++
    :: else -> break
    od;
    atomic { writer_ended = 1; ended++; goto over };
dies:
    atomic { alive[W] = 0; at[W] = NOWHERE; died++; writer_ended = 1; ended++ };
over:
    skip
}

/* ---- who reads ---------------------------------------------------------------------------------------- */

/* await(): until there is something, or it is over */
inline await()
{
    do
    :: STEP out = tail != position[me] OR_DIES;
       if
       :: out -> break
       :: else
       fi;
#ifdef WRONG_READER_LOOKS_EARLY
       STEP is_over = closed || !alive[W] OR_DIES;
       STEP out = tail != position[me] OR_DIES;
       prepare(ITEMS);
#else
       prepare(ITEMS);
#ifdef WRONG_OVER_LATE
       STEP out = tail != position[me] OR_DIES;
       STEP is_over = closed || !alive[W] OR_DIES;
#else
       STEP is_over = closed || !alive[W] OR_DIES;
       STEP out = tail != position[me] OR_DIES;
#endif
#endif
       if
       :: is_over && !alive[W] -> recover(W)
       :: else
       fi;
       if
       :: out -> break
       :: !out && is_over -> break
       :: else -> sleep(ITEMS)
       fi
    od;
    is_over = 0;
    seen = 0
}

/* A copy has a beginning and an end; `torn` says that it was not all there. */
inline copy()
{
    STEP torn = !message || block[message - 1] != 1 OR_DIES;
    STEP torn = torn || !message || block[message - 1] != 1 OR_DIES
}

inline move_on()
{
    STEP position[me] = place + 1 OR_DIES;
#ifndef WRONG_ROOM_UNTOLD
    tell(ROOM)
#endif
}

proctype reader(byte me)
{
    byte message, sequence, place, seen, m, n, who, what, looked;
    bit mending, out, sleepers, is_over, torn, there;

    acquire();
    sequence = tail;
    STEP position[me] = tail OR_DIES;
    STEP owner[me] = 1 OR_DIES;
    release();
    do
    :: STEP out = cut[me] OR_DIES;
       if
       :: out -> assert(SLOW == CUT); break
       :: !out
       :: !out -> break /* it leaves before the end */
       fi;
       await();
       if
       :: !out -> /* over: all is read, or what is missing was passed by floor */
          assert(sequence == tail || (SLOW != WAIT && gone > sequence));
          break
       :: else
       fi;
       place = position[me];
       STEP message = ring[place % SIZE] OR_DIES;
#if SLOW == WAIT
#ifdef WRONG_POSITION_EARLY
       move_on();
       copy();
       assert(!torn && message == place + 1);
#else
       copy();
       assert(!torn && message == place + 1);
       move_on();
#endif
       sequence = message
#else
#ifdef WRONG_UNTOUCHED_FIRST
       STEP there = floor <= place OR_DIES;
       copy();
#else
       copy();
       STEP there = floor <= place OR_DIES;
#endif
       if
       :: there ->
          assert(!torn && message == place + 1);
          assert(message > sequence); /* those between are told as missed */
          sequence = message;
          move_on()
       :: else ->
          STEP place = floor OR_DIES; /* on to the oldest that is kept */
          STEP position[me] = place OR_DIES;
          tell(ROOM)
       fi;
       there = 0
#endif
       ;
       out = 0;
       torn = 0;
       message = 0;
       place = 0
    od;
    STEP owner[me] = 0 OR_DIES; /* kin_reader_leave */
#ifndef WRONG_LEAVE_UNTOLD
    tell(ROOM);
#endif
    atomic { ended++; goto over };
dies:
    atomic { alive[me] = 0; at[me] = NOWHERE; died++; ended++ };
over:
    skip
}

/* ---- S ------------------------------------------------------------------------------------------------ */

inline recover_the_dead()
{
    m = 0;
    do
    :: m < MEMBERS && !alive[m] && !recovered[m] -> recover(m); m++
    :: m < MEMBERS && (alive[m] || recovered[m]) -> m++
    :: else -> break
    od;
    m = 0
}

inline wait_until(condition)
{
    do
    :: condition -> break
    :: !(condition) && recoveries < died -> recover_the_dead()
    od
}

/* What a close would make good for: it wakes all. */
#define has_read(reader) (!alive[reader] || !owner[reader] || cut[reader] || position[reader] == tail)
#if READERS == 1
#define all_have_read has_read(1)
#else
#define all_have_read (has_read(1) && has_read(2))
#endif

active proctype survivor()
{
    byte me = S, m, who, what;
    bit mending, out, sleepers;

    atomic {
        alive[S] = 1;
        at[S] = NOWHERE;
        m = 0;
        do
        :: m < MEMBERS ->
           alive[m] = 1;
           at[m] = NOWHERE;
           if
           :: m == W -> run writer()
           :: else -> run reader(m)
           fi;
           m++
        :: else -> break
        od;
        m = 0
    };
    wait_until(writer_ended && (!alive[W] || all_have_read));
    if
    :: alive[W] -> /* kin_broadcast_close */
       acquire();
       closed = 1;
       release();
       wake(ITEMS, 0);
       wake(ROOM, 0)
    :: else /* the readers find out by themselves */
    fi;
    wait_until(ended == MEMBERS);
    recover_the_dead();
    acquire();
    assert(!offered && !kept); /* B3 */
    do
    :: floor != tail -> drop()
    :: else -> break
    od;
    release();
    d_step {
        m = 0;
        do
        :: m < MESSAGES -> assert(block[m] != 1); m++
        :: else -> break
        od
    };
dies:
    skip
}
