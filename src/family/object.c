/* family/object.c - see object.h. */
#include "family/object.h"

#include "base/failure.h"

const char *kin__object_kind(uint32_t magic)
{
    switch (magic) {
#define KIND(kind, magic, text) \
    case KIN__##kind##_MAGIC:   \
        return text;
        KIN__OBJECT_LIST(KIND)
#undef KIND
    default:
        return NULL;
    }
}

int kin__object_refuse(const void *pointer, uint32_t magic, const char *what)
{
    const char *wanted = kin__object_kind(magic);
    if (!pointer) {
        const char *story = kin_error_message();
        return kin__fail(KIN_EINVAL, "cannot %s: the %s is NULL%s%s", what, wanted,
                         *story ? "; last failure: " : "", story);
    }
    const char *found = NULL;
    if (kin__region_holds(pointer) && ((uintptr_t)pointer & 15) == 0)
        found = kin__object_kind(atomic_load(&((const struct kin__object *)pointer)->magic));
    if (found)
        return kin__fail(KIN_EINVAL, "cannot %s: %p is not a %s but a %s", what, pointer, wanted, found);
    return kin__fail(KIN_EINVAL, "cannot %s: %p is not a %s (freed?)", what, pointer, wanted);
}
