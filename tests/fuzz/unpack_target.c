/*
 * unpack_target.c - what reads typed messages (message/unpack.c), for libFuzzer: tests/fuzz_test builds and runs it.
 *
 * The input is a message. It is checked; read through, entering everything; read by calls that the message itself chooses, which may
 * fail, but not crash, read beyond the end, or go on for ever. What is taken can be read through, and libcbor takes it too.
 */
#include "kin/error.h"
#include "kin/pack.h"

#include <cbor.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool well, const char *what)
{
    if (!well) {
        fprintf(stderr, "%s: %s\n", what, kin_error_message());
        abort();
    }
}

/* All bytes of what an item shows are there. */
static unsigned touch(const kin_item *item)
{
    unsigned sum = 0;
    for (size_t i = 0; i < item->size; i++)
        sum += ((const unsigned char *)item->data)[i];
    return sum;
}

/* Everything in turn, as deep as it goes: 0 at the end of the message. */
static int read_through(const uint8_t *data, size_t size, unsigned *sum)
{
    kin_unpack *unpack = kin_unpack_new(data, size);
    unsigned depth = 0;
    int error;
    must(unpack != NULL, "no unpack");
    for (;;) {
        kin_item item;
        error = kin_unpack_next(unpack, &item);
        if (error || (item.type == KIN_ITEM_END && !depth))
            break;
        *sum += touch(&item);
        if (item.type == KIN_ITEM_END) {
            must(kin_unpack_leave(unpack) == 0, "cannot leave at the end");
            depth--;
        } else if (item.type == KIN_ITEM_LIST || item.type == KIN_ITEM_MAP) {
            if ((error = kin_unpack_enter(unpack)) != 0)
                break;
            depth++;
        }
    }
    kin_unpack_free(unpack);
    return error;
}

/* One call, chosen by a byte; where it says that the item is another one, a next call may take that. */
static void call(kin_unpack *unpack, unsigned char choice)
{
    static double elements[64];
    kin_item item;
    const void *bytes;
    const char *text;
    size_t count = 0;
    int64_t integer;
    uint64_t natural;
    double real;
    bool truth;
    switch (choice % 13) {
    case 0:
        if (kin_unpack_next(unpack, &item) == 0 && item.type == KIN_ITEM_ARRAY)
            kin_item_elements(&item, item.element, elements,
                              sizeof elements / kin_element_size(item.element));
        break;
    case 1:
        kin_unpack_enter(unpack);
        break;
    case 2:
        kin_unpack_leave(unpack);
        break;
    case 3:
        kin_unpack_find(unpack, choice & 64 ? "a" : "");
        break;
    case 4:
        kin_unpack_bool(unpack, &truth);
        break;
    case 5:
        kin_unpack_int(unpack, &integer);
        break;
    case 6:
        kin_unpack_uint(unpack, &natural);
        break;
    case 7:
        kin_unpack_double(unpack, &real);
        break;
    case 8:
        kin_unpack_string(unpack, &text, &count);
        break;
    case 9:
        kin_unpack_bytes(unpack, &bytes, &count);
        break;
    case 10:
        kin_unpack_list(unpack, &count);
        break;
    case 11:
        kin_unpack_map(unpack, &count);
        break;
    default:
        kin_unpack_array(unpack, (kin_element)(choice >> 4), elements, choice & 8 ? 2 : 4, &count);
        break;
    }
}

static void read_as_it_says(const uint8_t *data, size_t size)
{
    kin_unpack *unpack = kin_unpack_new(data, size);
    must(unpack != NULL, "no unpack");
    for (size_t i = 0; i < 2 * size && i < 200; i++)
        call(unpack, data[size - 1 - i % size]);
    kin_unpack_free(unpack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned sum = 0;
    int taken = kin_unpack_check(data, size), read = read_through(data, size, &sum);
    must(taken != 0 || read == 0, "taken, and cannot be read through");
    must(taken == 0 || taken == KIN_EINVAL || taken == KIN_ELIMIT, "neither taken nor refused");
    read_as_it_says(data, size);
    if (taken == 0) {
        struct cbor_load_result result;
        cbor_item_t *item = cbor_load(data, size, &result);
        must(item && result.read == size, "libcbor does not take it");
        cbor_decref(&item);
    }
    return (int)(sum & 0);
}
