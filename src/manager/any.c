/* manager/any.c - see kin/any.h. */
#include "kin/any.h"

#include "base/failure.h"
#include "manager/wire.h"

#include <stdlib.h>

kin_any kin_any_null(void)
{
    return (kin_any){0};
}

kin_any kin_any_bool(bool value)
{
    return (kin_any){.type = KIN_ANY_BOOL, .truth = value};
}

kin_any kin_any_int(int64_t value)
{
    return (kin_any){.type = KIN_ANY_INT, .integer = value, .natural = value > 0 ? (uint64_t)value : 0};
}

kin_any kin_any_uint(uint64_t value)
{
    if (value <= INT64_MAX)
        return kin_any_int((int64_t)value);
    return (kin_any){.type = KIN_ANY_UINT, .natural = value};
}

kin_any kin_any_real(double value)
{
    return (kin_any){.type = KIN_ANY_REAL, .real = value};
}

kin_any kin_any_text(const char *string)
{
    return string ? kin_any_text_of(string, strlen(string)) : kin_any_null();
}

kin_any kin_any_text_of(const char *text, size_t size)
{
    return (kin_any){.type = KIN_ANY_TEXT, .data = text, .size = size};
}

kin_any kin_any_bytes(const void *data, size_t size)
{
    return (kin_any){.type = KIN_ANY_BYTES, .data = data, .size = size};
}

kin_any kin_any_packed(const void *item, size_t size)
{
    return (kin_any){.type = KIN_ANY_PACKED, .data = item, .size = size};
}

void kin_any_clear(kin_any *any)
{
    if (!any)
        return;
    free(any->memory);
    *any = (kin_any){0};
}

static bool canonical(const kin_any *any, struct kin__buffer *out)
{
    struct kin__buffer plain = {0};
    bool fine = kin__put_any(&plain, any) == 0 && !plain.failed;
    if (fine) {
        struct kin__reader reader = {plain.data, plain.data + plain.size};
        kin__put_canonical(out, &reader);
    }
    kin__buffer_free(&plain);
    return fine && !out->failed;
}

bool kin_any_equal(kin_any one, kin_any other)
{
    struct kin__buffer first = {0}, second = {0};
    bool equal = canonical(&one, &first) && canonical(&other, &second) && first.size == second.size &&
                 memcmp(first.data, second.data, first.size) == 0;
    kin__buffer_free(&first);
    kin__buffer_free(&second);
    return equal;
}

int kin_any_write(kin_any any, void *buffer, size_t capacity, size_t *size)
{
    struct kin__buffer out = {0};
    int error = kin__put_any(&out, &any);
    if (!error && out.failed)
        error = kin__fail(KIN_ENOMEM, "cannot write a value: out of memory");
    if (error) {
        kin__buffer_free(&out);
        return error;
    }
    if (size)
        *size = out.size;
    if (out.size > capacity)
        error = kin__fail(KIN_ETOOLARGE, "cannot write a value of %zu bytes into %zu", out.size, capacity);
    else if (buffer && out.data)
        memcpy(buffer, out.data, out.size);
    else
        error = kin__fail(KIN_EINVAL, "cannot write a value: no buffer");
    kin__buffer_free(&out);
    return error;
}

int kin_any_read(const void *item, size_t size, kin_any *out)
{
    if (!out || (!item && size))
        return kin__fail(KIN_EINVAL, "cannot read a value: %s", out ? "no bytes" : "nowhere to put it");
    *out = (kin_any){0};
    struct kin__reader reader = {item, (const uint8_t *)item + size};
    int error = kin__check(&reader, NULL);
    if (error == KIN_ELIMIT)
        return kin__fail(KIN_ELIMIT, "cannot read the value: more than %u lists and maps in one another",
                         KIN__DEPTH_MAX);
    if (error || reader.at != reader.end)
        return kin__fail(KIN_EINVAL, "cannot read the value: its %zu bytes are not one CBOR item", size);
    return kin__item_own(item, size, out);
}
