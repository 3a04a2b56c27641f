/* process/init.c - kin_init: found a family, or, as a spawned child, join one. */
#include "kin/init.h"

#include "base/failure.h"
#include "base/in_child.h"
#include "family/heap.h"
#include "family/member.h"
#include "family/region.h"
#include "kin/process.h"
#include "kin/start_method.h"
#include "os/segment.h"
#include "process/child.h"
#include "process/function.h"
#include "process/start.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t init_mutex = PTHREAD_MUTEX_INITIALIZER;

/* "512M" and the like; 0: not set. */
static int size_from_environment(const char *name, size_t *out)
{
    *out = 0;
    const char *text = getenv(name);
    if (!text || !*text)
        return 0;
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    int shift = 0;
    switch (*end) {
    case 'G':
    case 'g':
        shift += 10; /* fall through */
    case 'M':
    case 'm':
        shift += 10; /* fall through */
    case 'K':
    case 'k':
        shift += 10;
        end++;
        break;
    default:
        break;
    }
    if (end == text || *end || *text == '-' || value == 0 || value > (SIZE_MAX >> shift))
        return kin__fail(KIN_EINVAL, "cannot use %s=\"%s\": it must be a number of bytes, like 512M", name,
                         text);
    *out = (size_t)value << shift;
    return 0;
}

static int method_from_environment(int *method)
{
    const char *text = getenv("KIN_START_METHOD");
    if (*method != KIN_START_DEFAULT || !text || !*text)
        return 0;
    *method = kin_start_method_by_name(text);
    return *method > 0
               ? 0
               : kin__fail(KIN_EINVAL,
                           "cannot use KIN_START_METHOD=\"%s\": it must be fork, spawn or forkserver", text);
}

/* "heap", "pointers", or both with a comma. */
static int checks_from_environment(uint32_t *checks)
{
    const char *text = getenv("KIN_CHECK");
    *checks = 0;
    for (const char *at = text; at && *at;) {
        size_t length = strcspn(at, ",");
        if (length == 4 && strncmp(at, "heap", length) == 0)
            *checks |= KIN__CHECK_HEAP;
        else if (length == 8 && strncmp(at, "pointers", length) == 0)
            *checks |= KIN__CHECK_POINTERS;
        else
            return kin__fail(KIN_EINVAL,
                             "cannot use KIN_CHECK=\"%s\": it must be heap, pointers or heap,pointers", text);
        at += length + (at[length] == ',');
    }
    return 0;
}

static int found_family(const kin_init_options *given)
{
    kin_init_options options;
    int error = kin__options_read(&options, sizeof options, given, "init options");
    if (!error && !kin__start_method_ok(options.start_method))
        error = kin__fail(KIN_EINVAL, "cannot use start method %d: it is not one of enum kin_start_method",
                          options.start_method);
    if (!error && !options.heap_limit)
        error = size_from_environment("KIN_HEAP_LIMIT", &options.heap_limit);
    if (!error && !options.region_size)
        error = size_from_environment("KIN_REGION_SIZE", &options.region_size);
    if (!error)
        error = method_from_environment(&options.start_method);
    uint32_t checks;
    if (!error)
        error = checks_from_environment(&checks);
    if (!error)
        error = kin__region_new(options.region_size, options.heap_limit);
    if (error)
        return error;
    kin__region_set_checks(checks);
    kin__region->start_method = options.start_method;
    kin__function_init();
    error = kin__heap_format();
    if (!error)
        error = kin__member_found();
    if (!error && !kin_current_process()) /* children may ask for their parent */
        error = kin_error_code();
    if (!error) {
        kin__child_setup();
        kin__segments_sweep(); /* what programs before us have left of kin/shared_memory.h */
        return 0;
    }
    kin__member_leave(); /* so that a second try is a first one */
    kin__region_leave();
    return error;
}

KIN__IN_CHILD void kin__init_forked(void)
{
    kin__mutex_forked(&init_mutex);
}

int kin_init_with(int *argc, char ***argv, const kin_init_options *options)
{
    if (argc && argv)
        kin__spawn_remember(*argv);
    kin__spawn_enter(); /* without the mutex: a library that the child uses may call kin_init too */
    pthread_mutex_lock(&init_mutex);
    int error = kin__region ? 0 : found_family(options);
    pthread_mutex_unlock(&init_mutex);
    return error;
}

int kin_init(int *argc, char ***argv)
{
    return kin_init_with(argc, argv, NULL);
}

const char *kin_version(void)
{
    return KIN_VERSION;
}
