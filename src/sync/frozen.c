/* sync/frozen.c - see kin/frozen.h; the memory is family/shelf.c's. */
#include "kin/frozen.h"

#include "base/failure.h"
#include "base/log.h"
#include "family/shelf.h"

#include <stdlib.h>
#include <string.h>

struct kin_frozen {
    void *at, *alias;
    size_t size;
    kin__id maker;
};

kin_frozen *kin_frozen_new(size_t size)
{
    if (size == 0) {
        kin__fail(KIN_EINVAL, "cannot freeze 0 bytes");
        return NULL;
    }
    kin_frozen *frozen = malloc(sizeof *frozen);
    if (!frozen) {
        kin__fail(KIN_ENOMEM, "could not make frozen data: out of private memory");
        return NULL;
    }
    *frozen = (kin_frozen){.size = size, .maker = kin__self_id()};
    frozen->at = kin__shelf_new(size, NULL, &frozen->alias);
    if (frozen->at)
        return frozen;
    free(frozen);
    return NULL;
}

void *kin_frozen_buf(const kin_frozen *frozen)
{
    return frozen ? frozen->alias : NULL;
}

const void *kin_frozen_at(const kin_frozen *frozen)
{
    return frozen ? frozen->at : NULL;
}

static bool is_ours(const kin_frozen *frozen, const char *what)
{
    if (frozen->maker == kin__self_id())
        return true;
    kin__fail(KIN_EPERM, "cannot %s frozen data: it belongs to the process that makes it", what);
    return false;
}

const void *kin_frozen_seal(kin_frozen *frozen)
{
    if (!frozen) {
        kin__fail(KIN_EINVAL, "cannot seal NULL%s%s", *kin_error_message() ? "; last failure: " : "",
                  kin_error_message());
        return NULL;
    }
    if (!is_ours(frozen, "seal"))
        return NULL;
    const void *at = frozen->at;
    kin__shelf_close(at, frozen->alias, frozen->size);
    kin__shelf_seal(at);
    free(frozen);
    return at;
}

void kin_frozen_drop(kin_frozen *frozen)
{
    if (!frozen)
        return;
    if (!is_ours(frozen, "drop")) {
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
        return;
    }
    kin__shelf_close(frozen->at, frozen->alias, frozen->size);
    kin__shelf_drop(frozen->at);
    free(frozen);
}

const void *kin_frozen_copy(const void *data, size_t size)
{
    if (!data) {
        kin__fail(KIN_EINVAL, "cannot freeze %zu bytes at NULL", size);
        return NULL;
    }
    kin_frozen *frozen = kin_frozen_new(size);
    if (!frozen)
        return NULL;
    memcpy(frozen->alias, data, size);
    return kin_frozen_seal(frozen);
}

void kin_frozen_free(const void *data)
{
    if (data && kin__shelf_free(data, "free frozen data") != 0)
        kin_log(KIN_LOG_ERROR, "%s", kin_error_message());
}

size_t kin_frozen_size(const void *data)
{
    return kin__shelf_size(data);
}
