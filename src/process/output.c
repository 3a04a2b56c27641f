/* process/output.c - see output.h. */
#include "process/output.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "base/log.h"
#include "base/screen.h"
#include "family/guardian.h"
#include "os/os.h"
#include "process/printed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536u
#define PORTION \
    4096u /* of lines: as much is atomic for a pipe, and there is room for it where there is any */
#define PREFIX_MAX 40u
#define LOOK_AGAIN_MS 10
#define PERIOD_MS 500 /* how long it may stay unnoticed that the program has closed the poke */
#define PERIOD 0.1    /* seconds */
#define DROP_PATIENCE 1.0

struct stream {
    struct stream *next;
    kin__id of;                   /* 0: the process is gone, others hold the pipe still */
    int fd;                       /* -1: at its end */
    int write_fd;                 /* -1: the process has it alone */
    struct kin__file file;        /* that both are of: the program may have closed them, and opened its own */
    int to;                       /* STDOUT_FILENO, STDERR_FILENO; 0: it is captured */
    bool begun;                   /* the process was made, or will not be */
    bool ended;                   /* nothing more of the process itself */
    bool stalled;                 /* what it goes to would make the relay wait */
    bool busy;                    /* the relay is at it */
    uint32_t asked, answered;     /* all that is there now is to be told, and was */
    nfds_t slot;                  /* among what the relay waits for; 0: it does not */
    struct kin__printed *printed; /* captured: until the object goes */
    size_t prefix;
    char name[PREFIX_MAX];
    size_t begin, lines; /* the whole lines that are to be printed: from, to */
    size_t length;       /* with the half line behind them */
    char line[LINE_MAX_BYTES];
};

/* What the relay waits for: the poke, the streams in their order, what stalled ones go to. */
struct waits {
    struct pollfd *polled;
    size_t room;
};

/* Beside each other, and all zero until something is relayed. */
static struct {
    pthread_mutex_t mutex;
    pthread_mutex_t start_mutex; /* held while the relay is started or stopped; before the other */
    pthread_cond_t told;
    struct stream *first; /* by the mutex */
    pthread_t thread;
    _Atomic bool running; /* by start_mutex */
    bool quit;
    _Atomic int changing; /* threads that are about to take start_mutex, or have it */
    bool forking;         /* the mutex is held by who forks */
    bool dropped;         /* some of it could not be written: logged once */
    bool lost;            /* the program has closed a pipe of kin's: to be logged */
    int poke_fds[2]; /* sockets: nothing is written into what may be the program's by now; by the mutex */
    struct kin__file poke_files[2];
    char *whole;            /* the relay's: room for a line and its prefix */
    struct stream *open[3]; /* the same: of which a piece of a line was printed there */
    struct waits waits;     /* the same */
} relay = {.mutex = PTHREAD_MUTEX_INITIALIZER, .start_mutex = PTHREAD_MUTEX_INITIALIZER};

static void init_condition(void)
{
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&relay.told, &how);
    pthread_condattr_destroy(&how);
}

/* Under the mutex. */
static bool has_poke(void)
{
    return kin__os_file_is(relay.poke_fds[0], &relay.poke_files[0]) &&
           kin__os_file_is(relay.poke_fds[1], &relay.poke_files[1]);
}

/* Under the mutex. If it is full, it has been poked enough. No signal where the program has closed the other end, as a pipe would have
 * it; and no byte in what is no socket. */
static void poke(void)
{
    if (kin__output_runs() && has_poke() && send(relay.poke_fds[1], "", 1, MSG_NOSIGNAL) < 0)
        return;
}

static void drop_poke(void)
{
    for (int i = 0; i < 2; i++)
        kin__os_file_close(relay.poke_fds[i], &relay.poke_files[i]);
}

/* 0 or errno. */
static int new_poke(void)
{
    int ends[2];
    drop_poke(); /* one of its ends may be there still */
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return errno;
    for (int i = 0; i < 2; i++) {
        relay.poke_files[i] = kin__os_file_of(ends[i]);
        relay.poke_fds[i] = kin__os_high(ends[i]);
    }
    if (relay.poke_fds[0] >= 0 && relay.poke_fds[1] >= 0)
        return 0;
    int error = errno;
    drop_poke();
    return error;
}

/* Under the mutex. The program may have closed its end of the pipe: the process has one of its own, which it was given for
 * asking how much is in it (printed.c). */
static bool reopen(struct stream *stream)
{
    char path[48];
    const struct kin__member *member = stream->of ? kin__member_find(stream->of) : NULL;
    if (!member)
        return false;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)atomic_load(&member->pid),
             stream->to ? stream->to : STDOUT_FILENO);
    struct stat about;
    bool same =
        stat(path, &about) == 0 && S_ISFIFO(about.st_mode); /* it may have turned it to a device since */
    int fd = same ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1;
    if (fd >= 0 && !kin__os_file_is(fd, &stream->file)) {
        close(fd);
        fd = -1;
    }
    stream->fd = kin__os_high(fd);
    return stream->fd >= 0;
}

/* Under the mutex. If not, it is at its end. */
static bool is_there(struct stream *stream)
{
    if (kin__os_file_is(stream->fd, &stream->file) || reopen(stream))
        return true;
    stream->fd = -1;
    stream->stalled = false;
    relay.lost = true;
    return false;
}

/* ---- the relay: what becomes of bytes ----------------------------------------------------------- */

/* Whether writing there waits for nobody, as far as can be told; errors wait for nobody. */
static bool is_ready(int fd)
{
    struct pollfd one = {.fd = fd, .events = POLLOUT};
    return poll(&one, 1, 0) != 0;
}

/* Of which it is known only that there is room for PORTION bytes. */
static bool is_pipe(int fd)
{
    struct stat file;
    return fstat(fd, &file) == 0 && (S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode));
}

static void print(const struct stream *stream, const char *text, size_t length)
{
    int error = kin__screen_write(stream->to, text, length);
    if (!error || relay.dropped)
        return;
    relay.dropped = true;
    char why[64];
    kin_log(KIN_LOG_WARNING, "what processes print is dropped: it cannot be written to %s: %s",
            stream->to == STDOUT_FILENO ? "stdout" : "stderr", strerror_r(error, why, sizeof why));
}

/* Some of the whole lines, each behind its prefix, in one write; or a piece of one that is longer, while others' lines wait.
 * False: what they go to would make the relay wait. */
static bool print_portion(struct stream *stream)
{
    struct stream **open = &relay.open[stream->to];
    size_t used = 0;
    if ((*open && *open != stream) || !is_ready(stream->to))
        return false;
    do {
        const char *line = stream->line + stream->begin;
        const char *end = memchr(line, '\n', stream->lines - stream->begin);
        size_t length = (size_t)(end - line) + 1, prefix = *open ? 0 : stream->prefix;
        bool fits = prefix + length <= PORTION - used;
        if (!fits && used)
            break;
        bool cut = !fits && is_pipe(stream->to);
        if (cut)
            length = PORTION - prefix;
        *open = cut ? stream : NULL;
        memcpy(relay.whole + used, stream->name, prefix);
        memcpy(relay.whole + used + prefix, line, length);
        used += prefix + length;
        stream->begin += length;
    } while (stream->begin < stream->lines && used < PORTION && !*open);
    print(stream, relay.whole, used);
    return true;
}

static bool has_lines(const struct stream *stream)
{
    return stream->begin < stream->lines;
}

/* What has been read lies behind the half line. A line that does not fit becomes several. */
static void find_lines(struct stream *stream, size_t count)
{
    const char *end = memrchr(stream->line + stream->length, '\n', count);
    stream->length += count;
    if (end)
        stream->lines = (size_t)(end - stream->line) + 1;
    else if (stream->length == LINE_MAX_BYTES - 1) {
        stream->line[stream->length++] = '\n';
        stream->lines = stream->length;
    }
}

/* There will be no more of it. */
static void end_line(struct stream *stream)
{
    if (stream->length == stream->lines)
        return;
    stream->line[stream->length++] = '\n'; /* find_lines leaves room */
    stream->lines = stream->length;
}

static void keep(struct kin__printed *printed, const char *text, size_t count)
{
    uint64_t taken = atomic_load_explicit(&printed->taken, memory_order_relaxed);
    for (size_t i = 0; i < count;) {
        size_t at = (taken + i) % KIN__KEPT;
        size_t part = KIN__KEPT - at < count - i ? KIN__KEPT - at : count - i;
        memcpy(printed->kept + at, text + i, part);
        i += part;
    }
    atomic_store_explicit(&printed->taken, taken + count, memory_order_relaxed);
}

/* Partners in kin__printed_so_far and copy_kept. */
static void begin_turn(struct kin__printed *printed)
{
    atomic_store_explicit(&printed->turn, atomic_load_explicit(&printed->turn, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void end_turn(struct kin__printed *printed)
{
    atomic_store_explicit(&printed->turn, atomic_load_explicit(&printed->turn, memory_order_relaxed) + 1,
                          memory_order_release);
}

static ssize_t read_some(const struct stream *stream, char *to, size_t most)
{
    ssize_t count;
    do
        count = read(stream->fd, to, most);
    while (count < 0 && errno == EINTR);
    return count;
}

/* To be printed: when all whole lines have been. As read(2), as is the next. */
static ssize_t take_lines(struct stream *stream)
{
    stream->length -= stream->begin;
    memmove(stream->line, stream->line + stream->begin, stream->length);
    stream->begin = stream->lines = 0;
    ssize_t count = read_some(stream, stream->line + stream->length, LINE_MAX_BYTES - 1 - stream->length);
    if (count > 0)
        find_lines(stream, (size_t)count);
    return count;
}

static ssize_t take_captured(struct stream *stream)
{
    if (stream->printed)
        begin_turn(stream->printed);
    ssize_t count = read_some(stream, stream->line, KIN__KEPT);
    if (stream->printed) {
        if (count > 0)
            keep(stream->printed, stream->line, (size_t)count);
        end_turn(stream->printed);
    }
    return count;
}

/* What came of a stream's turn. */
struct turn {
    bool all, ended; /* in: all that is there is asked for; and it is the last */
    bool stalled, at_end;
};

/* Without the mutex. Some bytes; or `all` that are in the pipe now. */
static void take_turn(struct stream *stream, struct turn *turn)
{
    int unread = 0;
    bool last_look = turn->ended; /* mostly the end is right behind */
    bool reading = true;
    if (turn->all)
        ioctl(stream->fd, FIONREAD, &unread);
    while (reading || has_lines(stream)) {
        if (has_lines(stream)) {
            turn->stalled = !print_portion(stream);
            if (turn->stalled)
                return;
            continue;
        }
        ssize_t count = stream->to ? take_lines(stream) : take_captured(stream);
        turn->at_end = count == 0 || (count < 0 && errno != EAGAIN);
        unread -= count > 0 ? (int)count : unread;
        reading = unread > 0 || (count > 0 && last_look);
        last_look = last_look && unread > 0;
        if (!reading && stream->to && (turn->at_end || (turn->ended && turn->all)))
            end_line(stream);
    }
}

/* One turn of a stream, under the mutex, which is given up meanwhile. */
static void serve(struct stream *stream)
{
    if (!is_there(stream))
        return;
    struct turn turn = {.all = stream->asked != stream->answered, .ended = stream->ended};
    uint32_t asked = stream->asked;
    stream->busy = true;
    pthread_mutex_unlock(&relay.mutex);
    take_turn(stream, &turn);
    pthread_mutex_lock(&relay.mutex);
    stream->busy = false;
    stream->stalled = turn.stalled;
    if (turn.all && !turn.stalled)
        stream->answered = asked;
    if (turn.at_end && !turn.stalled) {
        kin__os_file_close(stream->fd, &stream->file);
        stream->fd = -1;
    }
    pthread_cond_broadcast(&relay.told);
}

/* ---- the relay: its loop ------------------------------------------------------------------------- */

/* Under the mutex. False: no memory; then all are looked at after a while. */
static bool list_waits(nfds_t *count)
{
    struct waits *waits = &relay.waits;
    bool stalled[3] = {false};
    size_t needed = 3;
    for (const struct stream *stream = relay.first; stream; stream = stream->next)
        needed++;
    if (needed > waits->room) {
        struct pollfd *more = realloc(waits->polled, 2 * needed * sizeof *more);
        if (!more)
            return false;
        waits->polled = more;
        waits->room = 2 * needed;
    }
    nfds_t used = 0;
    if (!has_poke() && new_poke() != 0)
        return false;
    waits->polled[used++] = (struct pollfd){.fd = relay.poke_fds[0], .events = POLLIN};
    for (struct stream *stream = relay.first; stream; stream = stream->next) {
        bool wanted = stream->begun && stream->fd >= 0 && !stream->stalled && is_there(stream);
        stream->slot = wanted ? used : 0;
        if (wanted)
            waits->polled[used++] = (struct pollfd){.fd = stream->fd, .events = POLLIN};
        if (stream->stalled && stream->fd >= 0)
            stalled[stream->to] = true;
    }
    for (int to = STDOUT_FILENO; to <= STDERR_FILENO; to++)
        if (stalled[to])
            waits->polled[used++] = (struct pollfd){.fd = to, .events = POLLOUT};
    *count = used;
    return true;
}

/* Under the mutex; `polled` NULL: not known what there is. */
static void serve_all(const struct pollfd *polled)
{
    for (struct stream *stream = relay.first; stream; stream = stream->next) {
        bool may = !polled || stream->stalled || (stream->slot && polled[stream->slot].revents);
        if (stream->begun && stream->fd >= 0 && (may || stream->asked != stream->answered))
            serve(stream);
    }
}

/* Those that have been told to their end go. Under the mutex. */
static void sweep(void)
{
    for (struct stream **link = &relay.first; *link;) {
        struct stream *stream = *link;
        if (stream->fd < 0)
            stream->answered = stream->asked;
        if (stream->ended && stream->answered == stream->asked) {
            stream->of = 0;
            stream->printed = NULL;
        }
        if (stream->of || stream->fd >= 0) {
            link = &stream->next;
        } else {
            *link = stream->next;
            free(stream);
        }
    }
    pthread_cond_broadcast(&relay.told);
}

static void empty_poke(void)
{
    char pokes[64];
    while (kin__os_file_is(relay.poke_fds[0], &relay.poke_files[0]) &&
           read(relay.poke_fds[0], pokes, sizeof pokes) == sizeof pokes)
        continue;
}

static void *run(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "kin-output");
    pthread_mutex_lock(&relay.mutex);
    while (!relay.quit) {
        nfds_t count = 0;
        bool listed = list_waits(&count), lost = relay.lost;
        relay.lost = false;
        pthread_mutex_unlock(&relay.mutex);
        if (lost)
            kin_log(KIN_LOG_WARNING,
                    "what a process prints is lost: the program has closed a descriptor that is kin's");
        poll(relay.waits.polled, count, listed ? PERIOD_MS : LOOK_AGAIN_MS);
        pthread_mutex_lock(&relay.mutex);
        empty_poke();
        serve_all(listed ? relay.waits.polled : NULL);
        sweep();
    }
    pthread_mutex_unlock(&relay.mutex);
    return NULL;
}

/* ---- starting and stopping it -------------------------------------------------------------------- */

static void lock_start(void)
{
    atomic_fetch_add(&relay.changing, 1);
    pthread_mutex_lock(&relay.start_mutex);
}

static void unlock_start(void)
{
    pthread_mutex_unlock(&relay.start_mutex);
    atomic_fetch_sub(&relay.changing, 1);
}

/* What a relay that is no more had. */
static void clear_relay(void)
{
    drop_poke();
    free(relay.whole);
    free(relay.waits.polled);
    relay.waits = (struct waits){0};
}

/* Under start_mutex. */
static int start_relay(void)
{
    if (atomic_load(&relay.running))
        return 0;
    init_condition();
    relay.quit = false;
    int error = new_poke();
    relay.whole = malloc(LINE_MAX_BYTES + PREFIX_MAX);
    if (!error && !relay.whole)
        error = ENOMEM;
    if (!error) /* no SIGPIPE is for it: a write that nobody reads is an error, not the program's end */
        error = kin__os_thread_start(&relay.thread, run, NULL);
    if (!error) {
        atomic_store(&relay.running, true);
        kin__own_threads_add(1);
        return 0;
    }
    drop_poke();
    free(relay.whole);
    return kin__fail_errno(KIN_ESYSTEM, error, "could not start the thread that reads processes' output");
}

/* With the last stream its work is done; a fork beside a thread is dearer. `surely`: whatever is left. */
static void stop_relay(bool surely)
{
    lock_start();
    pthread_mutex_lock(&relay.mutex);
    bool stop = atomic_load(&relay.running) && (surely || !relay.first);
    if (stop) {
        relay.quit = true;
        poke();
    }
    pthread_mutex_unlock(&relay.mutex);
    if (stop) {
        pthread_join(relay.thread, NULL);
        atomic_store(&relay.running, false);
        kin__own_threads_add(-1);
        clear_relay();
    }
    unlock_start();
}

KIN__IN_CHILD bool kin__output_runs(void)
{
    return atomic_load_explicit(&relay.running, memory_order_relaxed);
}

/* ---- streams of a process ------------------------------------------------------------------------ */

int kin__output_check(int mode, const char *what)
{
    if (mode >= KIN_OUTPUT_DEFAULT && mode <= KIN_OUTPUT_CAPTURE)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot start %s with output %d: it is not one of enum kin_output", what,
                     mode);
}

static int new_stream(const kin_process *process, int to, int *write_fd)
{
    int ends[2];
    struct stream *stream = malloc(sizeof *stream);
    if (!stream)
        return kin__fail(KIN_ENOMEM, "could not start process \"%s\": out of private memory", process->name);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        int error = errno;
        free(stream);
        return kin__fail_errno(KIN_ESYSTEM, error, "could not make a pipe for the output of process \"%s\"",
                               process->name);
    }
    memset(stream, 0, offsetof(struct stream, line)); /* the rest is touched when it is used */
    stream->of = process->id;
    stream->file = kin__os_file_of(ends[0]);
    stream->fd = kin__os_high(ends[0]);
    stream->write_fd = kin__os_high(ends[1]);
    stream->to = to;
    fcntl(stream->fd, F_SETFL, O_NONBLOCK);
    if (process->printed->mode == KIN_OUTPUT_PREFIX) {
        snprintf(stream->name, sizeof stream->name, "[%s] ", process->name);
        stream->prefix = strlen(stream->name);
    }
    if (!to)
        stream->printed = process->printed;
    *write_fd = stream->write_fd;
    pthread_mutex_lock(&relay.mutex);
    stream->next = relay.first;
    relay.first = stream;
    pthread_mutex_unlock(&relay.mutex);
    return 0;
}

/* Then one pipe serves both, and keeps the order. */
static bool same_place(void)
{
    struct stat out, err;
    return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 && out.st_dev == err.st_dev &&
           out.st_ino == err.st_ino;
}

static int open_streams(const kin_process *process, struct kin__printed *printed)
{
    bool terminals = printed->mode == KIN__OUTPUT_TERMINAL;
    int error = 0;
    if (printed->mode == KIN_OUTPUT_CAPTURE || same_place()) {
        int to = printed->mode == KIN_OUTPUT_CAPTURE ? 0 : STDOUT_FILENO;
        if (!terminals || isatty(STDOUT_FILENO))
            error = new_stream(process, to, &printed->write_fd[0]);
        printed->write_fd[1] = printed->write_fd[0];
        return error;
    }
    for (int i = 0; i < 2 && !error; i++)
        if (!terminals || isatty(i + 1))
            error = new_stream(process, i + 1, &printed->write_fd[i]);
    return error;
}

int kin__output_open(kin_process *process)
{
    struct kin__printed *printed = process->printed;
    printed->write_fd[0] = printed->write_fd[1] = -1;
    printed->starter = (int32_t)getpid();
    lock_start();
    int error = start_relay();
    if (!error)
        error = open_streams(process, printed);
    unlock_start();
    if (error) {
        kin__output_started(process);
        kin__output_drop(process->id);
    }
    if (error && printed->mode == KIN__OUTPUT_TERMINAL) { /* nobody has asked for it: then it passes */
        printed->write_fd[0] = printed->write_fd[1] = -1;
        error = 0;
    }
    return error;
}

static void close_write_end(struct stream *stream)
{
    kin__os_file_close(stream->write_fd, &stream->file);
    stream->write_fd = -1;
}

/* A template's child comes for it by itself, when it gets to it: there it stays until the child's end. */
void kin__output_started(const kin_process *process)
{
    pthread_mutex_lock(&relay.mutex);
    for (struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->of == process->id && !stream->begun) {
            if (process->start_method != KIN_START_FORKSERVER)
                close_write_end(stream);
            stream->begun = true;
        }
    poke();
    pthread_mutex_unlock(&relay.mutex);
}

/* Under the mutex. */
static void ask_last(kin__id id)
{
    for (struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->of == id && !stream->ended) {
            close_write_end(stream);
            stream->ended = true;
            stream->asked++;
            poke();
        }
}

void kin__output_ended(kin__id id)
{
    pthread_mutex_lock(&relay.mutex);
    ask_last(id);
    pthread_mutex_unlock(&relay.mutex);
}

/* Under the mutex. `id` 0: of any process. */
static bool owes(kin__id id)
{
    for (const struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->asked != stream->answered && (!id || stream->of == id))
            return true;
    return false;
}

/* For callers whose thread may be cancelled: that waits while the mutex is held. */
static void lock_relay(int *cancel_before)
{
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, cancel_before);
    pthread_mutex_lock(&relay.mutex);
}

static void unlock_relay(int cancel_before)
{
    pthread_mutex_unlock(&relay.mutex);
    pthread_setcancelstate(cancel_before, NULL);
}

/* By who has it by lock_relay: cancelled between two periods, if at all. */
static bool wait_until_told(kin__id id, double deadline, int *cancel_before)
{
    bool owed;
    while ((owed = owes(id)) && kin__os_left(deadline) > 0) {
        double left = kin__os_left(deadline);
        struct timespec until = kin__os_moment_in((uint64_t)((left < PERIOD ? left : PERIOD) * 1e9));
        pthread_cond_timedwait(&relay.told, &relay.mutex, &until);
        unlock_relay(*cancel_before);
        pthread_testcancel();
        lock_relay(cancel_before);
    }
    return !owed;
}

bool kin__output_wait(kin__id id, double deadline)
{
    int cancel_before;
    lock_relay(&cancel_before);
    ask_last(id); /* whoever settled its end may have been somebody else */
    bool told = wait_until_told(id, deadline, &cancel_before);
    unlock_relay(cancel_before);
    return told;
}

bool kin__output_sync(double deadline)
{
    int cancel_before;
    lock_relay(&cancel_before);
    for (struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->of)
            stream->asked++;
    poke();
    bool told = wait_until_told(0, deadline, &cancel_before);
    unlock_relay(cancel_before);
    return told;
}

static bool is_kept(kin__id id)
{
    for (struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->of == id) {
            if (!stream->busy)
                stream->printed = NULL;
            else if (stream->printed)
                return true;
        }
    return false;
}

void kin__output_drop(kin__id id)
{
    KIN__UNCANCELLED;
    kin__output_wait(id, kin__os_deadline(DROP_PATIENCE));
    pthread_mutex_lock(&relay.mutex);
    while (is_kept(id)) /* the relay copies, which waits for nobody */
        pthread_cond_wait(&relay.told, &relay.mutex);
    for (struct stream *stream = relay.first; stream; stream = stream->next)
        if (stream->of == id)
            stream->of = 0; /* what is in its pipe yet is told all the same */
    pthread_mutex_unlock(&relay.mutex);
    stop_relay(false);
}

KIN__IN_CHILD void kin__output_finish(void)
{
    if (!kin__output_runs())
        return;
    int cancel_before;
    lock_relay(&cancel_before);
    wait_until_told(0, KIN_FOREVER, &cancel_before);
    unlock_relay(cancel_before);
    stop_relay(true);
}

/* ---- fork ---------------------------------------------------------------------------------------- */

void kin__output_before_fork(void)
{
    if (!kin__output_runs())
        return;
    pthread_mutex_lock(&relay.mutex);
    relay.forking = true;
}

KIN__IN_CHILD void kin__output_after_fork(void)
{
    if (!relay.forking)
        return;
    relay.forking = false;
    pthread_mutex_unlock(&relay.mutex);
}

KIN__IN_CHILD void kin__output_forked(void)
{
    if (!kin__output_runs() && !relay.first && !atomic_load(&relay.changing))
        return;
    kin__mutex_forked(&relay.mutex);
    kin__mutex_forked(&relay.start_mutex);
    atomic_store(&relay.changing, 0);
    relay.forking = relay.dropped = false;
    memset(relay.open, 0, sizeof relay.open);
    if (kin__output_runs())
        clear_relay();
    atomic_store(&relay.running, false);
    while (relay.first) {
        struct stream *stream = relay.first;
        relay.first = stream->next;
        kin__os_file_close(stream->fd, &stream->file);
        close_write_end(stream);
        free(stream);
    }
}
