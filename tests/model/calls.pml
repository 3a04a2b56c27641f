/*
 * calls.pml - an object that is freed by who has seen what a call made visible, while that call is not back (sync/wait.h,
 * kin__use_begin and kin__use_end; sync/wait.c, kin__waits_none; message/queue.c, kin_queue_free) as a model for spin.
 *
 * CALLERS put a message each into a queue; who frees it has got all of them, but those of callers that died before, and may do so at
 * once.
 *
 * How it stands for the code. A caller's accesses to the queue (the gate, the message, the release, the look at who sleeps) are steps of their own, and so
 * are its notes; the kernel's wake needs an address only. The gate of a dead caller is taken over in one step (queue.pml has that in full). Who frees
 * looks at each slot; it waits for one that is in a call, or gives up (KIN_EBUSY) and its user begins again.
 *
 * What is checked
 *   No caller touches the queue once it is free; and it is freed in the end, whoever died.
 *
 * Not modelled: slots that change their users (names), weaker orders (whoever may free has seen, with acquire, what was stored after the note; the note's end is a release).
 *
 *   check    one_caller     short   cycles  -DCALLERS=1 -DDEATHS=1
 *   check    two_callers    short   -DCALLERS=2 -DDEATHS=1
 *   check    three_callers  long    -DCALLERS=3 -DDEATHS=2
 *
 *   mistake  begins_late    short   a call is noted when its message is in      -DCALLERS=1 -DDEATHS=0
 *   mistake  ends_early     short   the note goes before the last look          -DCALLERS=1 -DDEATHS=0
 *   mistake  gate_alone     short   who frees takes the gate and asks nobody    -DCALLERS=1 -DDEATHS=0
 *   mistake  dead_in_call   short   who frees waits for the dead                -DCALLERS=1 -DDEATHS=1
 */
#ifndef CALLERS
#define CALLERS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define NONE 0
#define QUEUE 1

byte gate;           /* caller + 1 */
byte call[CALLERS];  /* waits.call */
bit in[CALLERS];     /* its message is in the queue */
bit alive[CALLERS];
bit freed;
byte deaths_left = DEATHS;

#define STEP if ::
#define OR_DIES :: atomic { deaths_left > 0 -> deaths_left--; goto dies } fi
#define TOUCH assert(!freed)

proctype caller(byte me)
{
#ifndef WRONG_BEGINS_LATE
    STEP call[me] = QUEUE OR_DIES;
#endif
    if
    :: atomic { gate == 0 || !alive[gate - 1] -> TOUCH; gate = me + 1 }
    :: atomic { deaths_left > 0 -> deaths_left--; goto dies }
    fi;
    STEP atomic { TOUCH; in[me] = 1 } OR_DIES;
#ifdef WRONG_BEGINS_LATE
    STEP call[me] = QUEUE OR_DIES;
#endif
    STEP atomic { TOUCH; gate = 0 } OR_DIES;
#ifdef WRONG_ENDS_EARLY
    STEP call[me] = NONE OR_DIES;
    STEP TOUCH OR_DIES; /* kin__event_tell */
#else
    STEP TOUCH OR_DIES;
    STEP call[me] = NONE OR_DIES;
#endif
    goto over;
dies:
    alive[me] = 0;
over:
    skip
}

#ifdef WRONG_DEAD_IN_CALL
#define is_in_call(slot) (call[slot] == QUEUE)
#else
#define is_in_call(slot) (call[slot] == QUEUE && alive[slot])
#endif

/* kin__waits_none of one slot: until it is back, or not so long */
inline ask(slot)
{
    if
    :: !is_in_call(slot)
    :: is_in_call(slot) -> busy = 1
    fi
}

active proctype freer()
{
    byte c;
    bit busy;

    atomic {
        c = 0;
        do
        :: c < CALLERS -> alive[c] = 1; run caller(c); c++
        :: else -> break
        od;
        c = 0
    };
    do
    :: c < CALLERS -> (in[c] || !alive[c]); c++
    :: else -> break
    od;
again:
    c = 0;
    busy = 0;
#ifndef WRONG_GATE_ALONE
    do
    :: c < CALLERS && !busy -> ask(c); c++
    :: else -> break
    od;
#endif
    if
    :: busy -> !is_in_call(c - 1); goto again /* its user tries later */
    :: else
    fi;
    if
    :: atomic { gate == 0 || !alive[gate - 1] -> freed = 1 }
    fi
}
