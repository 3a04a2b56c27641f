/*
 * os/os.h - the one contract behind which all Linux calls stand.
 *
 * Nothing here knows of regions, members or pools. Calls return 0 or a negative KIN_E code with the
 * thread's record set (kin__fail_errno), unless their comment says otherwise.
 */
#ifndef KIN_OS_OS_H
#define KIN_OS_OS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* ---- time.c -------------------------------------------------------------------------------- */

/* Monotonic seconds; nanoseconds. */
double kin__os_now(void);
uint64_t kin__os_now_ns(void);

/* Nanoseconds since boot, suspended time included: the clock of start times. */
uint64_t kin__os_since_boot_ns(void);

/* The moment `timeout` seconds from now (infinity stays); and what is left until then, at least 0. */
double kin__os_deadline(double timeout);
double kin__os_left(double deadline);

/* The moment `ns` nanoseconds from now, for waits by CLOCK_MONOTONIC. */
struct timespec kin__os_moment_in(uint64_t ns);

/* Whether a timeout is legal (not negative, not NaN). */
bool kin__os_timeout_ok(double timeout);

/* One turn of a spin loop. */
static inline void kin__os_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* After an atomic read-modify-write: no later load is done before it. x86 orders that by itself. */
static inline void kin__os_fence_after_rmw(void)
{
#if !defined(__x86_64__)
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* ---- barrier.c ----------------------------------------------------------------------------- */

/* Let others make a full memory barrier in this process, and in those it forks, until one of them execs. False: this
 * kernel, or its filter, does not (Linux 4.16 does). */
bool kin__os_barrier_join(void);
/* Make one on every CPU that runs a process which has joined, and here. Some 500 ns. */
bool kin__os_barrier(void);

/* ---- usage.c ------------------------------------------------------------------------------- */

/* Nanoseconds of CPU time that a process (0: this one) has used, all its threads; 0 if it is gone. */
uint64_t kin__os_cpu_time_ns(int pid);
/* The same of this thread. */
uint64_t kin__os_thread_cpu_time_ns(void);

/* Bytes of memory that this process has; from here on the peak of it is counted anew (Linux 4.0; else from its start). */
size_t kin__os_resident_reset(void);
size_t kin__os_resident_peak(void);

/* ---- thread.c ------------------------------------------------------------------------------ */

/* Start a thread in which all signals are blocked (SIGPIPE too); it ends like any other. 0 or an errno. */
int kin__os_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);
/* The same for one that runs the user's code: signals of its faults reach it. */
int kin__os_user_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

/* Lock a mutex within so many nanoseconds, by CLOCK_MONOTONIC: as pthread_mutex_clocklock(3). */
int kin__os_mutex_lock_for(pthread_mutex_t *mutex, uint64_t ns);

/* ---- futex.c ------------------------------------------------------------------------------- */

/* System calls that this process has made to sleep, to wake others, and for fences on all CPUs: so that a test can tell that
 * what is busy makes none. */
extern _Atomic uint64_t kin__os_waiting_calls;

static inline void kin__os_count_call(void)
{
    atomic_fetch_add_explicit(&kin__os_waiting_calls, 1, memory_order_relaxed);
}

/*
 * Sleep while *word == seen, up to `timeout` seconds, in shared memory. 0: woken, or the value
 * differs, or for no reason (look again); KIN_ETIMEDOUT; KIN_EINTR: a signal handler ran. No record
 * is set: these are outcomes.
 */
int kin__os_futex_wait(const _Atomic uint32_t *word, uint32_t seen, double timeout);
/* The same at several words, up to KIN__OS_WORDS_MOST. Where the kernel cannot (Linux before 5.16), at the first, for a millisecond
 * at most. */
#define KIN__OS_WORDS_MOST 128u
int kin__os_futex_wait_many(const _Atomic uint32_t *const *words, const uint32_t *seen, size_t count,
                            double timeout);
/* How many were woken. */
int kin__os_futex_wake(const _Atomic uint32_t *word, int count);

/* ---- file.c -------------------------------------------------------------------------------- */

/*
 * Which file a descriptor is of. A program may close what it has not opened itself (closefrom), and open files of its own under
 * the same numbers: so what is kept for long is looked at before it is written to, waited for, or closed. Files that have no
 * inode of their own (epoll, eventfd; pidfds before Linux 6.9) all look the same.
 */
struct kin__file {
    uint64_t device, inode; /* 0: none */
};
struct kin__file kin__os_file_of(int fd);
bool kin__os_file_is(int fd, const struct kin__file *file);
/* Close it, if it is still of that file. */
void kin__os_file_close(int fd, const struct kin__file *file);

/* ---- memory.c ------------------------------------------------------------------------------ */

/*
 * The same descriptor or a copy of it above stderr, CLOEXEC: a program that was started with its standard streams closed
 * would write into what takes their numbers. -1 stays.
 */
int kin__os_high(int fd);

/* A new memfd, CLOEXEC, not executable, of `size` bytes (sparse). The descriptor goes to `out`. */
int kin__os_memfd_new(const char *name, size_t size, int *out);

/*
 * Map all of `fd` shared at exactly `base` (nothing may be there yet; NULL: anywhere), left out of
 * core dumps. Where it lies goes to `out`.
 */
int kin__os_map_shared(int fd, void *base, size_t size, void **out);
void kin__os_unmap(void *base, size_t size);
/* Private memory, zero, at exactly `base`, where nothing is yet. */
int kin__os_map_private(void *base, size_t size, void **out);

/* A part of it, anywhere, for this process alone: its children do not have it. */
int kin__os_map_part(int fd, size_t offset, size_t size, void **out);

/* The whole at an address that cannot be guessed. */
int kin__os_map_hidden(int fd, size_t size, void **out);

/* Allocate machine memory for a range of the memfd / give it back. KIN_ENOMEM if there is none. */
int kin__os_populate(int fd, size_t offset, size_t size);
int kin__os_punch(int fd, size_t offset, size_t size);

/* The same for a range of a shared mapping, without a descriptor. KIN_ENOTSUP: Linux before 5.14 cannot populate so. */
int kin__os_populate_mapped(void *start, size_t size);
int kin__os_punch_mapped(void *start, size_t size);

/* What this process may do with whole pages; false if the system refuses. */
enum kin__os_access { KIN__OS_NONE, KIN__OS_READ, KIN__OS_WRITE };
bool kin__os_protect(void *start, size_t size, enum kin__os_access access);

/* A private page that the kernel zeroes in every child, however that child was made, if `*wiped`. NULL: no memory. */
void *kin__os_wiped_page(bool *wiped);

/* How often a process of this one's memory cgroup (v1 or v2) was killed because memory had run out. False: not
 * known. */
bool kin__os_oom_kills(uint64_t *out);

/* When memory runs out, this process rather than those that have not called it (oom_score_adj, proc(5)). */
void kin__os_be_killed_first(void);

/* Bytes the machine, or the process's memory cgroup (v1 or v2), could still give. */
size_t kin__os_memory_available(void);

/* The largest file and address space this process may have (RLIMIT_FSIZE, RLIMIT_AS); SIZE_MAX: no limit. */
size_t kin__os_file_limit(void);
size_t kin__os_address_limit(void);

/* What malloc keeps of memory that was freed goes back to the system, as far as the C library can. */
void kin__os_trim(void);

/* Bytes of private data (what RLIMIT_DATA limits) this process has now; 0 if unknown. */
size_t kin__os_private_data(void);
/* The soft limit of it, SIZE_MAX: none; set it, SIZE_MAX: as far as the hard one allows. */
size_t kin__os_private_data_limit(void);
int kin__os_limit_private_data(size_t bytes);

/* ---- process.c ----------------------------------------------------------------------------- */

/* When process `pid` was started, in ns since boot, rounded to a clock tick: with the pid it names a process for
 * ever. 0 if there is no such process. */
uint64_t kin__os_start_time(pid_t pid);
#define KIN__START_ROUNDING_NS 20000000u /* the ticks are of 10 ms */

/* A descriptor for a process, CLOEXEC; -1 if there is no such process (errno tells). */
int kin__os_pidfd_open(pid_t pid);
/* Whether that errno means so: ENOENT is a number that a thread has now. */
bool kin__os_no_process(int error);
/* For a child made just now: its pidfd; or, if the program has reaped it already (its own waitpid, SIGCHLD
 * ignored), a descriptor that is always readable, with an inode of its own. -1: errno tells. */
int kin__os_pidfd_of_child(pid_t pid);
/* The same later, for one that was there at that moment (kin__os_since_boot_ns): another process that has its number by now is
 * not taken for it. */
int kin__os_pidfd_again(pid_t pid, uint64_t was_there);
/* Whether a descriptor that was noted as `file` is of that process still. */
bool kin__os_pidfd_is(int pidfd, const struct kin__file *file, pid_t pid);
/* Kill a child that cannot be watched, and reap it. */
void kin__os_kill_child(pid_t pid);
/* Whether that process has ended (all its threads). */
bool kin__os_pidfd_ended(int pidfd);
/* Wait for that: 0, KIN_ETIMEDOUT, KIN_EINTR (outcomes, no record). */
int kin__os_pidfd_wait(int pidfd, double timeout);
/* 0, also if it has ended; KIN_ESYSTEM. */
int kin__os_pidfd_signal(int pidfd, int signal);

/* How a child ended, taken from the kernel, which forgets it. False: not ended, or taken by someone else
 * (*gone tells which). `code` and `status` as in siginfo_t: CLD_EXITED, CLD_KILLED, CLD_DUMPED. */
bool kin__os_reap(int pidfd, int *code, int *status, bool *gone);

/* Its state as /proc/PID/stat has it: 'R', 'S', 'D', 'T' (stopped), 'Z' (has ended); 0: there is no such process. */
char kin__os_process_state(pid_t pid);

/* How a process that has ended, and that its parent has not collected yet, ended: seen by others. False: it
 * lives, is gone, or is not ours to look at. */
bool kin__os_zombie_status(pid_t pid, int *code, int *status);

/* Seconds of CPU time that a process, which may have ended but must not have been reaped, has used; 0: unknown. */
double kin__os_cpu_time(pid_t pid);

/* The path of the program this process runs, in `buffer`; false if unknown. */
bool kin__os_program_path(char *buffer, size_t size);

/* Whether the parent lies in a pid namespace that this process does not see: it has been started across a border. */
bool kin__os_parent_is_hidden(void);

/* Make the kernel send `signal` to the calling process when the thread that made it, or any later stand-in
 * of the same process, ends. False: the parent, `parent`, is gone already. */
bool kin__os_parent_death_signal(int signal, pid_t parent);

#define KIN__SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))
/* Default dispositions for all signals from 1 to 31 but those, nothing blocked. */
void kin__os_reset_signals(uint64_t except);

/* Whether that function is the signal's handler. */
bool kin__os_handles(int signal, void (*handler)(int));

/* A descriptor that reads nothing, CLOEXEC: /dev/null, or, where there is none, a pipe without a writer. Negative: neither. */
int kin__os_open_null(void);
/* Replace stdin by it, in a child; in its parent, before: have it open, which saves each child a part of its start. */
void kin__os_null_stdin(void);
void kin__os_null_prepare(void);

/* The number of threads of this process; 0 if unknown. */
int kin__os_thread_count(void);

/* This thread's kernel id. */
pid_t kin__os_thread_id(void);

/* ---- streams.c ----------------------------------------------------------------------------- */

/* As fflush(NULL), in a process with one thread: where nothing is held, it costs next to nothing. */
void kin__os_flush_all(void);
/* The same of C++ streams that do not share stdio's buffers; only where no other thread uses them. */
void kin__os_flush_cxx(void);

/* Write out what stdio holds for output streams, skipping streams another thread holds: fflush(NULL) hangs
 * if a thread sits in a read. */
void kin__os_flush_output(void);

/* In a child after fork: forget what streams hold, which is the parent's to write. */
void kin__os_drop_output(void);

/* In a signal handler of a process that crashes: write out what stdio holds, but for streams that other threads are at
 * work on; `interrupted`: nor those that the calling one was at work on when the signal came, by chance. Takes no
 * lock, and waits for a second at most. */
void kin__os_save_output(bool interrupted);

/* ---- sibling.c ----------------------------------------------------------------------------- */

/* Whether kin__os_fork_sibling works here; before the first, by the same thread. KIN_ENOTSUP. */
int kin__os_sibling_prepare(void);
/*
 * As fork(), but the new process is a child of the caller's parent, and no handlers of pthread_atfork run. The caller must
 * have one thread. The new process's id is stored at `pid`, which may lie in shared memory, before the new process
 * runs: whoever sees the caller dead sees there whether it had made one. -errno: none was made.
 */
pid_t kin__os_fork_sibling(_Atomic int32_t *pid);

/* ---- limits.c ------------------------------------------------------------------------------ */

enum kin__resource { KIN__RESOURCE_DATA, KIN__RESOURCE_CPU, KIN__RESOURCE_CORE, KIN__RESOURCE_FILES };
#define KIN__UNLIMITED UINT64_MAX

/* The most that the calling process may set: its hard limit. */
uint64_t kin__os_limit_most(enum kin__resource resource);
/* Set both limits; KIN__UNLIMITED leaves one as it is. Beyond the most they become the most. */
int kin__os_limit(enum kin__resource resource, uint64_t soft, uint64_t hard);
/* Send `signal` to the calling process once it has used that many seconds of CPU time, and, with `again`, after each
 * further second. Lost by exec. */
int kin__os_cpu_alarm(int signal, double seconds, bool again);

/* ---- environ.c ----------------------------------------------------------------------------- */

struct kin__variable {
    const char *name, *value;
};
/* As setenv, in a forked child whose one thread this is: without its lock, which another thread of the parent's may
 * have had at the fork. 0, or KIN_ENOMEM: the child is to end. What it takes is never freed. */
int kin__os_environ_set(const struct kin__variable *set, size_t count);

/* ---- started.c ----------------------------------------------------------------------------- */

/* Mark the calling process, and whatever it starts from now on, by fork, posix_spawn and exec. Costs 0.4 us. */
void kin__os_mark(uint64_t mark);
/* Whether the calling process may have started processes: it has children, has collected some, or lets the kernel
 * collect them. False is certain, but for what set SIGCHLD back after that. */
bool kin__os_started_any(void);
/* Kill whoever wears the mark that process `of` (which has ended, or is the calling one, and was there `since` then by
 * kin__os_since_boot_ns; 0: not known) wore, but for those that have left its session. How many there were.
 * Async-signal-safe. */
int kin__os_end_marked(uint64_t mark, pid_t of, uint64_t since, pid_t session);

/* ---- cancel.c ------------------------------------------------------------------------------ */

/*
 * A thread may be cancelled (pthread_cancel) in close, read, ppoll, sendmsg and many others (pthreads(7)). What is called with
 * something in hand that would be lost then, begins with hold and ends with restore: so it is cancelled after that.
 */
int kin__os_cancel_hold(void);
void kin__os_cancel_restore(const int *before);
/* Hold it until the end of the block. */
#define KIN__UNCANCELLED \
    __attribute__((cleanup(kin__os_cancel_restore), unused)) const int cancel_before = kin__os_cancel_hold()

/* ---- cpu.c --------------------------------------------------------------------------------- */

/* CPUs this process may use: affinity, cgroup v1 and v2 quota (rounded up), at least 1. */
int kin__os_cpu_count(void);
/* It says that many from here on: this process runs on some of them only, but others run on the others. */
void kin__os_cpu_count_stays(int count);

#endif
