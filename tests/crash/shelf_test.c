/*
 * shelf_test.c - frozen data at every point where its maker, or who frees it, may die. After each death a book is the family's,
 * whole, or it is gone with its memory.
 */
#include "crash/heap_world.h"
#include "harness.h"

#include "family/shelf.h"

#include "kin/error.h"

#include <stdlib.h>
#include <string.h>

#define SIZE 48
#define UNIT 65536u

/* One of two units, filled; of the second only a part is kept. Not sealed. */
static void *filled(const void *main, void **alias)
{
    void *book = kin__shelf_new(2 * UNIT, main, alias);
    if (!book || *(char *)*alias != 0) /* memory of the dead that was not given back */
        abort();
    memset(*alias, 7, 100);
    return book;
}

static void *closed(const void *main)
{
    void *alias, *book = filled(main, &alias);
    kin__shelf_close(book, alias, UNIT);
    return book;
}

/* A book with a part, of three units in all. */
static void *sealed_pair(void)
{
    void *book = closed(NULL);
    closed(book);
    kin__shelf_seal(book);
    return book;
}

/* ---- victims --------------------------------------------------------------------------------- */

static void run_make(void *arg)
{
    (void)arg;
    sealed_pair();
}

static void run_drop(void *arg)
{
    (void)arg;
    void *book = closed(NULL);
    closed(book);
    kin__shelf_drop(book);
}

static void run_free(void *arg)
{
    struct heap_world *world = arg;
    if (kin__shelf_free(world->was, "free") != 0)
        abort();
}

/* ---- the survivor ---------------------------------------------------------------------------- */

static void watch_books(struct heap_world *world)
{
    world->object = kin__region_at(KIN__AT_BOOKS);
    world->object_size = 8 * sizeof(struct kin__book);
    world->was = NULL;
}

static void have_sealed(struct heap_world *world)
{
    watch_books(world);
    world->was = sealed_pair();
}

/* Others make one in front of it, or behind, and free it. */
static void make_and_free(struct heap_world *world)
{
    (void)world;
    void *first = sealed_pair(), *second = sealed_pair();
    if (kin__shelf_free(first, "free") != 0 || kin__shelf_free(second, "free") != 0)
        abort();
}

/* All that is on the shelf now, of the victim's: whole, or nothing. */
static unsigned books_left(struct heap_world *world, const void **first)
{
    const struct kin__book *books = kin__region_at(KIN__AT_BOOKS);
    unsigned count = 0;
    *first = NULL;
    for (uint32_t next = books[0].next; next; next = books[next].next) {
        const unsigned char *at =
            (const unsigned char *)kin__region_base + kin__region->shelf + (size_t)books[next].first * UNIT;
        count++;
        if (books[next].state == KIN__BOOK_SEALED)
            *first = at;
        if (at[0] != 7 || at[99] != 7)
            world->fault = "what is on the shelf is not what was put there";
    }
    return count;
}

static void is_sealed_or_gone(struct heap_world *world, const struct step_end *end)
{
    const void *book;
    unsigned left = books_left(world, &book);
    if (left != 0 && left != 2)
        world->fault = "a part of what was made is left";
    if (left == 0 && !end->died)
        world->fault = "what was sealed is gone";
    if (left && kin__shelf_free(book, "free") != 0)
        world->fault = "what is left cannot be freed";
}

static void is_gone(struct heap_world *world, const struct step_end *end)
{
    (void)end;
    const void *book;
    if (books_left(world, &book) != 0)
        world->fault = "what was dropped is left";
}

static void is_freed_or_there(struct heap_world *world, const struct step_end *end)
{
    const void *book;
    unsigned left = books_left(world, &book);
    if (left != 0 && (left != 2 || book != world->was))
        world->fault = "a part of what was being freed is left";
    if (left && !end->died)
        world->fault = "what was freed is left";
    if (left && kin__shelf_free(book, "free") != 0)
        world->fault = "what is left cannot be freed";
}

/* ---- the operations -------------------------------------------------------------------------- */

static void book_is_made_of_two(void)
{
    heap_survive((struct heap_plan){.name = "frozen data made and sealed",
                                    .size = SIZE,
                                    .arrange = watch_books,
                                    .prepare = heap_be_member,
                                    .run = run_make,
                                    .work = make_and_free,
                                    .settle = is_sealed_or_gone,
                                    .points = 12});
}

static void book_is_dropped(void)
{
    heap_survive((struct heap_plan){.name = "frozen data made and dropped",
                                    .size = SIZE,
                                    .arrange = watch_books,
                                    .prepare = heap_be_member,
                                    .run = run_drop,
                                    .work = make_and_free,
                                    .settle = is_gone,
                                    .points = 12});
}

static void book_is_freed(void)
{
    heap_survive((struct heap_plan){.name = "frozen data freed",
                                    .size = SIZE,
                                    .arrange = have_sealed,
                                    .prepare = heap_be_member,
                                    .run = run_free,
                                    .work = make_and_free,
                                    .settle = is_freed_or_there,
                                    .points = 12});
}

static const struct test tests[] = {
    {"book_is_made_of_two", book_is_made_of_two, 120, 0},
    {"book_is_dropped", book_is_dropped, 120, 0},
    {"book_is_freed", book_is_freed, 120, 0},
};
TEST_MAIN("crash_shelf", tests)
