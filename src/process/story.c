/*
 * process/story.c - how a process ended, in words.
 *
 * What it left is read as a supervisor reads: copied first, bounded, then used. A process that crashes may have
 * written anything before.
 */
#include "process/crash.h"

#include "base/failure.h"
#include "family/guard.h"
#include "family/hooks.h"
#include "family/region.h"
#include "family/shelf.h"
#include "family/span.h"
#include "os/maps.h"
#include "os/os.h"
#include "os/symbol.h"
#include "process/limits.h"
#include "process/process_shared.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WHERE_FRAMES 3 /* told in messages */
#define WHERE_SIZE 320
#define OWNERS_MAX 128 /* members whose maps are looked at */

bool kin__crash_read(const struct kin_process *process, int signal, struct kin__crash *out)
{
    const struct kin__crash *report = process->crash;
    if (!kin__region_holds(report) || !kin__region_holds(report + 1))
        return false;
    /* Acquire: partner is on_fatal. */
    uint32_t state = atomic_load_explicit(&report->state, memory_order_acquire);
    if (state != KIN__CRASH_FACTS && state != KIN__CRASH_PASSED)
        return false;
    uint32_t count = atomic_load_explicit(&report->count, memory_order_acquire);
    uint32_t named = atomic_load_explicit(&report->named, memory_order_acquire);
    memcpy(out, report, sizeof *out);
    atomic_store(&out->state, state);
    atomic_store(&out->count, count < KIN__FRAMES_MAX ? count : KIN__FRAMES_MAX);
    atomic_store(&out->named, named < KIN__FILES_MAX ? named : KIN__FILES_MAX);
    out->name[sizeof out->name - 1] = '\0';
    out->names[sizeof out->names - 1] = '\0';
    return out->signal > 0 && out->signal < NSIG && (!signal || out->signal == signal);
}

/* ---- what an address is --------------------------------------------------------------------------- */

struct search {
    uintptr_t address;
    bool found;
    char name[KIN__MAP_NAME];
};

static bool look_for_private(const struct kin__os_map *map, void *arg)
{
    struct search *search = arg;
    if (search->address >= map->end)
        return true;
    search->found = search->address >= map->start && !map->shared && (map->protection & PROT_READ);
    snprintf(search->name, sizeof search->name, "%s", map->name);
    return false;
}

static void short_name(char to[40], const char *from)
{
    const char *slash = strrchr(from, '/');
    from = slash ? slash + 1 : from + (*from == '[');
    snprintf(to, 40, "%.*s", (int)strcspn(from, "]"), from);
}

static bool owns(pid_t pid, void *address, kin_end *end)
{
    struct search search = {.address = (uintptr_t)address};
    if (!kin__os_maps_walk(pid == getpid() ? 0 : pid, look_for_private, &search) || !search.found)
        return false;
    end->fault = KIN_FAULT_PRIVATE;
    end->fault_pid = (int)pid;
    short_name(end->fault_name, search.name);
    return true;
}

/* Whoever settles is mostly the parent, whose memory it mostly is. */
static void look_for_owner(kin__id dead, kin_end *end)
{
    if (owns(getpid(), end->fault_address, end))
        return;
    struct kin__member *table = kin__members();
    unsigned looks = 0;
    for (uint32_t i = 1; i < kin__members_top() && looks < OWNERS_MAX; i++) {
        pid_t pid = (pid_t)atomic_load(&table[i].pid);
        if (kin__member_state(&table[i]) != KIN__ALIVE || kin__member_id(&table[i]) == dead ||
            pid == getpid())
            continue;
        looks++;
        if (owns(pid, end->fault_address, end))
            return;
    }
}

/* What lies there in the shared region, which the process was kept from. */
static int shared_fault(kin_end *end)
{
    end->fault_name[0] = '\0';
    const char *guard = kin__guard_of((uintptr_t)end->fault_address);
    if (guard) {
        snprintf(end->fault_name, sizeof end->fault_name, "%s", guard);
        return KIN_FAULT_GUARD;
    }
    if (kin__shelf_holds(end->fault_address))
        return KIN_FAULT_FROZEN;
    if (end->fault == KIN_FAULT_SEALED || !kin__thread_self())
        return end->fault;
    const char *address = end->fault_address;
    uint64_t into = (uint64_t)(address - kin__view.units);
    if (address >= kin__view.units && into >= atomic_load_explicit(&kin__view.bytes, memory_order_acquire))
        return KIN_FAULT_UNUSED;
    uint32_t unit = address >= kin__view.units ? (uint32_t)(into >> KIN__UNIT_BITS) : 0;
    while (unit > 0 && kin__unit_at(unit)->kind == KIN__UNIT_INSIDE)
        unit--; /* to the first of its run */
    uint32_t kind = kin__unit_at(unit)->kind;
    bool is_free = kind == KIN__UNIT_COLD || kind == KIN__UNIT_WARM ||
                   (kind == KIN__UNIT_SPAN && kin__spot_of(address).kind == KIN__SPOT_FREE);
    return is_free ? KIN_FAULT_FREE : KIN_FAULT_GUARD;
}

void kin__crash_tell(struct kin_process *process, kin_end *end)
{
    struct kin__crash report;
    if (end->how == KIN_END_EXITED || !kin__crash_read(process, end->signal, &report))
        return;
    if (end->how == KIN_END_UNKNOWN) { /* by its own word, if it could not go on after it */
        if (atomic_load(&report.state) != KIN__CRASH_FACTS)
            return;
        end->how = KIN_END_SIGNALED;
        end->signal = report.signal;
    }
    if (process->limited)
        kin__limits_crashed(process->limited, report.error_number, report.error_code);
    end->signal_code = report.signal_code > 0 ? report.signal_code : 0;
    end->sender = report.sender;
    end->fault_address = (void *)(uintptr_t)report.address;
    end->fault = report.fault >= 0 && report.fault <= KIN_FAULT_IMPOSSIBLE ? report.fault : KIN_FAULT_NONE;
    memcpy(end->fault_name, report.name, sizeof end->fault_name);
    if (end->fault == KIN_FAULT_UNMAPPED)
        look_for_owner(process->id, end);
    else if (end->fault == KIN_FAULT_GUARD || end->fault == KIN_FAULT_SEALED)
        end->fault = shared_fault(end);
}

/* ---- sentences ----------------------------------------------------------------------------------- */

struct text {
    char *at;
    size_t size, used;
};

KIN_PRINTF(2, 3) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t left = text->used < text->size ? text->size - text->used : 0;
    int length = vsnprintf(left ? text->at + text->used : NULL, left, format, args);
    text->used += length > 0 ? (size_t)length : 0;
    va_end(args);
}

static const char *const faults[] = {
    [KIN_FAULT_NULL] = "a null pointer",
    [KIN_FAULT_STACK] = "beyond the end of its stack",
    [KIN_FAULT_PRIVATE] = "private memory of process",
    [KIN_FAULT_GUARD] = "a guard of the shared memory",
    [KIN_FAULT_FREE] = "free memory of the heap",
    [KIN_FAULT_UNUSED] = "shared memory that is not in use",
    [KIN_FAULT_SEALED] = "shared memory that it may not write",
    [KIN_FAULT_READ_ONLY] = "memory that may be read only",
    [KIN_FAULT_NO_ACCESS] = "memory that it has no access to",
    [KIN_FAULT_NO_PAGE] = "no memory behind it",
    [KIN_FAULT_UNMAPPED] = "nothing is mapped there",
    [KIN_FAULT_IMPOSSIBLE] = "an address that cannot be",
    [KIN_FAULT_FROZEN] = "frozen data, which nobody may write",
};

static void add_fault(struct text *text, const kin_end *end)
{
    bool known = end->fault > KIN_FAULT_NONE && end->fault <= KIN_FAULT_FROZEN;
    if (end->fault_address && end->fault != KIN_FAULT_IMPOSSIBLE)
        add(text, " at %p", end->fault_address);
    else if (end->fault == KIN_FAULT_NULL)
        add(text, " at 0x0");
    if (!known)
        return;
    if (end->fault == KIN_FAULT_GUARD && *end->fault_name) {
        add(text, ": a guard page of the family's %.*s", (int)sizeof end->fault_name - 1, end->fault_name);
        return;
    }
    add(text, ": %s", faults[end->fault]);
    if (end->fault == KIN_FAULT_PRIVATE)
        add(text, " %d", end->fault_pid);
    if (!*end->fault_name || end->fault == KIN_FAULT_STACK)
        return;
    if (strcmp(end->fault_name, "stack") == 0 || strcmp(end->fault_name, "heap") == 0)
        add(text, " (its %s)", end->fault_name);
    else if (end->fault == KIN_FAULT_PRIVATE || end->fault == KIN_FAULT_READ_ONLY ||
             end->fault == KIN_FAULT_NO_ACCESS || end->fault == KIN_FAULT_NO_PAGE)
        add(text, " (%.*s)", (int)sizeof end->fault_name - 1, end->fault_name);
}

static void add_signal(struct text *text, const kin_end *end)
{
    const char *name = sigabbrev_np(end->signal);
    add(text, "signal %d (%s%s%s)", end->signal, name ? "SIG" : "", name ? name : "real-time",
        end->core_dumped ? ", core dumped" : "");
    if (end->out_of_memory)
        add(text, ", out of memory");
    if (end->sender)
        add(text, ", sent by process %d", end->sender);
    add_fault(text, end);
    if (end->signal == SIGFPE && end->signal_code == FPE_INTDIV)
        add(text, ": an integer division by zero, or too large");
}

char *kin_end_text(const kin_end *end, char *buffer, size_t size)
{
    struct text text = {buffer, size, 0};
    switch (end ? end->how : KIN_END_RUNNING) {
    case KIN_END_EXITED:
        add(&text, "exit code %d", end->exit_code);
        break;
    case KIN_END_SIGNALED:
        add_signal(&text, end);
        break;
    case KIN_END_UNKNOWN:
        add(&text, "unknown, reaped by the program");
        break;
    default:
        add(&text, "running");
    }
    return buffer;
}

/* ---- frames ------------------------------------------------------------------------------------ */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The file a frame lies in, as the process knew it; NULL. */
static const char *file_of(const struct kin__crash *report, const struct kin__crash_frame *frame)
{
    for (uint32_t i = 0; frame->start && i < atomic_load(&report->named); i++)
        if (report->files[i].start == frame->start && report->files[i].name < sizeof report->names)
            return report->names + report->files[i].name;
    return NULL;
}

static void ask(const struct kin__crash *report, const struct kin__crash_frame *frames, uint32_t count,
                struct kin__os_place *places)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kin__crash_frame *frame = &frames[i];
        places[i].path = file_of(report, frame);
        places[i].address = frame->address - (frame->called != 0); /* the call, not what comes after it */
    }
    kin__os_symbols(places, count);
}

static void add_frame(struct text *text, uint32_t number, const struct kin__crash_frame *frame,
                      const struct kin__os_place *place)
{
    add(text, "#%u ", number);
    if (*place->function)
        add(text, "%s", place->function);
    else
        add(text, "%s", place->path ? "?" : "in no file");
    if (*place->file)
        add(text, " at %s:%d", place->file, place->line);
    if (place->path)
        add(text, " (%s+0x%llx)\n", base_name(place->path), (unsigned long long)frame->address);
    else
        add(text, " (0x%llx)\n", (unsigned long long)frame->address);
}

int kin__crash_backtrace(const struct kin_process *process, char *buffer, size_t size)
{
    struct kin__crash report;
    if (process->end.how != KIN_END_SIGNALED || !kin__crash_read(process, process->end.signal, &report))
        return 0;
    uint32_t count = atomic_load(&report.count);
    struct kin__os_place *places = malloc(KIN__FRAMES_MAX * sizeof *places);
    if (!places)
        return kin__fail(KIN_ENOMEM, "could not tell the backtrace of process \"%s\": out of private memory",
                         process->name);
    ask(&report, report.frames, count, places);
    struct text text = {buffer, size, 0};
    for (uint32_t i = 0; i < count; i++)
        add_frame(&text, i, &report.frames[i], &places[i]);
    free(places);
    return 0;
}

/* Where the program was when it called what killed it: abort() and its like are of no interest, nor is what kin did to
 * call the program's function. */
static bool is_own(const struct kin__crash *report, const struct kin__crash_frame *frame)
{
    static const char *const others[] = {"libc.so.", "ld-linux", "[vdso]", "libkin.so."};
    const char *file = file_of(report, frame);
    for (size_t i = 0; file && i < sizeof others / sizeof *others; i++)
        if (strncmp(base_name(file), others[i], strlen(others[i])) == 0)
            return false;
    return file;
}

static void tell_where(const struct kin__crash *report, const struct kin__crash_frame *frames, uint32_t count,
                       struct text *text)
{
    struct kin__os_place places[WHERE_FRAMES];
    ask(report, frames, count, places);
    const char *word = ", in ";
    for (uint32_t i = 0; i < count && *places[i].function; i++) {
        add(text, "%s%s", word, places[i].function);
        if (*places[i].file)
            add(text, " (%s:%d)", base_name(places[i].file), places[i].line);
        word = i ? ", " : ", called from ";
    }
}

/* A fault that strikes again and again is looked up once. */
static pthread_mutex_t last_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    struct kin__crash_frame frames[WHERE_FRAMES];
    char file[80]; /* the end of the innermost one's */
    char text[WHERE_SIZE];
} * last;

static bool is_last(const struct kin__crash_frame *frames, const char *file)
{
    return last && memcmp(last->frames, frames, sizeof last->frames) == 0 && strcmp(last->file, file) == 0;
}

static void remember_last(const struct kin__crash_frame *frames, const char *file, const char *text)
{
    if (!last)
        last = malloc(sizeof *last); /* not in .bss: it would spread what each fork copies over more pages */
    if (!last)
        return;
    memcpy(last->frames, frames, sizeof last->frames);
    snprintf(last->file, sizeof last->file, "%s", file);
    memcpy(last->text, text, sizeof last->text);
}

char *kin__crash_where(const struct kin_process *process, char *buffer, size_t size)
{
    struct kin__crash report;
    *buffer = '\0';
    if (process->end.how != KIN_END_SIGNALED || !kin__crash_read(process, process->end.signal, &report))
        return buffer;
    struct kin__crash_frame frames[WHERE_FRAMES] = {0};
    uint32_t count = 0;
    for (uint32_t i = 0; count < WHERE_FRAMES && i < atomic_load(&report.count); i++)
        if (is_own(&report, &report.frames[i]))
            frames[count++] = report.frames[i];
    if (count == 0)
        return buffer;
    const char *file = file_of(&report, &frames[0]);
    char name[sizeof last->file];
    size_t length = file ? strlen(file) : 0;
    snprintf(name, sizeof name, "%s",
             !file                  ? ""
             : length < sizeof name ? file
                                    : file + length - sizeof name + 1);
    char words[WHERE_SIZE] = "";
    struct text text = {words, sizeof words, 0};
    bool mine = pthread_mutex_trylock(&last_mutex) == 0; /* a fork may have left it locked */
    if (mine && is_last(frames, name))
        memcpy(words, last->text, sizeof words);
    else
        tell_where(&report, frames, count, &text);
    if (mine) {
        remember_last(frames, name, words);
        pthread_mutex_unlock(&last_mutex);
    }
    snprintf(buffer, size, "%s", words);
    return buffer;
}
