/*
 * near.pml - calls through shared memory (src/manager: near.h, near.c) as a model for spin.
 *
 * CLIENTS make CALLS calls each, in slots that the server gives them; it looks for calls, goes to sleep, is rung for. Clients may die before
 * each of their steps, and the server may close the connection of one that lives (whose call is none, say). Who comes later gets the slot of
 * one that is gone.
 *
 * How it stands for the code. Each access to turn, to data, to pending, to asleep is a step of its own. `data` is one byte: a call's number, then its
 * answer. A ring is a frame in the socket; the socket also tells the server of a death, and a client of the close. To look for a while is to look once
 * or go to sleep at once. A futex wait is a step that compares and goes to sleep.
 *
 * What is checked
 *   Who is answered has the answer to his own call; nobody waits for ever, the server's naps (NAP) and the sleepers' own looks (sync/wait.h, W1)
 *   left out: those are for members that are stopped. N2 of near.h.
 *
 * Not modelled: answers that come later, large ones by the socket, TURN_CALLS and HOT_MOST, weaker orders (acquire and release of turn).
 *
 *   check    one_client     short   -DCLIENTS=1 -DSLOTS=1 -DCALLS=2 -DDEATHS=0 -DCLOSES=0
 *   check    one_dies       short   -DCLIENTS=2 -DSLOTS=1 -DCALLS=1 -DDEATHS=1 -DCLOSES=0
 *   check    one_is_closed  short   -DCLIENTS=2 -DSLOTS=2 -DCALLS=1 -DDEATHS=0 -DCLOSES=1
 *   check    two_clients    long    -DCLIENTS=2 -DSLOTS=2 -DCALLS=2 -DDEATHS=1 -DCLOSES=0
 *
 *   mistake  call_early     short   it is the server's turn before the call is written   -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  answer_early   short   it is the client's before the answer is              -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  bit_early      short   the bit is set before the turn                       -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  ring_early     short   a client looks who sleeps before it sets its bit     -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  unrung         short   nobody rings                                         -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  asleep_late    short   the server looks at the bits before it says that it sleeps  -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  bits_late      short   bits are cleared after their slots were looked at    -DCLIENTS=1 -DSLOTS=1 -DCALLS=2 -DDEATHS=0 -DCLOSES=0
 *   mistake  unwoken        short   who sleeps is not woken                              -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  wake_early     short   he is woken before it is his turn                    -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  unsaid         short   a client does not say that it sleeps                 -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  blindly        short   it says so though it is answered                     -DCLIENTS=1 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=0
 *   mistake  living_slot    short   the slot of one that lives is given to another       -DCLIENTS=2 -DSLOTS=1 -DCALLS=1 -DDEATHS=0 -DCLOSES=1
 */
#ifndef CLIENTS
#define CLIENTS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef CLOSES
#define CLOSES 0
#endif

#define NOBODY 0
#define CALL 1
#define ASLEEP 2
#define ANSWERED 3

#define NONE 9
#define BURNT 8
#define ANSWER 100 /* is the call's number and this */

/* ---- shared memory --------------------------------------------------------------------------------------- */

byte turn[SLOTS];
byte data[SLOTS];
bit pending[SLOTS];
bit asleep;

/* ---- sockets, and the kernel -------------------------------------------------------------------------------- */

byte rings;          /* frames that the server has not read */
bit gone[CLIENTS];   /* its end, or its process's: the server will read it */
bit closed[CLIENTS]; /* by the server */
bit waits[SLOTS];    /* who has the slot sleeps at its turn */
byte unread_ends;

/* ---- the server's own ------------------------------------------------------------------------------------------- */

byte holder[SLOTS];    /* client, NONE or BURNT */
byte slot_of[CLIENTS]; /* as the server's answer to "near" told it, or NONE */

/* ---- of the model alone ----------------------------------------------------------------------------------------- */

byte deaths_left = DEATHS;
byte closes_left = CLOSES;
byte ended;

#define STEP if ::
#define OR_DIES :: atomic { deaths_left > 0 -> deaths_left--; goto dies } fi

#if SLOTS == 1
#define free_slot (holder[0] == NONE -> 0 : NONE)
#else
#define free_slot (holder[0] == NONE -> 0 : (holder[1] == NONE -> 1 : NONE))
#endif

#define NUMBER(me, call) (me * 10 + call + 1)

proctype client(byte me)
{
    byte slot, call, was;

    /* "near" by the socket, kin__near_join: here until there is a slot */
    if
    :: atomic {
            free_slot != NONE -> slot = free_slot;
            holder[slot] = me;
            slot_of[me] = slot;
            turn[slot] = NOBODY
        }
    :: atomic { deaths_left > 0 -> deaths_left--; goto dies }
    fi;
    do
    :: call < CALLS ->
#ifdef WRONG_CALL_EARLY
        STEP turn[slot] = CALL OR_DIES;
        STEP data[slot] = NUMBER(me, call) OR_DIES;
        STEP pending[slot] = 1 OR_DIES;
#else
        STEP data[slot] = NUMBER(me, call) OR_DIES;
#ifdef WRONG_BIT_EARLY
        STEP pending[slot] = 1 OR_DIES;
        STEP turn[slot] = CALL OR_DIES;
#else
        STEP turn[slot] = CALL OR_DIES;
#ifdef WRONG_RING_EARLY
        STEP was = asleep OR_DIES;
#endif
        STEP pending[slot] = 1 OR_DIES;
#endif
#endif
#ifdef WRONG_UNRUNG
        was = 0;
#else
#ifndef WRONG_RING_EARLY
        STEP was = asleep OR_DIES;
#endif
#endif
        if
        :: was ->
            STEP atomic { was = asleep; asleep = 0 } OR_DIES;
            if
            :: was -> STEP rings++ OR_DIES
            :: else
            fi
        :: else
        fi;
        /* await_answer: it looks, or goes to sleep */
        if
        :: turn[slot] == ANSWERED
        :: true ->
#ifdef WRONG_UNSAID
            was = CALL;
#else
#ifdef WRONG_BLINDLY
            STEP turn[slot] = ASLEEP OR_DIES;
            was = ASLEEP;
#else
            STEP atomic { was = turn[slot]; if :: was == CALL -> turn[slot] = ASLEEP; was = ASLEEP :: else fi } OR_DIES;
#endif
#endif
            do
            :: was == ANSWERED || turn[slot] == ANSWERED -> break
            :: else ->
                STEP atomic { turn[slot] == was -> waits[slot] = 1 }
                :: turn[slot] != was
                OR_DIES;
                if
                :: !waits[slot]
                :: closed[me] -> waits[slot] = 0; goto hung_up /* it looks by itself now and then */
                :: atomic { deaths_left > 0 -> deaths_left--; waits[slot] = 0; goto dies }
                fi
            od
        :: closed[me] -> goto hung_up
        fi;
        assert(data[slot] == NUMBER(me, call) + ANSWER);
        call++
    :: else -> break
    od;
hung_up: /* its own end; or it dies, which the server cannot tell from that */
dies:
    atomic { gone[me] = 1; unread_ends++; ended++ }
}

/* serve_slot, and kin__near_answer */
inline serve(slot)
{
    if
    :: holder[slot] < BURNT && !closed[holder[slot]] && (turn[slot] == CALL || turn[slot] == ASLEEP) ->
        copy = data[slot];
#ifdef WRONG_ANSWER_EARLY
        atomic { was = turn[slot]; turn[slot] = ANSWERED };
        data[slot] = copy + ANSWER;
#else
        data[slot] = copy + ANSWER;
#ifdef WRONG_WAKE_EARLY
        was = turn[slot];
        if
        :: was == ASLEEP -> waits[slot] = 0
        :: else
        fi;
        was = 0;
        turn[slot] = ANSWERED;
#else
        atomic { was = turn[slot]; turn[slot] = ANSWERED };
#endif
#endif
#ifndef WRONG_UNWOKEN
        if
        :: was == ASLEEP -> waits[slot] = 0
        :: else
        fi
#endif
    :: else
    fi
}

/* Sets `served`. */
inline serve_pending()
{
    served = 0;
    s = 0;
    do
    :: s < SLOTS && pending[s] ->
#ifdef WRONG_BITS_LATE
        serve(s);
        pending[s] = 0;
#else
        pending[s] = 0;
        serve(s);
#endif
        served = 1;
        s++
    :: s < SLOTS && !pending[s] -> s++
    :: s == SLOTS -> break
    od
}

inline close_one(c)
{
    closed[c] = 1;
    if
    :: slot_of[c] != NONE && holder[slot_of[c]] == c ->
#ifdef WRONG_LIVING_SLOT
        holder[slot_of[c]] = NONE
#else
        if
        :: gone[c] -> holder[slot_of[c]] = NONE
        :: else -> holder[slot_of[c]] = BURNT
        fi
#endif
    :: else
    fi
}

active proctype server()
{
    byte c, s, copy, was;
    bit served;
    bit read_end[CLIENTS];

    atomic {
        do
        :: s < SLOTS -> holder[s] = NONE; s++
        :: else -> break
        od;
        do
        :: c < CLIENTS -> slot_of[c] = NONE; run client(c); c++
        :: else -> break
        od;
        c = 0;
        s = 0
    };
awake:
    do
    :: serve_pending()
    :: atomic { s = 0; do :: s < SLOTS - 1 -> s++ :: break od }; /* the hot one, whichever it is */
        if
        :: turn[s] == CALL || turn[s] == ASLEEP -> serve(s)
        :: else
        fi
    /* what sockets tell: ends; or a frame that is none */
    :: atomic {
            unread_ends > 0 || closes_left > 0 ->
            if
            :: gone[c] && !read_end[c] -> read_end[c] = 1; unread_ends--; close_one(c)
            :: !gone[c] && !closed[c] && slot_of[c] != NONE && closes_left > 0 -> closes_left--; close_one(c)
            :: else
            fi;
            c = (c + 1) % CLIENTS
        }
    /* it sleeps */
    :: true ->
#ifdef WRONG_ASLEEP_LATE
        serve_pending();
        if
        :: !served -> asleep = 1; goto sleeps
        :: else
        fi;
#else
        asleep = 1;
        serve_pending();
        if
        :: served -> asleep = 0
        :: else -> goto sleeps
        fi
#endif
    od;
sleeps:
    if
    :: rings > 0 -> rings--
    :: unread_ends > 0
    :: ended == CLIENTS && unread_ends == 0 -> goto over
    fi;
    asleep = 0;
    goto awake;
over:
    skip
}
