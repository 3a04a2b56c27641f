/* process/carried.c - see carried.h. */
#include "process/carried.h"

#include "base/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void add(struct kin__carrying *carrying, const void *pointer)
{
    const struct kin__handle *handle = pointer;
    uint32_t place = kin__handle_place(pointer);
    for (uint32_t i = 0; i < carrying->count; i++)
        if (carrying->each[i].place == place)
            return;
    uint32_t magic = kin__handle_is(pointer, KIN__CONNECTION_MAGIC) ? KIN__CONNECTION_MAGIC : 0;
    if (!magic || kin__handle_enter(pointer, magic, "carry") != 0)
        return; /* closed, or a listener, which only forks inherit: the child is told when it uses it */
    if (carrying->count == KIN__CARRIED_MOST) {
        carrying->too_many = true;
        kin__handle_leave(pointer);
        return;
    }
    carrying->each[carrying->count++] =
        (struct kin__carried_one){.place = place, .magic = magic, .flags = handle->flags, .fd = handle->fd};
}

void kin__carrying_find(struct kin__carrying *carrying, const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    if (!from || !kin__handles_any())
        return;
    for (size_t at = -(uintptr_t)from % sizeof(void *); at + sizeof(void *) <= size; at += sizeof(void *)) {
        void *word;
        memcpy(&word, from + at, sizeof word);
        if (kin__handle_area_holds(word))
            add(carrying, word);
    }
}

void kin__carrying_end(const struct kin__carrying *carrying)
{
    for (uint32_t i = 0; i < carrying->count; i++)
        if (carrying->each[i].place != KIN__NO_PLACE)
            kin__handle_leave(kin__handle_at(carrying->each[i].place));
}

int kin__carried_copy(const struct kin__carried *carried, int copies[KIN__CARRIED_MOST])
{
    for (uint32_t i = 0; i < carried->count; i++) {
        copies[i] = fcntl(carried->each[i].fd, F_DUPFD_CLOEXEC, KIN__CARRIED_FROM + (int)carried->count);
        if (copies[i] >= 0)
            continue;
        int error = errno;
        while (i)
            close(copies[--i]);
        return kin__fail_errno(KIN_ESYSTEM, error, "could not hand connections to a process");
    }
    return 0;
}

int kin__carried_install(const struct kin__carried *carried, const int *fds)
{
    for (uint32_t i = 0; i < carried->count; i++) {
        const struct kin__carried_one *one = &carried->each[i];
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        if (one->place == KIN__NO_PLACE)
            continue;
        int error = kin__handle_put(one->place, (enum kin__object_magic)one->magic, one->flags, fds[i]);
        if (error)
            return error;
    }
    return 0;
}
