/*
 * process/crash.c - see crash.h: the handler, in the process that dies. story.c has the readers' side.
 *
 * Nothing here takes a lock, allocates, or calls what does: the process may have died in malloc or in the loader. So
 * nothing can hang, and nobody has to end a process that is dying.
 */
#include "process/crash.h"

#include "family/sealed.h"
#include "os/fatal.h"
#include "os/maps.h"
#include "os/os.h"
#include "os/raw.h"
#include "os/unwind.h"
#include "process/process_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_SIZE (64u << 10)
#define NULL_SIZE 65536u   /* vm.mmap_min_addr */
#define STACK_REACH 65536u /* from the stack pointer: what a call or push, or a frame's beginning, touches */
#define PATIENCE 100       /* of 10 ms: for another thread that is at it */

/* Never touched but in a crash. */
struct workplace {
    struct kin__os_image image;
    _Alignas(64) unsigned char stack[STACK_SIZE];
};

static struct workplace workplace;

/* The report of the calling process, if it is a member that kin has started. A vfork of its own is another process,
 * with its memory. */
static struct kin__crash *own_report(void)
{
    struct kin__member *me = kin__self_if_attached();
    struct kin_process *process = me ? me->process : NULL;
    if (!process || !kin__region_holds(process) || process->magic != KIN__PROCESS_MAGIC)
        return NULL;
    if (atomic_load(&process->pid) != (int32_t)kin__raw(SYS_getpid, 0, 0, 0, 0, 0))
        return NULL;
    return kin__region_holds(process->crash) ? kin__own(process->crash) : NULL;
}

/* ---- facts ------------------------------------------------------------------------------------- */

struct scan {
    uintptr_t address, stack_pointer;
    bool mapped, writable_stack;
    int protection;
    uintptr_t
        stack_start; /* of the map that the stack pointer is in, else of the next writable one above it */
    char name[40];
};

/* "/usr/lib/libm.so.6" and "[stack]" become "libm.so.6" and "stack". */
static void take_name(char to[40], const char *from)
{
    size_t begin = 0, length = 0;
    for (size_t i = 0; from[i]; i++)
        if (from[i] == '/' || from[i] == '[')
            begin = i + 1;
    for (from += begin; length < 39 && from[length] && from[length] != ']'; length++)
        to[length] = from[length];
    to[length] = '\0';
}

static bool scan_map(const struct kin__os_map *map, void *arg)
{
    struct scan *scan = arg;
    if (scan->address >= map->start && scan->address < map->end) {
        scan->mapped = true;
        scan->protection = map->protection;
        take_name(scan->name, map->name);
    }
    if (!scan->stack_start && map->end > scan->stack_pointer && (map->protection & PROT_WRITE)) {
        scan->stack_start = map->start;
        scan->writable_stack = scan->stack_pointer >= map->start;
    }
    return true;
}

/* Below the stack's map, and near the stack pointer or, of a frame that is larger than the stack, above it. */
static bool is_overflow(const struct scan *scan)
{
    if (scan->mapped && scan->protection != PROT_NONE)
        return false;
    if (scan->address >= scan->stack_start || scan->address + STACK_REACH < scan->stack_pointer)
        return false;
    return !scan->writable_stack || scan->stack_pointer - scan->stack_start < STACK_REACH;
}

static enum kin_fault classify(const struct scan *scan, int number, int code)
{
    if (number == SIGBUS)
        return code == BUS_ADRALN ? KIN_FAULT_IMPOSSIBLE : KIN_FAULT_NO_PAGE;
    if (code == SI_KERNEL)
        return KIN_FAULT_IMPOSSIBLE; /* the machine does not tell the address */
    if (scan->address < NULL_SIZE)
        return KIN_FAULT_NULL;
    if (kin__region_holds((const void *)scan->address))
        return scan->protection == PROT_NONE ? KIN_FAULT_GUARD : KIN_FAULT_SEALED;
    if (is_overflow(scan))
        return KIN_FAULT_STACK;
    if (!scan->mapped)
        return KIN_FAULT_UNMAPPED;
    return (scan->protection & PROT_READ) && !(scan->protection & PROT_WRITE) ? KIN_FAULT_READ_ONLY
                                                                              : KIN_FAULT_NO_ACCESS;
}

/* The sixth number of statm is pages of data (proc(5)). */
static uint64_t private_data(void)
{
    char text[128] = "";
    int fd = (int)kin__raw(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/statm", O_RDONLY | O_CLOEXEC, 0, 0);
    if (fd < 0)
        return 0;
    long length = kin__raw(SYS_read, fd, (long)text, sizeof text, 0, 0);
    kin__raw(SYS_close, fd, 0, 0, 0, 0);
    uint64_t pages = 0;
    int number = 1;
    for (long i = 0; i < length && number <= 6; i++) {
        if (text[i] == ' ')
            number++;
        else if (number == 6)
            pages = pages * 10 + (uint64_t)(text[i] - '0');
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_facts(struct kin__crash *report, int number, const siginfo_t *info, const void *context)
{
    bool sent = info->si_code <= 0;
    pid_t own = (pid_t)kin__raw(SYS_getpid, 0, 0, 0, 0, 0);
    report->signal = number;
    report->signal_code = info->si_code;
    report->sender = sent && info->si_pid != own ? info->si_pid : 0;
    report->error_code = kin_error_code();
    report->address = 0;
    report->fault = KIN_FAULT_NONE;
    report->private_data = private_data();
    report->name[0] = '\0';
    if (sent || number == SIGABRT || number == SIGSYS)
        return;
    report->address = (uintptr_t)info->si_addr;
    if (number != SIGSEGV && number != SIGBUS)
        return;
    struct scan scan = {.address = (uintptr_t)info->si_addr, .stack_pointer = kin__os_stack_pointer(context)};
    if (kin__os_maps_walk(0, scan_map, &scan)) {
        report->fault = classify(&scan, number, info->si_code);
        memcpy(report->name, scan.name, sizeof report->name);
    }
}

/* ---- frames ------------------------------------------------------------------------------------ */

static bool in_main_thread(void)
{
    return kin__raw(SYS_gettid, 0, 0, 0, 0, 0) == kin__raw(SYS_getpid, 0, 0, 0, 0, 0);
}

static bool write_frame(const struct kin__os_frame *frame, void *arg)
{
    struct kin__crash *report = arg;
    if (frame->stack_pointer > kin__crash_bottom && in_main_thread())
        return false;
    uint32_t count = atomic_load_explicit(&report->count, memory_order_relaxed);
    report->frames[count] = (struct kin__crash_frame){
        .address = frame->code ? frame->pc - frame->code->bias : frame->pc,
        .start = frame->code ? frame->code->start : 0,
        .called = frame->called,
    };
    atomic_store_explicit(&report->count, count + 1, memory_order_release); /* partner in kin__crash_read */
    return count + 1 < KIN__FRAMES_MAX;
}

static bool has_frame_in(const struct kin__crash *report, uintptr_t start)
{
    uint32_t count = atomic_load_explicit(&report->count, memory_order_relaxed);
    for (uint32_t i = 0; i < count; i++)
        if (report->frames[i].start == start)
            return true;
    return false;
}

static bool write_file(const struct kin__os_map *map, void *arg)
{
    struct kin__crash *report = arg;
    uint32_t named = atomic_load_explicit(&report->named, memory_order_relaxed);
    if (map->offset != 0 || map->cut || !has_frame_in(report, map->start))
        return true;
    size_t at = 0, length = strlen(map->name) + 1;
    if (named > 0)
        at = report->files[named - 1].name + strlen(report->names + report->files[named - 1].name) + 1;
    if (length > sizeof report->names - at)
        return true;
    memcpy(report->names + at, map->name, length);
    report->files[named] = (struct kin__crash_file){.start = map->start, .name = at};
    atomic_store_explicit(&report->named, named + 1, memory_order_release); /* partner in kin__crash_read */
    return named + 1 < KIN__FILES_MAX;
}

static void write_frames(struct kin__crash *report, const void *context)
{
    if (!kin__os_image_read(&workplace.image, kin__os_stack_pointer(context)))
        return;
    kin__os_unwind(&workplace.image, context, write_frame, report);
    kin__os_maps_walk(0, write_file, report);
}

/* ---- the handler --------------------------------------------------------------------------------- */

/* False: another thread is at it, and has been for long. */
static bool claim(struct kin__crash *report)
{
    for (int looks = 0; looks < PATIENCE; looks++) {
        uint32_t state = atomic_load(&report->state);
        if (state == KIN__CRASH_NONE || state == KIN__CRASH_PASSED) {
            if (atomic_compare_exchange_strong(&report->state, &state, KIN__CRASH_WRITING))
                return true;
        } else {
            kin__os_fatal_wait();
        }
    }
    return false;
}

static void on_fatal(int number, siginfo_t *info, void *context)
{
    int error_number = errno;
    struct kin__crash *report = own_report();
    if (report && claim(report)) {
        atomic_store(&report->count, 0);
        atomic_store(&report->named, 0);
        report->error_number = error_number;
        write_facts(report, number, info, context);
        atomic_store_explicit(&report->state, KIN__CRASH_FACTS,
                              memory_order_release); /* in kin__crash_read */
        write_frames(report, context);
        if (kin__os_fatal_has_earlier(number))
            atomic_store_explicit(&report->state, KIN__CRASH_PASSED, memory_order_release);
    }
    if (report)
        kin__os_save_output(info->si_code <= 0 && info->si_pid != (pid_t)kin__raw(SYS_getpid, 0, 0, 0, 0, 0));
    kin__os_fatal_pass(number, info);
    errno = error_number;
}

void kin__crash_prepare(int like)
{
    kin__os_fatal_prepare(on_fatal, workplace.stack, sizeof workplace.stack, like);
}
