/*
 * journal_file_test.c - a map's journal at every point where its writer may die: opened, cut, appended to. After each death what is in it is
 * right, and nothing that was there before is gone.
 */
#include "crash/stepper.h"
#include "harness.h"

#include "kin/error.h"
#include "kin/journal.h"
#include "pool/journal_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ITEMS 30u
#define SIZE 8u    /* bytes of an output */
#define BEFORE 10u /* that are in it before the victim comes */

struct world {
    char path[64];
    bool torn; /* there is half a record at its end */
    char fault[200];
};

static const struct kin__journal_header job = {.count = ITEMS, .in_size = 4, .out_size = SIZE, .job = 5};

static void outputs_of(uint64_t first, uint64_t items, unsigned char *out)
{
    for (uint64_t i = 0; i < items; i++)
        memset(out + i * SIZE, (int)(first + i + 1), SIZE);
}

static void note(struct kin__journal_file *file, uint64_t first, uint64_t items)
{
    static unsigned char outputs[ITEMS * SIZE];
    outputs_of(first, items, outputs);
    if (kin__journal_note(file, first, items, outputs) != 0)
        abort();
}

static void arrange(void *arg)
{
    struct world *world = arg;
    unlink(world->path);
    struct kin__journal_file file;
    if (kin__journal_open(&file, world->path, &job) != 0)
        abort();
    note(&file, 0, BEFORE);
    if (kin__journal_flush(&file) != 0)
        abort();
    uint64_t whole = file.end;
    note(&file, BEFORE, 5);
    if (kin__journal_flush(&file) != 0 || ftruncate(file.fd, (off_t)(world->torn ? whole + 20 : whole)) != 0)
        abort();
    kin__journal_close(&file);
}

static struct kin__journal_file opened;

static void open_it(void *arg)
{
    struct world *world = arg;
    if (kin__journal_open(&opened, world->path, &job) != 0)
        abort();
}

static void append(void *arg)
{
    (void)arg;
    note(&opened, BEFORE, 4);
    note(&opened, BEFORE + 5, ITEMS - BEFORE - 5);
    note(&opened, BEFORE + 4, 1);
    if (kin__journal_flush(&opened) != 0 || kin__journal_sync(&opened) != 0)
        abort();
    kin__journal_close(&opened);
}

/* Half a record lies at its end. */
static void open_and_cut(void *arg)
{
    open_it(arg);
    kin__journal_close(&opened);
}

/* Who reads it meanwhile sees what is whole by then. */
static void read_it(void *arg)
{
    struct world *world = arg;
    kin_journal_info info = {.size = sizeof info};
    if (kin_journal_read(world->path, &info) != 0 || info.done < BEFORE || info.done > ITEMS)
        abort();
}

/* The file is no shared memory: every system call is a point. */
static size_t watch(void *arg, struct step_area *areas)
{
    struct world *world = arg;
    areas[0] = (struct step_area){world->fault, 8};
    return 1;
}

static const char *look(struct world *world, const struct kin__journal_file *file, bool died)
{
    unsigned char seen[ITEMS] = {0}, outputs[ITEMS * SIZE], right[SIZE];
    for (size_t i = 0; i < file->run_count; i++) {
        const struct kin__journal_run *one = &file->runs[i];
        if (kin__journal_load(file, one, one->first, one->items, outputs) != 0)
            return "what is in it cannot be read";
        for (uint64_t j = 0; j < one->items; j++) {
            outputs_of(one->first + j, 1, right);
            if (memcmp(outputs + j * SIZE, right, SIZE) != 0)
                return "an output is not what it was";
            seen[one->first + j]++;
        }
    }
    for (unsigned i = 0; i < ITEMS; i++)
        if (seen[i] > 1 || (!seen[i] && (i < BEFORE || (!died && !world->torn)))) {
            snprintf(world->fault, sizeof world->fault, "item %u is there %u times", i, seen[i]);
            return world->fault;
        }
    return NULL;
}

static const char *check(void *arg, const struct step_end *end)
{
    struct world *world = arg;
    for (int round = 0; round < 2; round++) { /* the first look may have mended something */
        struct kin__journal_file file;
        if (kin__journal_open(&file, world->path, &job) != 0)
            return kin_error_message();
        const char *fault = look(world, &file, end->died);
        kin__journal_close(&file);
        if (fault)
            return fault;
    }
    return NULL;
}

static void survive(const struct step_operation *plan, bool torn)
{
    struct world *world =
        mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(world, MAP_FAILED);
    snprintf(world->path, sizeof world->path, "/tmp/kin-crash-journal-%d", (int)getpid());
    world->torn = torn;
    struct step_operation operation = *plan;
    operation.world = world;
    operation.arrange = arrange;
    operation.watch = watch;
    operation.others = read_it;
    operation.check = check;
    step_must_survive(&operation, test_long() ? 0 : 12);
    unlink(world->path);
}

static void journal_is_appended_to(void)
{
    survive(&(struct step_operation){.name = "journal append", .prepare = open_it, .run = append}, false);
}

static void torn_journal_is_cut(void)
{
    survive(&(struct step_operation){.name = "journal opened and cut", .run = open_and_cut}, true);
}

static const struct test tests[] = {
    {"journal_is_appended_to", journal_is_appended_to, 120, 0},
    {"torn_journal_is_cut", torn_journal_is_cut, 120, 0},
};
TEST_MAIN("crash_journal_file", tests)
