/* family/sealed.c - see sealed.h. */
#include "family/sealed.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/guard.h"
#include "family/units.h"
#include "os/os.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

intptr_t kin__alias;

/* Each open chunk, in no order. */
struct window {
    const void *arena;
    const char *start;
    size_t size;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct window *windows;
static size_t count, room;
static size_t page;

static void *common_at(uint64_t offset)
{
    return (void *)(kin__region_base + offset);
}

/* False: some of it can still be written. */
static bool forbid_all(void)
{
    struct kin__part parts[KIN__PARTS];
    kin__parts(parts);
    for (unsigned i = 0; i < KIN__PARTS; i++)
        if (!kin__os_protect(common_at(parts[i].from), parts[i].to - parts[i].from, KIN__OS_READ))
            return false;
    return true;
}

int kin__seal(void)
{
    if (kin__is_sealed())
        return 0;
    if (!kin__region_has_fd())
        return kin__fail(KIN_ESYSTEM, "cannot seal this process: the program has closed kin's descriptor %d",
                         kin__region_fd);
    void *alias;
    int error = kin__os_map_hidden(kin__region_fd, kin__region_size, &alias);
    if (error)
        return error;
    if (!forbid_all()) {
        kin__os_unmap(alias, kin__region_size);
        return kin__fail(KIN_ESYSTEM, "could not seal this process: the system does not protect its memory");
    }
    page = (size_t)sysconf(_SC_PAGESIZE);
    kin__alias = (intptr_t)((uintptr_t)alias - kin__region_base);
    kin__open_size = 0;
    kin__region = alias;
    kin__units_attach();
    return 0;
}

KIN__IN_CHILD void kin__sealed_forked(void)
{
    if (!kin__is_sealed())
        return;
    kin__mutex_forked(&mutex);
    for (size_t i = 0; i < count; i++)
        kin__os_protect((char *)windows[i].start + page, windows[i].size - page, KIN__OS_READ);
    count = 0;
    kin__sealed_heap_forked();
}

int kin__sealed_refuse(const char *what)
{
    return kin__is_sealed() ? kin__fail(KIN_EPERM, "cannot %s: this process is sealed", what) : 0;
}

size_t kin__sealed_page(void)
{
    return page;
}

static bool make_room(void)
{
    if (count < room)
        return true;
    size_t more = room ? 2 * room : 16;
    struct window *larger = realloc(windows, more * sizeof *larger);
    if (!larger)
        return false;
    windows = larger;
    room = more;
    return true;
}

int kin__window_open(const void *arena, const void *chunk, size_t size)
{
    pthread_mutex_lock(&mutex);
    bool opened = make_room() && kin__os_protect((char *)chunk + page, size - page, KIN__OS_WRITE);
    if (opened)
        windows[count++] = (struct window){arena, chunk, size};
    pthread_mutex_unlock(&mutex);
    return opened ? 0
                  : kin__fail(KIN_ENOMEM, "could not open %zu bytes for writing in a sealed process", size);
}

bool kin__window_is_open(const void *chunk)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < count && !found; i++)
        found = (uintptr_t)chunk - (uintptr_t)windows[i].start < windows[i].size;
    pthread_mutex_unlock(&mutex);
    return found;
}

/* The chunk's, or all of the arena's. */
static void close_those(const void *arena, const void *chunk)
{
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < count;) {
        struct window *window = &windows[i];
        if ((!arena || window->arena != arena) && (!chunk || window->start != chunk)) {
            i++;
            continue;
        }
        if (!kin__os_protect((char *)window->start + page, window->size - page, KIN__OS_READ))
            kin__panic("a sealed process could not give up what it could write");
        windows[i] = windows[--count];
    }
    pthread_mutex_unlock(&mutex);
}

void kin__window_close(const void *chunk)
{
    if (kin__is_sealed())
        close_those(NULL, chunk);
}

void kin__windows_close(const void *arena)
{
    if (kin__is_sealed())
        close_those(arena, NULL);
}
