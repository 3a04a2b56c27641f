/* message/pack_absent.c - kin/pack.h where libcbor's headers were not there when kin was built: nothing can be packed, and each
 * call says so. */
#include "kin/pack.h"

#include "base/failure.h"

static int absent(void)
{
    return kin__fail(
        KIN_ENOTSUP,
        "cannot pack or unpack: this kin was built without libcbor (install libcbor-dev and build it again)");
}

#define ABSENT(call, ...) \
    int call(__VA_ARGS__) \
    {                     \
        return absent();  \
    }
#define ABSENT_NEW(type, call, ...) \
    type *call(__VA_ARGS__)         \
    {                               \
        absent();                   \
        return NULL;                \
    }

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif

size_t kin_element_size(kin_element element)
{
    return 0;
}

void kin_pack_free(kin_pack *pack)
{
}

void kin_unpack_free(kin_unpack *unpack)
{
}

ABSENT_NEW(kin_pack, kin_pack_new, void)
ABSENT_NEW(kin_pack, kin_pack_new_in, void *buffer, size_t capacity)
ABSENT_NEW(kin_unpack, kin_unpack_new, const void *data, size_t size)
ABSENT(kin_pack_null, kin_pack *pack)
ABSENT(kin_pack_bool, kin_pack *pack, bool value)
ABSENT(kin_pack_int, kin_pack *pack, int64_t value)
ABSENT(kin_pack_uint, kin_pack *pack, uint64_t value)
ABSENT(kin_pack_double, kin_pack *pack, double value)
ABSENT(kin_pack_string, kin_pack *pack, const char *string)
ABSENT(kin_pack_text, kin_pack *pack, const char *text, size_t length)
ABSENT(kin_pack_bytes, kin_pack *pack, const void *bytes, size_t size)
ABSENT(kin_pack_array, kin_pack *pack, kin_element element, const void *elements, size_t count)
ABSENT(kin_pack_list, kin_pack *pack, size_t count)
ABSENT(kin_pack_map, kin_pack *pack, size_t count)
ABSENT(kin_pack_close, kin_pack *pack)
ABSENT(kin_pack_tag, kin_pack *pack, uint64_t tag)
ABSENT(kin_pack_item, kin_pack *pack, const void *data, size_t size)
ABSENT(kin_pack_end, kin_pack *pack, void **data, size_t *size)
ABSENT(kin_unpack_check, const void *data, size_t size)
ABSENT(kin_unpack_next, kin_unpack *unpack, kin_item *out)
ABSENT(kin_unpack_enter, kin_unpack *unpack)
ABSENT(kin_unpack_leave, kin_unpack *unpack)
ABSENT(kin_unpack_find, kin_unpack *unpack, const char *key)
ABSENT(kin_unpack_bool, kin_unpack *unpack, bool *out)
ABSENT(kin_unpack_int, kin_unpack *unpack, int64_t *out)
ABSENT(kin_unpack_uint, kin_unpack *unpack, uint64_t *out)
ABSENT(kin_unpack_double, kin_unpack *unpack, double *out)
ABSENT(kin_unpack_string, kin_unpack *unpack, const char **out, size_t *length)
ABSENT(kin_unpack_bytes, kin_unpack *unpack, const void **out, size_t *size)
ABSENT(kin_unpack_list, kin_unpack *unpack, size_t *count)
ABSENT(kin_unpack_map, kin_unpack *unpack, size_t *count)
ABSENT(kin_unpack_array, kin_unpack *unpack, kin_element element, void *out, size_t capacity, size_t *count)
ABSENT(kin_item_elements, const kin_item *item, kin_element element, void *out, size_t capacity)
