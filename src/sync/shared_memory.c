/* sync/shared_memory.c - see kin/shared_memory.h; how it works is in os/segment.h. */
#include "kin/shared_memory.h"

#include "base/failure.h"
#include "os/os.h"
#include "os/segment.h"
#include "sync/shared_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define NAMES_TRIED 100

struct kin_shared_memory {
    struct kin__segment segment;
    bool is_new;
    char name[KIN__SEGMENT_NAME_MAX + 1];
};

/* The name without its "/"; NULL: it is none. */
static const char *check_name(const char *given)
{
    const char *name = given;
    while (name && *name == '/')
        name++;
    if (name && *name && !strchr(name, '/') && strlen(name) <= KIN__SEGMENT_NAME_MAX &&
        strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        return name;
    kin__fail(KIN_EINVAL,
              "cannot use \"%.40s\" as the name of shared memory: it must have 1 to %u bytes, and no \"/\"",
              given ? given : "(NULL)", KIN__SEGMENT_NAME_MAX);
    return NULL;
}

static kin_shared_memory *new_handle(const char *name)
{
    kin_shared_memory *memory = calloc(1, sizeof *memory);
    if (memory)
        snprintf(memory->name, sizeof memory->name, "%s", name);
    else
        kin__fail(KIN_ENOMEM, "could not get memory for a handle of shared memory");
    return memory;
}

static int create(kin_shared_memory *memory, size_t bytes, const kin_shared_memory_options *options,
                  kin__segment_fill fill, const void *arg)
{
    unsigned mode = options->mode ? options->mode : 0600;
    for (;;) {
        int error =
            kin__segment_create(memory->name, bytes, mode, options->keep, fill, arg, &memory->segment);
        memory->is_new = !error;
        if (error != KIN_EBUSY || !options->attach)
            return error;
        error = kin__segment_attach(memory->name, &memory->segment);
        if (error != KIN_ENOTFOUND) /* else it went in between */
            return error;
    }
}

static int create_unnamed(kin_shared_memory *memory, size_t bytes, const kin_shared_memory_options *options,
                          kin__segment_fill fill, const void *arg)
{
    int error = KIN_EBUSY;
    for (int tries = 0; error == KIN_EBUSY && tries < NAMES_TRIED; tries++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random)
            random = kin__os_now_ns();
        snprintf(memory->name, sizeof memory->name, "kin_%016llx", (unsigned long long)random);
        error = create(memory, bytes, options, fill, arg);
    }
    return error;
}

kin_shared_memory *kin__shared_memory_create(const char *given, size_t bytes,
                                             const kin_shared_memory_options *how, kin__segment_fill fill,
                                             const void *arg)
{
    kin_shared_memory_options options;
    const char *name = "";
    if (kin__options_read(&options, sizeof options, how, "shared memory options") ||
        (given && !(name = check_name(given))))
        return NULL;
    if (bytes == 0 || bytes > PTRDIFF_MAX || options.mode & ~0777u) {
        kin__fail(KIN_EINVAL, "cannot make shared memory of %zu bytes with mode %o", bytes, options.mode);
        return NULL;
    }
    if (!given)
        options.attach = false;
    kin_shared_memory *memory = new_handle(name);
    if (memory && (given ? create(memory, bytes, &options, fill, arg)
                         : create_unnamed(memory, bytes, &options, fill, arg))) {
        free(memory);
        return NULL;
    }
    return memory;
}

kin_shared_memory *kin_shared_memory_create(const char *name, size_t bytes,
                                            const kin_shared_memory_options *options)
{
    KIN__UNCANCELLED;
    return kin__shared_memory_create(name, bytes, options, NULL, NULL);
}

kin_shared_memory *kin_shared_memory_attach(const char *given)
{
    KIN__UNCANCELLED;
    const char *name = check_name(given);
    kin_shared_memory *memory = name ? new_handle(name) : NULL;
    if (memory && kin__segment_attach(name, &memory->segment)) {
        free(memory);
        return NULL;
    }
    return memory;
}

void *kin_shared_memory_buf(const kin_shared_memory *memory)
{
    return memory ? memory->segment.at : NULL;
}

size_t kin_shared_memory_size(const kin_shared_memory *memory)
{
    return memory ? memory->segment.size : 0;
}

const char *kin_shared_memory_name(const kin_shared_memory *memory)
{
    return memory ? memory->name : NULL;
}

bool kin_shared_memory_is_new(const kin_shared_memory *memory)
{
    return memory && memory->is_new;
}

void kin_shared_memory_close(kin_shared_memory *memory)
{
    KIN__UNCANCELLED;
    if (memory)
        kin__segment_close(&memory->segment);
    free(memory);
}

int kin_shared_memory_unlink(const char *given)
{
    KIN__UNCANCELLED;
    const char *name = check_name(given);
    return name ? kin__segment_unlink(name) : KIN_EINVAL;
}

int kin_shared_memory_sweep(size_t *swept)
{
    KIN__UNCANCELLED;
    size_t count = kin__segments_sweep();
    if (swept)
        *swept = count;
    return 0;
}
