/*
 * members.pml - slots of the family: claim, start, attach, recovery (src/family: member.c, recovery.c; the end of a
 * process and its object: src/process/children.c) as a model for spin.
 *
 * Member A starts C, and C starts D. J is a plain fork that joins by itself. R recovers whom it finds dead, as a guardian
 * or a waiter does. All of these may be killed before each of their steps, R in the middle of a recovery too. The survivor
 * does what R does, and at the end, when all others have ended, sweeps until nothing is left to do.
 *
 * How it stands for the code. Each access to a state word, to a life lock, to what is said of an end is a step of its own;
 * a transaction of the journal is one step (it is undone or done as a whole). A life lock is the process that holds it;
 * who finds that one dead gets it (EOWNERDEAD). Names are the code's.
 *
 * What is checked
 *   M1 to M3 of member.h (alive, claim, release); only what has ended is recovered, by one at a time (dead_still);
 *   P1 to P3 of process_shared.h: an end is told once, under the life lock or by the starter of one that never attached, and is
 *   known if the starter lives; an object is freed once, by the last who knows it, and nobody touches it afterwards; at the end
 *   no slot is taken, nothing is owned, no object is left. A child never waits for a lock that will not be free.
 *
 * Not modelled: threads of a process that outlive its main thread, exec, numbers of processes that are used again (start
 * times), the heap's own recovery (one step here), weaker orders, more than one child of a member.
 *
 * Parameters: SLOTS; DEATHS, how many are killed (all end anyway, in their last step); JOINS: whether there is a J, HELP: an R.
 *
 *   check    starter_and_child            short   cycles  -DSLOTS=3 -DHELP=0 -DJOINS=0 -DDEATHS=1
 *   check    recoverer_is_killed          short   -DSLOTS=2 -DHELP=1 -DJOINS=0 -DDEATHS=2
 *   check    slots_are_used_again         long    -DSLOTS=2 -DHELP=1 -DJOINS=1 -DDEATHS=2
 *   check    three_generations            long    -DSLOTS=3 -DHELP=1 -DJOINS=0 -DDEATHS=2
 *
 *   mistake  attach_store     short   ALIVE is a store, not a CAS                         -DHELP=1 -DJOINS=0 -DDEATHS=1
 *   mistake  pid_late         long    cycles  ALIVE comes before the pid                  -DHELP=0 -DJOINS=0 -DDEATHS=1
 *   mistake  unchecked        long    under the life lock nobody looks again who it is    -DHELP=1 -DJOINS=0 -DDEATHS=0
 *   mistake  two_recover      long    recovery goes on without the life lock              -DHELP=1 -DJOINS=0 -DDEATHS=0
 *   mistake  free_early       long    the slot is free before what it had is taken back   -DHELP=1 -DJOINS=0 -DDEATHS=1
 *   mistake  unborn           long    the slots that the dead had claimed are not freed   -DHELP=0 -DJOINS=0 -DDEATHS=1
 *   mistake  list_open        short   the list of arenas is not closed with its member    -DHELP=1 -DJOINS=0 -DDEATHS=1
 *   mistake  claim_open       long    an unborn one's slot is freed without a claim of it -DHELP=1 -DJOINS=0 -DDEATHS=1
 *   mistake  collect_silent   short   the starter does not say that it asks for a status  -DHELP=1 -DJOINS=0 -DDEATHS=0
 *   mistake  forgotten        long    a member that is gone is not noted in its object    -DHELP=0 -DJOINS=0 -DDEATHS=1
 *   mistake  half_joined      long    who died while it joined keeps its slot             -DHELP=0 -DJOINS=1 -DDEATHS=1
 *   mistake  generation       long    a claim keeps the slot's generation                 -DHELP=1 -DJOINS=1 -DDEATHS=1
 *   mistake  patience         long    a child waits for a life lock whosever slot it is   -DHELP=1 -DJOINS=1 -DDEATHS=1
 */
#ifndef SLOTS
#define SLOTS 2
#endif

#define PROCESSES 6
#define S 0
#define A 1
#define C 2
#define D 3
#define R 4
#define J 5

#define FREE 0
#define CLAIMED 1
#define STARTING 2
#define JOINING 3
#define ALIVE 4
/* The state word: generation, who, kind. `who` is a slot for CLAIMED and STARTING, a process for JOINING. */
#define STATE(generation, who, kind) ((generation) * 64 + (who) * 8 + (kind))
#define KIND(state) ((state) % 8)
#define WHO(state) (((state) / 8) % 8)
#define GENERATION(state) ((state) / 64)
#define IS_ID(state, generation) (GENERATION(state) == generation && (KIND(state) == ALIVE || KIND(state) == STARTING))
#define NONE 15

/* ---- shared memory --------------------------------------------------------------------------------- */

short state[SLOTS];
byte life[SLOTS];      /* process + 1; 0: free */
bit has_lock[SLOTS];
byte pid_of[SLOTS];
byte parent[SLOTS];    /* slot of the parent, */
byte parent_generation[SLOTS];
bit watched[SLOTS];
bit threads[SLOTS];
bit arenas[SLOTS];
byte closed[SLOTS];    /* generation + 1 */
byte process[SLOTS];   /* the object, named by its process; 0: none */

/* objects of processes, those of C and D */
bit object[PROCESSES];
bit starter_gone[PROCESSES];
bit member_gone[PROCESSES];
bit collecting[PROCESSES];
bit known[PROCESSES];
bit ended[PROCESSES];
byte id_slot[PROCESSES];
byte id_generation[PROCESSES];
byte child[SLOTS];     /* the member's list of processes it started: one; 0: none */

/* ---- the kernel -------------------------------------------------------------------------------------- */

bit alive[PROCESSES];
bit zombie[PROCESSES]; /* dead, and its status not collected */
byte starter_of[PROCESSES]; /* who forked it: of the model alone */

/* ---- of the model alone ------------------------------------------------------------------------------- */

byte deaths_left = DEATHS;

#define CAN_LOCK(slot) (life[slot] == 0 || !alive[life[slot] - 1])
#define STEP if ::
#define OR_DIES :: atomic { me != S && deaths_left > 0 -> deaths_left--; goto dies } fi

/* Its children are collected by init at some time; here that is seen at once, or later: see find_end. */
inline end_of(p)
{
    alive[p] = 0;
    zombie[p] = 1
}

/* ---- recovery.c ------------------------------------------------------------------------------------------ */

/* kin__arenas_recover: frees what there is, then closes the list, each in a transaction. */
inline arenas_recover(slot)
{
    do
    :: STEP atomic { arenas[slot] -> arenas[slot] = 0 }
       :: atomic {
           !arenas[slot] ->
#ifndef WRONG_LIST_OPEN
           closed[slot] = GENERATION(state[slot]) + 1;
#endif
           break
       }
       OR_DIES
    od
}

/* free_claim; `was` is the state that was read */
inline free_claim(slot)
{
#ifdef WRONG_CLAIM_OPEN
    arenas_recover(slot);
    STEP atomic { state[slot] == was -> state[slot] = STATE(GENERATION(was), 0, FREE) } :: state[slot] != was OR_DIES;
#else
    STEP atomic {
        if
        :: state[slot] == was -> was = STATE(GENERATION(was), WHO(was), CLAIMED); state[slot] = was
        :: else -> was = 0
        fi
    } OR_DIES;
    if
    :: was ->
       arenas_recover(slot);
       STEP atomic {
           if
           :: state[slot] == was ->
              assert(!arenas[slot] && !threads[slot]); /* M3 */
              state[slot] = STATE(GENERATION(was), 0, FREE)
           :: else
           fi
       } OR_DIES
    :: else
    fi;
    was = 0
#endif
}

inline free_unborn(starter)
{
    other = 0;
    do
    :: other < SLOTS ->
       STEP was = state[other] OR_DIES;
       if
       :: (KIND(was) == CLAIMED || KIND(was) == STARTING) && WHO(was) == starter -> free_claim(other)
       :: else
       fi;
       was = 0;
       other++
    :: else -> break
    od;
    other = 0
}

/* What holds as long as somebody recovers a slot. */
inline dead_still(slot)
{
    assert(KIND(state[slot]) == ALIVE && GENERATION(state[slot]) == generation);
    assert(!alive[pid_of[slot]]);
    assert(life[slot] == me + 1)
}

/* go in children.c: one who knows the object is gone; the last one frees it. Within a transaction. */
inline go()
{
    assert(object[subject]); /* P3 */
    if
    :: starter_gone[subject] && member_gone[subject] -> object[subject] = 0; process_freed(subject)
    :: else
    fi
}
inline process_freed(p)
{
    starter_gone[p] = 0; member_gone[p] = 0; collecting[p] = 0; known[p] = 0; ended[p] = 0
}

/* starter_goes; within a transaction, of the starter or of its recoverer */
inline starter_goes(slot)
{
    subject = child[slot];
    child[slot] = 0;
    starter_gone[subject] = 1;
    if
    :: !IS_ID(state[id_slot[subject]], id_generation[subject]) -> member_gone[subject] = 1
    :: else
    fi;
    go();
    subject = 0
}

#define STARTER_IS_THERE(slot) (!starter_gone[process[slot]] && IS_ID(state[parent[slot]], parent_generation[slot]))

/* find_end; sets busy. Whether a dead starter's child was collected by init may be seen either way. */
inline find_end(slot)
{
    STEP atomic {
        subject = process[slot];
        if
        :: subject && !ended[subject] ->
           assert(object[subject]);
           if
           :: zombie[subject] -> subject = 0 /* by its status */
           :: !zombie[subject] || !alive[starter_of[subject]]
           fi
        :: else -> subject = 0
        fi
    } OR_DIES;
    if
    :: subject ->
       STEP collects = collecting[subject] OR_DIES;
       STEP atomic {
           if
           :: known[subject]
           :: !known[subject] && collects && STARTER_IS_THERE(slot) -> busy = 1
           :: !known[subject] && !(collects && STARTER_IS_THERE(slot)) ->
              assert(!alive[starter_of[subject]]) /* else its status is told, not "unknown" */
           fi
       } OR_DIES;
       subject = 0;
       collects = 0
    :: else
    fi
}

/* take_back, R3 to R8; sets busy */
inline take_back(slot)
{
    dead_still(slot);
#ifdef WRONG_FREE_EARLY
    STEP state[slot] = STATE(generation, 0, FREE) OR_DIES;
#endif
#ifndef WRONG_UNBORN
    free_unborn(slot);
#endif
    STEP atomic { child[slot] -> starter_goes(slot) } :: !child[slot] OR_DIES;
    find_end(slot);
    if
    :: !busy ->
       dead_still(slot);
       STEP threads[slot] = 0 OR_DIES;
       arenas_recover(slot);
       dead_still(slot);
       STEP atomic { /* kin__children_recovered: publish_end, which who comes after does not repeat, */
           if
           :: process[slot] -> assert(object[process[slot]]); ended[process[slot]] = 1
           :: else
           fi
       } OR_DIES;
       STEP atomic { /* and the object goes */
           subject = process[slot];
           process[slot] = 0;
           if
           :: subject ->
#ifndef WRONG_FORGOTTEN
              member_gone[subject] = 1;
#endif
              go()
           :: else
           fi;
           subject = 0
       } OR_DIES;
       STEP atomic {
           dead_still(slot);
           assert(!arenas[slot] && !threads[slot]); /* M3 */
           state[slot] = STATE(generation, 0, FREE)
       } OR_DIES
    :: else
    fi
}

/* kin__member_recover of the id (slot, generation); busy: it is not gone, or someone else is at it */
inline recover(slot)
{
    busy = 0;
    STEP atomic {
        mine = KIND(state[slot]) == ALIVE && GENERATION(state[slot]) == generation;
        busy = !mine && IS_ID(state[slot], generation)
    } OR_DIES;
    if
    :: mine ->
#ifndef WRONG_TWO_RECOVER
       STEP atomic { CAN_LOCK(slot) -> assert(has_lock[slot]); life[slot] = me + 1 }
       :: atomic { !CAN_LOCK(slot) -> mine = 0; busy = 1 }
       OR_DIES
#else
       skip
#endif
    :: else
    fi;
    if
    :: mine ->
#ifndef WRONG_UNCHECKED
       STEP atomic { !(KIND(state[slot]) == ALIVE && GENERATION(state[slot]) == generation) -> mine = 0 }
       :: KIND(state[slot]) == ALIVE && GENERATION(state[slot]) == generation
       OR_DIES;
#endif
       STEP atomic { mine && alive[pid_of[slot]] -> mine = 0; busy = 1 } :: !mine || !alive[pid_of[slot]] OR_DIES;
       if
       :: mine -> take_back(slot)
       :: else
       fi;
       STEP life[slot] = 0 OR_DIES;
       mine = 0
    :: else
    fi
}

/* kin__members_sweep */
inline sweep()
{
    left = 0;
    s = 0;
    do
    :: s < SLOTS ->
#ifndef WRONG_HALF_JOINED
       STEP atomic { /* free_half_joined */
           if
           :: KIND(state[s]) == JOINING && !alive[WHO(state[s])] ->
              assert(!arenas[s] && !threads[s]);
              state[s] = STATE(GENERATION(state[s]), 0, FREE)
           :: else
           fi
       } OR_DIES;
#endif
       STEP atomic {
           generation = GENERATION(state[s]);
           mine = KIND(state[s]) == ALIVE;
           if /* its parent watches it; R may wait for it, and then recovers it all the same */
           :: mine && watched[s] && IS_ID(state[parent[s]], parent_generation[s]) -> mine = 0
           :: me == R || !(mine && watched[s] && IS_ID(state[parent[s]], parent_generation[s]))
           fi
       } OR_DIES;
       if
       :: mine -> recover(s); left = left || busy; busy = 0
       :: else
       fi;
       generation = 0;
       s++
    :: else -> break
    od;
    s = 0
}

/* ---- member.c -------------------------------------------------------------------------------------------- */

/* claim_as: any free slot, or NONE if there is none now. In slot; its generation in generation. */
inline claim(who, kind)
{
    STEP atomic {
        slot = 0;
        do
        :: slot < SLOTS && KIND(state[slot]) == FREE -> break
        :: slot < SLOTS -> slot++
        :: slot == SLOTS -> break
        od;
        if
        :: slot < SLOTS ->
#ifdef WRONG_GENERATION
           generation = GENERATION(state[slot]);
#else
           generation = GENERATION(state[slot]) + 1;
#endif
           assert(!arenas[slot] && !threads[slot]); /* M3 */
           state[slot] = STATE(generation, who, kind)
        :: else -> slot = NONE
        fi
    } OR_DIES;
    if
    :: slot != NONE ->
       STEP has_lock[slot] = 1 OR_DIES;
       STEP atomic { pid_of[slot] = 0; watched[slot] = 0; process[slot] = 0; child[slot] = 0 } OR_DIES
    :: else
    fi
}

#ifdef WRONG_PATIENCE
#define AWAITS(slot) 1
#else
#define AWAITS(slot) (GENERATION(state[slot]) == generation && (KIND(state[slot]) == STARTING || KIND(state[slot]) == JOINING))
#endif

/* kin__member_attach of (slot, generation) */
inline attach(slot)
{
    /* take_life, which waits while the slot awaits us */
    STEP atomic { AWAITS(slot) && CAN_LOCK(slot) -> assert(has_lock[slot]); life[slot] = me + 1 }
    :: !AWAITS(slot) -> goto leaves
    OR_DIES;
    STEP was = state[slot] OR_DIES; /* awaits, before the lock was tried; what has changed since fails the CAS */
#ifndef WRONG_PID_LATE
    STEP pid_of[slot] = me OR_DIES;
#endif
#ifdef WRONG_ATTACH_STORE
    STEP state[slot] = STATE(generation, 0, ALIVE) OR_DIES;
#else
    STEP atomic {
        if
        :: state[slot] == was && GENERATION(was) == generation && (KIND(was) == STARTING || KIND(was) == JOINING) ->
           state[slot] = STATE(generation, 0, ALIVE); mine = 1
        :: else
        fi
    } OR_DIES;
    if
    :: !mine ->
       STEP life[slot] = 0 OR_DIES;
       goto leaves
    :: else
    fi;
#endif
#ifdef WRONG_PID_LATE
    STEP pid_of[slot] = me OR_DIES;
#endif
    was = 0;
    mine = 0;
    assert(closed[slot] != generation + 1); /* it may own arenas */
    assert(state[slot] == STATE(generation, 0, ALIVE)); /* M1: nobody has taken it from us, or ever will */
    assert(life[slot] == me + 1 && pid_of[slot] == me)
}

/* ---- the processes --------------------------------------------------------------------------------------- */

/* kin_process_start of the process c, the join of it, and the end of who did: A, with a slot of its own, or C. */
inline start_and_join(c)
{
    claim(my_slot, CLAIMED);
    if
    :: slot == NONE -> goto done
    :: else
    fi;
    STEP atomic { /* the object is made; from then on it is in the list of its starter */
        parent[slot] = my_slot; parent_generation[slot] = my_generation; watched[slot] = 1;
        object[c] = 1; id_slot[c] = slot; id_generation[c] = generation; process[slot] = c; child[my_slot] = c;
        starter_of[c] = me
    } OR_DIES;
    STEP state[slot] = STATE(generation, my_slot, STARTING) OR_DIES;
    STEP alive[c] = 1 OR_DIES;
    /* It is given an arena: the transaction looks whether it may be. */
    STEP atomic {
        if
        :: IS_ID(state[slot], generation) && closed[slot] != generation + 1 -> arenas[slot] = 1
        :: else
        fi
    } OR_DIES;
    /* child_ended */
    STEP !alive[c] OR_DIES;
#ifndef WRONG_COLLECT_SILENT
    STEP collecting[c] = 1 OR_DIES;
#endif
    STEP zombie[c] = 0 OR_DIES;
    STEP known[c] = 1 OR_DIES;
    /* recover_surely */
    do
    :: STEP atomic { IS_ID(state[slot], generation) && KIND(state[slot]) == STARTING -> was = state[slot]; mine = 1 }
       :: atomic { IS_ID(state[slot], generation) && KIND(state[slot]) == ALIVE && (CAN_LOCK(slot)) -> mine = 0 }
       :: atomic { !IS_ID(state[slot], generation) -> mine = 0; break }
       OR_DIES;
       if
       :: mine ->
          mine = 0;
          free_claim(slot);
          STEP atomic { assert(!ended[c]); ended[c] = 1 } OR_DIES; /* P2 */
          break
       :: else -> recover(slot); mine = 0; busy = 0
       fi
    od;
    assert(ended[c]); /* P1: kin_process_join returns */
    STEP atomic { starter_goes(my_slot) } OR_DIES;
done:
    slot = 0
}

inline variables_to_rest()
{
    slot = 0; generation = 0; other = 0; subject = 0; was = 0; s = 0; mine = 0; busy = 0; collects = 0; left = 0
}

proctype member(byte me)
{
    byte my_slot, my_generation, slot, generation, other, subject, s, sweeps;
    short was;
    bit mine, busy, collects, left;

end:
    alive[me];
    if
    :: me == C || me == D -> slot = id_slot[me]; generation = id_generation[me]
    :: me == J ->
       claim(J, JOINING);
       if
       :: slot == NONE -> goto leaves
       :: else
       fi
    :: me == A || me == R -> goto attached
    fi;
    attach(slot);
    my_slot = slot;
    my_generation = generation;
    STEP threads[my_slot] = 1 OR_DIES;
attached:
    if
    :: me == A || me == C -> start_and_join(me + 1)
    :: me == R ->
       do
       :: sweeps < HELP -> sweep(); sweeps++
       :: else -> break
       od
    :: me == J -> STEP !alive[C] && !alive[D] OR_DIES /* it lives long */
    :: me == D
    fi;
leaves:
dies:
    atomic { end_of(me); variables_to_rest(); my_slot = 0; my_generation = 0; sweeps = 0 }
}

active proctype survivor()
{
    byte me = S, generation, other, subject, s, sweeps;
    short was;
    bit mine, busy, collects, left;

    atomic {
        alive[S] = 1;
        state[0] = STATE(0, 0, ALIVE); life[0] = A + 1; has_lock[0] = 1; pid_of[0] = A; threads[0] = 1;
        alive[A] = 1; alive[R] = (HELP > 0); alive[J] = JOINS;
        run member(A);
        run member(C);
        run member(D);
        if
        :: HELP -> run member(R)
        :: else
        fi;
        if
        :: JOINS -> run member(J)
        :: else
        fi
    };
    !alive[A] && !alive[C] && !alive[D] && !alive[R] && !alive[J];
    do
    :: sweeps <= SLOTS -> sweep(); sweeps++
    :: else -> break
    od;
    atomic {
        assert(!left);
        s = 0;
        do
        :: s < SLOTS -> assert(KIND(state[s]) == FREE && !threads[s] && !arenas[s]); s++
        :: else -> break
        od;
        assert(!object[C] && !object[D])
    };
dies:
    skip
}
