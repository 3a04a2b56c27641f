/* message/cbor.c - see cbor.h. */
#include "message/cbor.h"

#include "base/failure.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>

static bool load(struct kin__cbor *cbor)
{
    cbor->handle = dlopen(KIN_LIBCBOR, RTLD_NOW | RTLD_LOCAL);
    if (!cbor->handle) {
        const char *why = dlerror();
        kin__fail(KIN_ENOTSUP, "cannot pack or unpack: %s (install libcbor)", why ? why : KIN_LIBCBOR);
        return false;
    }
    bool whole = true;
#define LOAD(function) \
    whole = whole && (cbor->function = (__typeof__(function) *)dlsym(cbor->handle, #function));
    KIN__CBOR(LOAD)
#undef LOAD
    if (whole)
        return true;
    dlclose(cbor->handle);
    kin__fail(KIN_ENOTSUP, "cannot pack or unpack: %s is another version (install libcbor)", KIN_LIBCBOR);
    return false;
}

/* Several threads may load it at once; one of them is the first. No lock: a fork might leave it held. */
const struct kin__cbor *kin__cbor(void)
{
    static struct kin__cbor *_Atomic loaded;
    struct kin__cbor *cbor = atomic_load_explicit(&loaded, memory_order_acquire), *first = NULL;
    if (cbor)
        return cbor;
    cbor = malloc(sizeof *cbor);
    if (!cbor) {
        kin__fail(KIN_ENOMEM, "cannot load libcbor: out of memory");
        return NULL;
    }
    if (!load(cbor)) {
        free(cbor);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&loaded, &first, cbor))
        return cbor;
    dlclose(cbor->handle);
    free(cbor);
    return first;
}

/* ---- typed arrays ---------------------------------------------------------------------------- */

static const struct element {
    uint8_t size, big, little; /* bytes; tags, 0: none */
} elements[] = {
    [KIN_UINT8] = {1, 0, 64},         [KIN_UINT16] = {2, 65, 69},  [KIN_UINT32] = {4, 66, 70},
    [KIN_UINT64] = {8, 67, 71},       [KIN_INT8] = {1, 0, 72},     [KIN_INT16] = {2, 73, 77},
    [KIN_INT32] = {4, 74, 78},        [KIN_INT64] = {8, 75, 79},   [KIN_FLOAT16] = {2, 80, 84},
    [KIN_FLOAT32] = {4, 81, 85},      [KIN_FLOAT64] = {8, 82, 86}, [KIN_FLOAT128] = {16, 83, 87},
    [KIN_UINT8_CLAMPED] = {1, 0, 68},
};
#define ELEMENTS (sizeof elements / sizeof *elements)

size_t kin_element_size(kin_element element)
{
    return (size_t)element < ELEMENTS ? elements[element].size : 0;
}

kin_element kin__element_of(uint64_t tag, bool *big_endian)
{
    for (size_t i = 1; i < ELEMENTS && tag; i++)
        if (tag == elements[i].big || tag == elements[i].little) {
            *big_endian = tag == elements[i].big;
            return (kin_element)i;
        }
    return (kin_element)0;
}

uint64_t kin__tag_of(kin_element element)
{
    return elements[element].little;
}
