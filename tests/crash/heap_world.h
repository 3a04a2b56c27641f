/*
 * heap_world.h - what a crash test of the heap looks at: blocks, who has them, and what must be true after a
 * victim's end.
 */
#ifndef KIN_TESTS_HEAP_WORLD_H
#define KIN_TESTS_HEAP_WORLD_H

#include "crash/stepper.h"
#include "family/member.h"

#include "kin/arena.h"
#include "kin/error.h"
#include "kin/heap.h"

#include <stdio.h>
#include <stdlib.h>

#define HELD_MAX 4200
#define OTHERS_MAX 64

struct heap_world {
    size_t size;              /* of the blocks of this operation */
    size_t others_size;       /* of those that the others allocate meanwhile; 0: the same */
    kin__id victim;           /* its member id */
    void *volatile got;       /* what the victim's allocation returned */
    void *volatile given;     /* the block that the victim frees */
    void *others[OTHERS_MAX]; /* what the survivor allocated while the victim stood still */
    uint32_t others_count;
    void *
        held[HELD_MAX]; /* what the survivor allocated to arrange things; the others free the last of these */
    uint32_t held_count;
    bool others_may_free;       /* whether they do */
    bool journal_held;          /* by the survivor */
    size_t new_size;            /* what the victim makes of a block by realloc */
    const void *was;            /* where that block lay */
    kin_arena *volatile arena;  /* that the victim works on */
    kin_arena *volatile second; /* and another */
    size_t mark;                /* in the first */
    kin__id survivor;
    const volatile void *volatile object; /* watched too */
    size_t object_size;
    const volatile void *volatile also; /* and this */
    size_t also_size;
    _Atomic uint32_t release; /* let go on who lives until then */
    void (*settle_in)(struct heap_world *world);
    void (*work)(struct heap_world *world); /* what the others do besides; or NULL */
    kin__id dead;                           /* somebody who died before; the victim recovers it */
    void (*settle)(struct heap_world *world,
                   const struct step_end *end); /* the operation's own: after recovery,
                                    before blocks are counted: free what the operation may have made */
    void (*arrange)(struct heap_world *world);
    bool founded;
    uint32_t others_dead;  /* members that end in the course of it, besides the victim and `dead` */
    uint32_t members;      /* slots taken then */
    kin_heap_stats ground; /* before anything was arranged, the first time */
    kin_heap_stats base;   /* when the victim began */
    const char *fault;     /* found while arranging */
    char text[200];
};

/* Found a family of this process, without anything of the process floor. */
void heap_found_family(void);

struct heap_world *heap_new_world(void);

/* A block with a pattern in it; free one whose pattern must still be there. They note a fault
 * in the world. */
void *heap_new_block(struct heap_world *world, size_t size);
void heap_free_block(struct heap_world *world, void *block, size_t size);

/* Note a fault, with kin's error: the first one stays. */
void heap_wrong(struct heap_world *world, const char *what);

/* In the victim: end it, with kin's error, where something fails that cannot. */
static inline void heap_must(bool well)
{
    if (!well) {
        fprintf(stderr, "the victim: %s\n", kin_error_message());
        abort();
    }
}

/* Whether the block begins with what a block at `was` began with. */
bool heap_has_mark_of(const void *block, const void *was);

/* Fill a span of the world's size by itself: all its blocks go to `held`. They are the span's only ones. */
void heap_hold_full_span(struct heap_world *world);

/* Fill the span that the caller has now; one more block, and it gives it up. */
void heap_fill_own_span(struct heap_world *world);

/* A victim that attaches, so that its slots are had before the operation begins. */
void heap_be_member(void *world);

/* An operation, and what it needs around it. */
struct heap_plan {
    const char *name;
    size_t size, new_size;
    void (*arrange)(struct heap_world *);
    void (*prepare)(void *);
    void (*ready)(void *);
    void (*run)(void *);
    void (*settle)(struct heap_world *, const struct step_end *);
    void (*work)(struct heap_world *);
    size_t others_size;
    bool others_may_free;
    void (*found)(void);                    /* a family; NULL: heap_found_family */
    void (*settle_in)(struct heap_world *); /* the survivor, once, before anything is counted */
    bool (*start)(void *world, struct step_victim *victim); /* see struct step_operation */
    void (*after)(void *);                                  /* NULL: heap_after */
    uint32_t others_dead;
    bool ends;            /* the operation is the victim's end */
    unsigned points;      /* to try in the short form; 0: SHORT_POINTS */
    unsigned long_points; /* in the long form; 0: all */
};

#define SHORT_POINTS 25

/* Found a family and try the operation at all its points. */
void heap_survive(struct heap_plan plan);

/* Parts of struct step_operation. */
void heap_arrange(void *world);
void heap_hold_journal(void *world);
void heap_others(void *world);
size_t heap_watch(void *world, struct step_area *areas);
const char *heap_check(void *world, const struct step_end *end);

/* What a victim that went on does in the end: it uses the heap once more. */
void heap_after(void *world);

#endif
