/*
 * queue.pml - a queue (src/message: gate.c, put.c, get.c, mend.c) as a model for spin.
 *
 * Producers put messages, consumers get them until the queue is closed and empty. Each message lies in a block, as large ones do, so
 * that every hand-over is there: from its maker to the queue, from the queue to who gets it. Producers and consumers may be killed before each of
 * their steps, also while they mend what another one left. S lives: it recovers the dead, closes the queue when all producers
 * have ended and all is got (so that the close's wake makes good for no other), and gets itself when all consumers are dead.
 *
 * How it stands for the code. Each access to a gate's owner, to head, tail, offered, kept, to an event's words is a step of its own; a
 * transaction of the journal is one step, and so is recovery of what a dead one had in the heap. A futex wait is a step that compares and goes to sleep, a
 * wake wakes any one that sleeps there. After each recovery a sleeper looks again once (W1, W2 of wait.h); whatever else is lost is
 * lost for good. Names are the code's.
 *
 * What is checked
 *   G1 of gate.h; Q1, Q3, Q4 of queue_shared.h; a message is got whole, once, in the order of its producer; one whose put
 *   returned is lost in the hands of a dead consumer only; a block is never freed twice nor used when free, and at the end none
 *   is left. Nobody waits for ever.
 *
 * Not modelled: messages in the ring itself and SKIPs, growth, arenas, joinable and redelivering queues, counted producers, timeouts, weaker
 * orders (asymmetric fences: gate.h).
 *
 * Parameters: PRODUCERS, CONSUMERS, MESSAGES of each producer, MAXSIZE, DEATHS.
 *
 *   check    one_each              short   cycles  -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=2 -DMAXSIZE=1 -DDEATHS=1
 *   check    two_consumers         long    -DPRODUCERS=1 -DCONSUMERS=2 -DMESSAGES=1 -DMAXSIZE=2 -DDEATHS=0
 *   check    two_producers         long    -DPRODUCERS=2 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   check    two_consumers_die     long    -DPRODUCERS=1 -DCONSUMERS=2 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   check    mender_dies           long    -DPRODUCERS=2 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=2 -DDEATHS=2
 *
 *   variant  tell_inside           long    who puts tells before it releases the gate  -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=2 -DMAXSIZE=1 -DDEATHS=1
 *
 *   mistake  tail_early      short   the message is in before it is written            -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=0
 *   mistake  release_early   short   the gate is released before the message is in     -DPRODUCERS=2 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=2 -DDEATHS=0
 *   mistake  take_living     short   a gate is taken from one that lives               -DPRODUCERS=2 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=2 -DDEATHS=0
 *   mistake  no_mend         short   who takes a gate over mends nothing               -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  offered_at_late short   offered_at is written after offered               -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=2 -DMAXSIZE=2 -DDEATHS=1
 *   mistake  offered_alone   short   offered and moved change in two steps             -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  put_blindly     short   who mends a put frees the block though it is in   -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  get_blindly     short   who mends a get frees the block though it is not out  -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  unkept          short   a block goes out without kept                     -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  unlinked        short   recovery frees what the queue still names         -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=1
 *   mistake  untold          short   nobody is told of a message                       -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=0
 *   mistake  room_untold     short   nobody is told of room                            -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=2 -DMAXSIZE=1 -DDEATHS=0
 *   mistake  asleep_late     short   a sleeper looks before it says that it sleeps     -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=0
 *   mistake  gate_forgets    long    who slept for a gate does not speak for others    -DPRODUCERS=3 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=3 -DDEATHS=0
 *   mistake  close_silent    short   a close wakes nobody                              -DPRODUCERS=1 -DCONSUMERS=1 -DMESSAGES=1 -DMAXSIZE=1 -DDEATHS=0
 */
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef MESSAGES
#define MESSAGES 1
#endif
#ifndef MAXSIZE
#define MAXSIZE 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define MEMBERS (PRODUCERS + CONSUMERS)
#define S MEMBERS
#define ALL (PRODUCERS * MESSAGES)

/* gates, and the events of who waits for them; then the queue's */
#define PUT 0
#define GET 1
#define ITEMS 2
#define ROOM 3
#define NOWHERE 9

/* ---- the queue ----------------------------------------------------------------------------------- */

byte owner[2];    /* member + 1; 0: nobody */
byte asleep[4];
byte signal[4];
byte head, tail;
byte ring[ALL + 1]; /* message + 1 */
byte offered, offered_at, kept, kept_at; /* message + 1 */
bit closed;

/* ---- the heap --------------------------------------------------------------------------------------- */

byte block[ALL];        /* 0: none yet, 1: in use, 2: freed */
byte moved[MEMBERS + 1]; /* a thread's block on its way in: message + 1 */
byte open[MEMBERS + 1];  /* its OPEN intent, linked to kept */

/* ---- the kernel --------------------------------------------------------------------------------------- */

bit alive[MEMBERS + 1];
bit recovered[MEMBERS + 1];
byte recoveries;
byte at[MEMBERS + 1]; /* the event that it sleeps at, or NOWHERE */

/* ---- of the model alone ---------------------------------------------------------------------------------- */

byte deaths_left = DEATHS;
bit returned[ALL];
byte got[ALL];
byte last[PRODUCERS]; /* message + 1 that was got last */
byte ended;
byte producers_ended;
byte died, consumers_died;

#define STEP if ::
#define OR_DIES :: atomic { me != S && deaths_left > 0 -> deaths_left--; goto dies } fi

inline free_block(message)
{
    assert(block[message - 1] == 1);
    block[message - 1] = 2
}

/* kin__member_recover, with heap.c's finish */
inline recover(who)
{
    STEP atomic {
        if
        :: !recovered[who] ->
           if
           :: moved[who] -> free_block(moved[who])
           :: else
           fi;
           if
#ifdef WRONG_UNLINKED
           :: open[who] -> free_block(open[who])
#else
           :: open[who] && kept != open[who] -> free_block(open[who])
#endif
           :: else
           fi;
           moved[who] = 0;
           open[who] = 0;
           recovered[who] = 1;
           recoveries++
        :: else
        fi
    } OR_DIES
}

/* ---- events ------------------------------------------------------------------------------------------ */

inline prepare(event)
{
    STEP seen = signal[event] OR_DIES;
#ifndef WRONG_ASLEEP_LATE
    STEP asleep[event] = 1 OR_DIES
#endif
}

inline sleep(event)
{
#ifdef WRONG_ASLEEP_LATE
    STEP asleep[event] = 1 OR_DIES;
#endif
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

/* kin__event_wake with a count of 1 */
inline wake(event)
{
    STEP asleep[event] = 0 OR_DIES;
    STEP atomic {
        signal[event] = (signal[event] + 1) % 16;
        m = 0;
        do
        :: m < MEMBERS && at[m] == event -> at[m] = NOWHERE; break
        :: m < MEMBERS -> m++
        :: m == MEMBERS -> break
        od;
        /* any sleeper may be the one, but if there is one somebody is woken */
        if
        :: m == MEMBERS ->
           m = 0;
           do
           :: m < MEMBERS && at[m] == event -> at[m] = NOWHERE; break
           :: m < MEMBERS && at[m] != event -> m++
           :: m == MEMBERS -> break
           od
        :: else
        fi;
        m = 0
    } OR_DIES
}

inline tell(event)
{
    STEP sleepers = asleep[event] OR_DIES;
    if
    :: sleepers -> wake(event)
    :: else
    fi;
    sleepers = 0
}

/* ---- gates ------------------------------------------------------------------------------------------- */

/* kin__queue_mend_put, kin__queue_mend_get: what is read, then what is done */
inline mend(gate)
{
#ifdef WRONG_NO_MEND
    skip
#else
    if
    :: gate == PUT ->
       STEP atomic { what = offered; out = tail != offered_at } OR_DIES;
       if
#ifdef WRONG_PUT_BLINDLY
       :: what -> STEP atomic { free_block(what); offered = 0 } OR_DIES
#else
       :: what && !out -> STEP atomic { free_block(what); offered = 0 } OR_DIES
       :: what && out -> STEP offered = 0 OR_DIES
#endif
       :: else
       fi
    :: else ->
       STEP atomic { what = kept; out = head != kept_at } OR_DIES;
       if
#ifdef WRONG_GET_BLINDLY
       :: what -> STEP atomic { free_block(what); kept = 0 } OR_DIES
#else
       :: what && out -> STEP atomic { free_block(what); kept = 0 } OR_DIES
       :: what && !out -> STEP kept = 0 OR_DIES
#endif
       :: else
       fi
    fi;
    what = 0;
    out = 0
#endif
}

inline try_gate(gate)
{
    STEP atomic {
        if
        :: owner[gate] == 0 -> owner[gate] = me + 1; mine = 1
        :: else -> who = owner[gate]
        fi
    } OR_DIES
}

inline acquire(gate)
{
    mine = 0;
    slept = 0;
    do
    :: mine -> break
    :: else ->
       try_gate(gate);
       if
       :: mine
#ifdef WRONG_TAKE_LIVING
       :: !mine ->
#else
       :: !mine && !alive[who - 1] ->
          recover(who - 1);
#endif
          STEP atomic {
              if
              :: owner[gate] == who -> owner[gate] = me + 1; mine = 1; mending = 1
              :: else
              fi
          } OR_DIES;
          if
          :: mending -> mend(gate); mending = 0
          :: else
          fi
#ifndef WRONG_TAKE_LIVING
       :: !mine && alive[who - 1] ->
          prepare(gate);
          try_gate(gate);
          if
          :: mine
          :: else -> sleep(gate); slept = 1
          fi
#endif
       fi;
       who = 0
    od;
#ifndef WRONG_GATE_FORGETS
    if
    :: slept -> STEP asleep[gate] = 1 OR_DIES
    :: else
    fi;
#endif
    slept = 0;
    seen = 0
}

inline release(gate)
{
    STEP atomic { assert(owner[gate] == me + 1); owner[gate] = 0 } OR_DIES; /* G1 */
    mine = 0;
    tell(gate)
}

/* ---- who puts ------------------------------------------------------------------------------------------ */

/* make_room; under the gate before and after */
inline make_room()
{
    do
    :: STEP atomic { before = head; out = tail - head < MAXSIZE } OR_DIES;
       if
       :: out -> out = 0; break
       :: else
       fi;
       release(PUT);
       prepare(ROOM);
       STEP out = head != before OR_DIES;
       if
       :: !out -> sleep(ROOM)
       :: else
       fi;
       out = 0;
       acquire(PUT);
       STEP asleep[ROOM] = 1 OR_DIES; /* speak_for_others */
       STEP out = tail - head + 1 < MAXSIZE OR_DIES;
       if
       :: out -> wake(ROOM)
       :: else
       fi;
       out = 0
    od;
    before = 0
}

inline publish()
{
#ifdef WRONG_TAIL_EARLY
    STEP tail = before + 1 OR_DIES;
    STEP ring[before] = message + 1 OR_DIES
#else
    STEP ring[before] = message + 1 OR_DIES;
    STEP tail = before + 1 OR_DIES
#endif
}

proctype producer(byte me)
{
    byte n, message, seen, m, who, what, before, looked;
    bit mine, slept, mending, out, sleepers;

    do
    :: n < MESSAGES ->
       message = me * MESSAGES + n;
       STEP atomic { block[message] = 1; moved[me] = message + 1 } OR_DIES;
       acquire(PUT);
       make_room();
       before = tail;
#ifndef WRONG_OFFERED_AT_LATE
       STEP offered_at = tail OR_DIES;
#endif
#ifdef WRONG_OFFERED_ALONE
       STEP offered = message + 1 OR_DIES;
       STEP moved[me] = 0 OR_DIES;
#else
       STEP atomic { moved[me] = 0; offered = message + 1 } OR_DIES;
#endif
#ifdef WRONG_OFFERED_AT_LATE
       STEP offered_at = tail OR_DIES;
#endif
#ifdef WRONG_RELEASE_EARLY
       STEP offered = 0 OR_DIES;
       release(PUT);
       publish();
#else
       publish();
       STEP offered = 0 OR_DIES;
#ifdef TELL_INSIDE
       tell(ITEMS);
#endif
       release(PUT);
#endif
       before = 0;
#if !defined WRONG_UNTOLD && !defined TELL_INSIDE
       tell(ITEMS);
#endif
       returned[message] = 1;
       n++
    :: else -> break
    od;
    atomic { producers_ended++; ended++; goto over };
dies:
    atomic { alive[me] = 0; at[me] = NOWHERE; died++; producers_ended++; ended++ };
over:
    skip
}

/* ---- who gets ------------------------------------------------------------------------------------------- */

/* The block is copied out, and freed: kin__queue_get_copy. */
inline copy_out()
{
    STEP atomic {
        assert(message && block[message - 1] == 1);
        got[message - 1]++;
        assert(got[message - 1] == 1)
    } OR_DIES;
    STEP atomic { free_block(message); open[me] = 0 } OR_DIES;
    message = 0
}

/* Under the get gate, with a message there; tail_seen is in `before`. */
inline get_it()
{
    message = ring[head];
    assert(message); /* Q1 */
    STEP kept_at = head OR_DIES;
#ifndef WRONG_UNKEPT
    STEP kept = message OR_DIES;
#endif
    STEP open[me] = message OR_DIES;
    STEP atomic {
        assert(last[(message - 1) / MESSAGES] < message); /* the order of its producer */
        last[(message - 1) / MESSAGES] = message;
        head = head + 1;
        out = head != before
    } OR_DIES;
    STEP kept = 0 OR_DIES;
    release(GET);
#ifndef WRONG_ROOM_UNTOLD
    tell(ROOM);
#endif
    if
    :: out -> tell(ITEMS)
    :: else
    fi;
    out = 0;
    copy_out()
}

proctype consumer(byte me)
{
    byte message, seen, m, who, what, before, looked;
    bit mine, slept, mending, out, sleepers, is_closed, went;

    do
    :: acquire(GET);
       if
       :: went -> STEP asleep[ITEMS] = 1 OR_DIES; went = 0 /* speak_for_others */
       :: else
       fi;
       STEP is_closed = closed OR_DIES;
       STEP before = tail OR_DIES;
       if
       :: before != head -> get_it()
       :: before == head && is_closed -> release(GET); break
       :: else ->
          release(GET);
          went = 1;
          prepare(ITEMS);
          STEP out = closed || tail != head OR_DIES;
          if
          :: !out -> sleep(ITEMS)
          :: else
          fi;
          out = 0
       fi;
       before = 0;
       is_closed = 0;
       seen = 0
    od;
    atomic { ended++; goto over };
dies:
    atomic { alive[me] = 0; at[me] = NOWHERE; died++; consumers_died++; ended++ };
over:
    skip
}

/* ---- S -------------------------------------------------------------------------------------------------- */

inline wake_all(event)
{
    asleep[event] = 0;
    atomic {
        signal[event] = (signal[event] + 1) % 16;
        m = 0;
        do
        :: m < MEMBERS ->
           if
           :: at[m] == event -> at[m] = NOWHERE
           :: else
           fi;
           m++
        :: else -> break
        od;
        m = 0
    }
}

/* One that is dead and not recovered goes to `who`, + 1. */
inline find_dead()
{
    atomic {
        m = 0;
        who = 0;
        do
        :: m < MEMBERS ->
           if
           :: !alive[m] && !recovered[m] -> who = m + 1
           :: else
           fi;
           m++
        :: else -> break
        od;
        m = 0
    }
}

inline wait_for_all()
{
    do
    :: ended == MEMBERS -> break
    :: recoveries < died ->
       find_dead();
       if
       :: who -> recover(who - 1)
       :: else
       fi;
       who = 0
    od
}

/* With nobody else left to get, S does, so that producers go on. */
inline wait_for_producers()
{
    do
    :: producers_ended == PRODUCERS && (tail == head || consumers_died == CONSUMERS) -> break
    :: recoveries < died ->
       find_dead();
       if
       :: who -> recover(who - 1)
       :: else
       fi;
       who = 0
    :: consumers_died == CONSUMERS && tail != head ->
       acquire(GET);
       before = tail;
       if
       :: before != head -> get_it()
       :: else -> release(GET)
       fi
    od
}

inline check_end()
{
    d_step {
        m = 0;
        what = 0;
        do
        :: m < ALL ->
           assert(block[m] != 1);
           if
           :: returned[m] && !got[m] -> what++
           :: else
           fi;
           m++
        :: else -> break
        od;
        assert(what <= consumers_died);
        assert(!offered && !kept) /* Q3 */
    }
}

active proctype survivor()
{
    byte me = S, message, seen, m, who, what, before, looked;
    bit mine, slept, mending, out, sleepers;

    atomic {
        alive[S] = 1;
        at[S] = NOWHERE;
        m = 0;
        do
        :: m < MEMBERS ->
           alive[m] = 1;
           at[m] = NOWHERE;
           if
           :: m < PRODUCERS -> run producer(m)
           :: else -> run consumer(m)
           fi;
           m++
        :: else -> break
        od;
        m = 0
    };
    wait_for_producers();
    find_dead();
    if
    :: who -> recover(who - 1)
    :: else
    fi;
    who = 0;
    acquire(PUT);
    closed = 1; /* kin_queue_close */
    release(PUT);
#ifndef WRONG_CLOSE_SILENT
    wake_all(ITEMS);
    wake_all(ROOM);
#endif
    wait_for_all();
    do
    :: find_dead();
       if
       :: who -> recover(who - 1)
       :: else -> break
       fi
    od;
    do
    :: acquire(GET);
       before = tail;
       if
       :: before != head -> get_it()
       :: else -> release(GET); break
       fi
    od;
    check_end();
dies:
    skip
}
