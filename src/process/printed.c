/*
 * process/printed.c - see printed.h.
 *
 * A process holds the reading ends of its own pipes open, without ever reading. When its starter dies the pipes would
 * otherwise have no reader for a moment before the parent-death signal comes, and a print in that moment would be SIGPIPE: an
 * end in which what the process has started is not ended.
 */
#include "process/printed.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/region.h"
#include "os/os.h"
#include "os/raw.h"
#include "process/process_shared.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LAST_MAX 160 /* bytes of a line in a message */
#define TAIL_MAX 1024
#define LOOKS 1000 /* at a turn that does not end */

static int held[2]; /* 1 more than the descriptor; 0: none */
static struct kin__file held_files[2];
static const char *const own_ends[2] = {"/proc/thread-self/fd/1", "/proc/thread-self/fd/2"};

size_t kin__printed_size(int mode)
{
    if (mode == KIN_OUTPUT_DEFAULT || mode == KIN_OUTPUT_PASS)
        return 0;
    return sizeof(struct kin__printed) + (mode == KIN_OUTPUT_CAPTURE ? KIN__KEPT : 0);
}

void kin__printed_redirect(const int write_fd[2])
{
    for (int i = 0; i < 2; i++)
        if (write_fd[i] >= 0)
            kin__raw(SYS_dup3, write_fd[i], i + 1, 0, 0, 0);
}

/* Under forkserver: the starter's descriptors were not there when the template was made. */
static bool fetch(const struct kin__printed *printed)
{
    for (int i = 0; i < 2; i++) {
        char path[64];
        if (printed->write_fd[i] < 0)
            continue;
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)printed->starter, (int)printed->write_fd[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0) {
            kin__fail_errno(KIN_ESYSTEM, errno, "could not open %s, to print to", path);
            return false;
        }
        if (fd == i + 1) /* the template had been started without it */
            fcntl(fd, F_SETFD, 0);
        else {
            dup2(fd, i + 1);
            close(fd);
        }
    }
    return true;
}

KIN__IN_CHILD bool kin__printed_begin(const struct kin_process *process)
{
    const struct kin__printed *printed = process->printed;
    if (!printed)
        return true;
    if (process->start_method == KIN_START_FORKSERVER && !fetch(printed))
        return false;
    for (int i = 0; i < 2; i++) {
        if (printed->write_fd[i] < 0 || (i && printed->write_fd[1] == printed->write_fd[0]))
            continue;
        held[i] = kin__os_high(open(own_ends[i], O_RDONLY | O_CLOEXEC)) + 1;
        held_files[i] = kin__os_file_of(held[i] - 1);
    }
    /* With a buffer of its own: else libc would go on as it did before, for single characters. It is never freed, and as
     * large as what a pipe takes at once, without mixing it with what others write. */
    char *buffer = printed->write_fd[0] >= 0 ? malloc(PIPE_BUF) : NULL;
    if (buffer)
        setvbuf(stdout, buffer, _IOLBF, PIPE_BUF);
    return true;
}

KIN__IN_CHILD void kin__printed_forked(void)
{
    for (int i = 0; i < 2; i++)
        if (held[i]) {
            kin__os_file_close(held[i] - 1, &held_files[i]);
            held[i] = 0;
        }
}

uint64_t kin__printed_so_far(const struct kin_process *process)
{
    struct kin__printed *printed = process->printed;
    if (!printed || printed->mode != KIN_OUTPUT_CAPTURE || !held[0])
        return 0;
    kin__os_flush_output();
    int unread = 0;
    uint64_t taken = 0;
    for (int looks = 0; looks < LOOKS; looks++) {
        /* Acquire, and the fence: partners in the relay's begin_turn and end_turn. */
        uint32_t turn = atomic_load_explicit(&printed->turn, memory_order_acquire);
        taken = atomic_load_explicit(&printed->taken, memory_order_relaxed);
        if (!kin__os_file_is(held[0] - 1, &held_files[0]) || ioctl(held[0] - 1, FIONREAD, &unread) != 0)
            unread = 0;
        atomic_thread_fence(memory_order_acquire);
        if (!(turn & 1) && atomic_load_explicit(&printed->turn, memory_order_relaxed) == turn)
            break;
    }
    return taken + (uint64_t)(unread > 0 ? unread : 0);
}

/* ---- anybody's --------------------------------------------------------------------------------- */

/* Of what is kept, the bytes from `from` on; how many. */
static size_t copy_kept(const struct kin__printed *printed, uint64_t from, unsigned char out[KIN__KEPT],
                        uint64_t *taken)
{
    size_t count = 0;
    for (int looks = 0; looks < LOOKS; looks++) {
        uint32_t turn = atomic_load_explicit(&printed->turn, memory_order_acquire); /* partners: as above */
        *taken = atomic_load_explicit(&printed->taken, memory_order_relaxed);
        uint64_t first = *taken > KIN__KEPT ? *taken - KIN__KEPT : 0;
        first = first < from ? from : first;
        count = first < *taken ? (size_t)(*taken - first) : 0;
        for (size_t i = 0; i < count;) {
            size_t at = (first + i) % KIN__KEPT;
            size_t part = KIN__KEPT - at < count - i ? KIN__KEPT - at : count - i;
            memcpy(out + i, printed->kept + at, part);
            i += part;
        }
        atomic_thread_fence(memory_order_acquire);
        if (!(turn & 1) && atomic_load_explicit(&printed->turn, memory_order_relaxed) == turn)
            break;
    }
    return count;
}

static const struct kin__printed *captured(const struct kin_process *process)
{
    const struct kin__printed *printed = process->printed;
    if (!kin__region_holds(printed) || printed->mode != KIN_OUTPUT_CAPTURE ||
        !kin__region_holds(printed->kept + KIN__KEPT))
        return NULL;
    return printed;
}

size_t kin__printed_tail(const struct kin_process *process, uint64_t from, char *buffer, size_t size,
                         uint64_t *taken)
{
    const struct kin__printed *printed = captured(process);
    unsigned char kept[KIN__KEPT];
    *buffer = '\0';
    *taken = 0;
    if (!printed)
        return 0;
    size_t count = copy_kept(printed, from, kept, taken), skip = 0;
    if (count > size - 1)
        skip = count - (size - 1);
    bool cut = skip || *taken - count > from;
    const unsigned char *end = cut && count > skip ? memchr(kept + skip, '\n', count - skip) : NULL;
    if (end && (size_t)(end - kept) + 1 < count && !(skip && kept[skip - 1] == '\n'))
        skip = (size_t)(end - kept) + 1;
    memcpy(buffer, kept + skip, count - skip);
    buffer[count - skip] = '\0';
    return count - skip;
}

char *kin__printed_quote(const char *printed, char *buffer, size_t size)
{
    char line[LAST_MAX + 1];
    size_t length = strlen(printed);
    *buffer = '\0';
    while (length > 0 && isspace((unsigned char)printed[length - 1]))
        length--;
    size_t begin = length;
    while (begin > 0 && printed[begin - 1] != '\n' && length - begin < LAST_MAX)
        begin--;
    snprintf(line, sizeof line, "%.*s", (int)(length - begin), printed + begin);
    for (char *at = line; *at; at++)
        if (iscntrl((unsigned char)*at))
            *at = '?';
    if (*line)
        snprintf(buffer, size, "; it last printed \"%s\"", line);
    return buffer;
}

char *kin__printed_last(const struct kin_process *process, char *buffer, size_t size)
{
    char tail[TAIL_MAX];
    uint64_t taken;
    kin__printed_tail(process, 0, tail, sizeof tail, &taken);
    return kin__printed_quote(tail, buffer, size);
}

int kin_process_output(struct kin_process *process, char *buffer, size_t size, size_t *printed)
{
    int error = kin__process_check(process, "ask for the output");
    if (error)
        return error;
    if (!buffer || !size)
        return kin__fail(KIN_EINVAL, "cannot tell what process \"%s\" printed: no place to tell it",
                         process->name);
    kin__id id = process->id;
    uint64_t taken;
    kin__printed_tail(process, 0, buffer, size, &taken);
    if (printed)
        *printed = (size_t)taken;
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load(&process->magic) == KIN__PROCESS_MAGIC && process->id == id)
        return 0;
    return kin__fail(KIN_EINVAL, "cannot tell what it printed: the process was freed meanwhile");
}
