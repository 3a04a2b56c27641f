/* pack_test.c - kin/pack.h: what is written, what is read, what is refused, and Python's cbor2 at the other end. */
#include "harness.h"
#include "pack_common.h"

#include <kin.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void vectors_of_the_standard_are_read_and_written(void)
{
    test_init();
    kin_pack *again = new_pack();
    for (size_t i = 0; i < VECTORS; i++) {
        struct bytes in = from_hex(vectors[i].hex);
        void *data = exactly(in.at, in.size), *out;
        size_t size;
        struct text text;
        ck_assert_msg(kin_unpack_check(data, in.size) == 0, "%s: %s", vectors[i].hex, kin_error_message());
        ck_assert_msg(show_all(data, in.size, &text, again) == 0, "%s: %s", vectors[i].hex,
                      kin_error_message());
        ck_assert_str_eq(text.at, vectors[i].shown);
        ck_assert_msg(kin_pack_end(again, &out, &size) == 0, "%s: %s", vectors[i].hex, kin_error_message());
        if (vectors[i].preferred)
            ck_assert_msg(size == in.size && !memcmp(out, data, size), "%s is packed otherwise",
                          vectors[i].hex);
        kin_free(out);
        free(data);
    }
    kin_pack_free(again);
}

/* All halves come back as they were: 65,536 values. */
static void every_half_is_packed_as_one(void)
{
    test_init();
    kin_pack *pack = new_pack();
    for (unsigned half = 0; half < 0x10000; half++) {
        unsigned char in[3] = {0xf9, (unsigned char)(half >> 8), (unsigned char)half}, out[16];
        double value;
        void *data;
        size_t size;
        kin_unpack *unpack = kin_unpack_new(in, sizeof in);
        ck_assert_int_eq(kin_unpack_double(unpack, &value), 0);
        kin_unpack_free(unpack);
        kin_pack_free(pack);
        pack = kin_pack_new_in(out, sizeof out);
        kin_pack_double(pack, value);
        ck_assert_int_eq(kin_pack_end(pack, &data, &size), 0);
        ck_assert_msg(size == 3 && (isnan(value) || !memcmp(in, out, 3)),
                      "%04x came back as %02x%02x%02x, %zu", half, out[0], out[1], out[2], size);
    }
    const double others[] = {65505,     65520,    0x1p-25,  0x1.8p-24, 0x1.002p-14,
                             0x1.001p0, 0x1p-149, 0x1p-150, 0x1p128,   1e300};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        unsigned char out[16];
        void *data;
        double value;
        size_t size;
        kin_pack_free(pack);
        pack = kin_pack_new_in(out, sizeof out);
        kin_pack_double(pack, others[i]);
        ck_assert_int_eq(kin_pack_end(pack, &data, &size), 0);
        ck_assert_uint_gt(size, 3);
        kin_unpack *unpack = kin_unpack_new(out, size);
        ck_assert_int_eq(kin_unpack_double(unpack, &value), 0);
        ck_assert(value == others[i]);
        kin_unpack_free(unpack);
    }
    kin_pack_free(pack);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void lists_and_maps_end_by_count_or_by_close(void)
{
    test_init();
    kin_pack *pack = new_pack();
    kin_pack_map(pack, 3);
    kin_pack_string(pack, "list");
    kin_pack_list(pack, KIN_PACK_OPEN);
    for (int i = 0; i < 3; i++)
        kin_pack_int(pack, i - 1);
    kin_pack_close(pack);
    kin_pack_int(pack, 7);
    kin_pack_list(pack, 0);
    kin_pack_bool(pack, true);
    kin_pack_map(pack, 1);
    kin_pack_null(pack);
    kin_pack_bytes(pack, "\0\1", 2);
    kin_pack_int(pack, INT64_MIN); /* behind the map: another item */
    ends_as(pack, "{\"list\": [-1, 0, 1], 7: [], true: {null: h'0001'}}, -9223372036854775808");
    kin_pack_double(pack, 0.5); /* it begins anew */
    ends_as(pack, "0.5");
    kin_pack_free(pack);
}

static void mistakes_in_writing_stick(void)
{
    test_init();
    void *data = &data;
    size_t size = 1;
    kin_pack *pack = new_pack();
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert(data == NULL && size == 0);
    kin_pack_list(pack, 2);
    kin_pack_int(pack, 1);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    kin_pack_map(pack, KIN_PACK_OPEN);
    kin_pack_int(pack, 1);
    ck_assert_int_eq(kin_pack_close(pack), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_int(pack, 2), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert(strstr(kin_error_message(), "key has no value") != NULL);
    ck_assert_int_eq(kin_pack_close(pack), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    kin_pack_list(pack, 1);
    ck_assert_int_eq(kin_pack_close(pack), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_string(pack, "\xff"), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_string(pack, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    kin_pack_tag(pack, 1);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_item(pack, "\x82\x01", 2), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_array(pack, (kin_element)99, &size, 1), KIN_EINVAL);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_EINVAL);
    for (int i = 0; i < KIN_PACK_DEPTH; i++)
        ck_assert_int_eq(kin_pack_list(pack, 1), 0);
    ck_assert_int_eq(kin_pack_list(pack, 1), KIN_ELIMIT);
    ck_assert_int_eq(kin_pack_end(pack, &data, &size), KIN_ELIMIT);
    ck_assert_int_eq(kin_pack_int(NULL, 1), KIN_EINVAL);
    kin_pack_free(pack);
    kin_pack_free(NULL);
}

static void small_buffer_tells_what_is_needed(void)
{
    test_init();
    kin_pack_free(new_pack());
    unsigned char buffer[16];
    void *data;
    size_t size;
    for (size_t capacity = 0; capacity <= sizeof buffer; capacity++) {
        memset(buffer, 0xaa, sizeof buffer);
        kin_pack *pack = kin_pack_new_in(capacity ? buffer : NULL, capacity);
        kin_pack_list(pack, 2);
        kin_pack_string(pack, "0123456");
        kin_pack_int(pack, 1000);
        int error = kin_pack_end(pack, &data, &size);
        ck_assert_int_eq(error, capacity && capacity < 12 ? KIN_ETOOLARGE : 0);
        ck_assert_uint_eq(size, 12);
        for (size_t i = capacity; i < sizeof buffer; i++)
            ck_assert_uint_eq(buffer[i], 0xaa);
        kin_pack_free(pack);
    }
}

static void packed_block_goes_through_a_queue(void)
{
    test_init();
    void *data;
    size_t size;
    kin_pack *pack = new_pack();
    kin_queue *queue = kin_queue_new(NULL);
    kin_pack_list(pack, 20000);
    for (int i = 0; i < 20000; i++)
        kin_pack_int(pack, i);
    ck_assert_msg(kin_pack_end(pack, &data, &size) == 0, "%s", kin_error_message());
    ck_assert_int_eq(kin_queue_give(queue, data, size, 0), 0);
    kin_message message;
    ck_assert_int_eq(kin_queue_take(queue, &message, 0), 0);
    kin_unpack *unpack = kin_unpack_new(message.data, message.size);
    size_t count;
    ck_assert_int_eq(kin_unpack_list(unpack, &count), 0);
    ck_assert_uint_eq(count, 20000);
    for (int64_t i = 0, is; i < 20000; i++)
        ck_assert(kin_unpack_int(unpack, &is) == 0 && is == i);
    ck_assert_int_eq(kin_unpack_leave(unpack), 0);
    kin_unpack_free(unpack);
    kin_free(message.data);
    kin_pack_free(pack);
    ck_assert_int_eq(kin_queue_free(queue), 0);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void lists_that_are_not_entered_are_passed_over(void)
{
    test_init();
    kin_pack_free(new_pack());
    struct bytes in = from_hex("8583010203a101820203bf0102ff9f9f9fffffff18ff");
    kin_unpack *unpack = kin_unpack_new(in.at, in.size);
    kin_item item;
    const kin_item_type types[] = {KIN_ITEM_LIST, KIN_ITEM_MAP, KIN_ITEM_MAP, KIN_ITEM_LIST,
                                   KIN_ITEM_INT,  KIN_ITEM_END, KIN_ITEM_END};
    ck_assert_int_eq(kin_unpack_list(unpack, NULL), 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        ck_assert_msg(kin_unpack_next(unpack, &item) == 0, "%s", kin_error_message());
        ck_assert_int_eq(item.type, types[i]);
    }
    ck_assert_int_eq(kin_unpack_enter(unpack), KIN_EINVAL);
    ck_assert_int_eq(kin_unpack_leave(unpack), 0);
    ck_assert_int_eq(kin_unpack_leave(unpack), KIN_EINVAL);
    ck_assert_int_eq(kin_unpack_next(unpack, &item), 0);
    ck_assert_int_eq(item.type, KIN_ITEM_END);
    kin_unpack_free(unpack);
}

static void keys_are_found_wherever_they_stand(void)
{
    test_init();
    void *data;
    size_t size, length;
    int64_t number;
    const char *string;
    kin_pack *pack = new_pack();
    for (int open = 0; open < 2; open++) {
        kin_pack_map(pack, open ? KIN_PACK_OPEN : 3);
        kin_pack_string(pack, "skipped");
        kin_pack_map(pack, 1);
        kin_pack_string(pack, "last");
        kin_pack_int(pack, 1);
        kin_pack_int(pack, 5);
        kin_pack_int(pack, 6);
        kin_pack_string(pack, "last");
        kin_pack_int(pack, 2);
        if (open)
            kin_pack_close(pack);
        ck_assert_msg(kin_pack_end(pack, &data, &size) == 0, "%s", kin_error_message());
        kin_unpack *unpack = kin_unpack_new(data, size);
        ck_assert_int_eq(kin_unpack_find(unpack, "last"), KIN_EINVAL);
        ck_assert_int_eq(kin_unpack_map(unpack, NULL), 0);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(kin_unpack_find(unpack, "last"), 0);
            ck_assert_int_eq(kin_unpack_string(unpack, &string, &length), KIN_EINVAL); /* and it stays */
            ck_assert_int_eq(kin_unpack_int(unpack, &number), 0);
            ck_assert_int_eq(number, 2);
            ck_assert_int_eq(kin_unpack_find(unpack, "none"), KIN_ENOTFOUND);
        }
        ck_assert_int_eq(kin_unpack_find(unpack, "skipped"), 0);
        ck_assert_int_eq(kin_unpack_list(unpack, NULL), KIN_EINVAL);
        ck_assert_int_eq(kin_unpack_map(unpack, &length), 0);
        ck_assert_uint_eq(length, 1);
        ck_assert_int_eq(kin_unpack_leave(unpack), 0);
        ck_assert_int_eq(kin_unpack_int(unpack, &number), 0);
        ck_assert_int_eq(number, 5);
        kin_unpack_free(unpack);
        kin_free(data);
    }
    kin_pack_free(pack);
}

static void wrong_type_leaves_the_item(void)
{
    test_init();
    kin_pack_free(new_pack());
    struct bytes in = from_hex("88201bffffffffffffffff1b0020000000000001f93c0061614101f5d84044010203f4");
    in.at[in.size - 5] = 0x44;
    bool truth;
    int64_t integer;
    uint64_t natural;
    double real;
    const char *text;
    const void *bytes;
    size_t size;
    uint8_t octets[4];
    uint16_t shorts[4];
    kin_unpack *unpack = kin_unpack_new(in.at, in.size);
    ck_assert_int_eq(kin_unpack_list(unpack, &size), 0);
    ck_assert_int_eq(kin_unpack_uint(unpack, &natural), KIN_EINVAL);
    ck_assert(kin_unpack_int(unpack, &integer) == 0 && integer == -1);
    ck_assert_int_eq(kin_unpack_int(unpack, &integer), KIN_EINVAL);
    ck_assert(kin_unpack_uint(unpack, &natural) == 0 && natural == UINT64_MAX);
    ck_assert_int_eq(kin_unpack_double(unpack, &real), KIN_EINVAL); /* 2^53 + 1 */
    ck_assert(kin_unpack_uint(unpack, &natural) == 0 && natural == (UINT64_C(1) << 53) + 1);
    ck_assert_int_eq(kin_unpack_int(unpack, &integer), KIN_EINVAL);
    ck_assert(kin_unpack_double(unpack, &real) == 0 && real == 1);
    ck_assert_int_eq(kin_unpack_bytes(unpack, &bytes, &size), KIN_EINVAL);
    ck_assert(kin_unpack_string(unpack, &text, &size) == 0 && size == 1 && *text == 'a');
    ck_assert_int_eq(kin_unpack_string(unpack, &text, &size), KIN_EINVAL);
    ck_assert(kin_unpack_bytes(unpack, &bytes, &size) == 0 && size == 1 && *(const char *)bytes == 1);
    ck_assert_int_eq(kin_unpack_array(unpack, KIN_UINT8, octets, 4, &size), KIN_EINVAL);
    ck_assert(kin_unpack_bool(unpack, &truth) == 0 && truth);
    ck_assert_int_eq(kin_unpack_bytes(unpack, &bytes, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_unpack_array(unpack, KIN_UINT16, shorts, 4, &size), KIN_EINVAL);
    ck_assert_int_eq(kin_unpack_array(unpack, KIN_UINT8, octets, 3, &size), KIN_ETOOLARGE);
    ck_assert_uint_eq(size, 4);
    ck_assert_int_eq(kin_unpack_array(unpack, KIN_UINT8, octets, 4, &size), 0);
    ck_assert(!memcmp(octets, "\1\2\3\xf4", 4));
    ck_assert_int_eq(kin_unpack_bool(unpack, &truth), KIN_EINVAL);
    ck_assert(strstr(kin_error_message(), "nothing more") != NULL);
    kin_unpack_free(unpack);
}

/* ---- typed arrays ---------------------------------------------------------------------------- */

static void typed_arrays_of_all_kinds_and_both_orders_are_read(void)
{
    static const struct {
        kin_element element;
        unsigned big, little;
    } kinds[] = {{KIN_UINT8, 0, 64},        {KIN_UINT16, 65, 69},  {KIN_UINT32, 66, 70},
                 {KIN_UINT64, 67, 71},      {KIN_INT8, 0, 72},     {KIN_INT16, 73, 77},
                 {KIN_INT32, 74, 78},       {KIN_INT64, 75, 79},   {KIN_FLOAT16, 80, 84},
                 {KIN_FLOAT32, 81, 85},     {KIN_FLOAT64, 82, 86}, {KIN_FLOAT128, 83, 87},
                 {KIN_UINT8_CLAMPED, 0, 68}};
    test_init();
    kin_pack *pack = new_pack();
    unsigned char plain[48], turned[48], out[48], in[64];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t each = kin_element_size(kinds[k].element), count = 48 / each, size, is;
        void *data;
        for (size_t i = 0; i < 48; i++)
            plain[i] = (unsigned char)(i * 7 + 1);
        for (size_t i = 0; i < 48; i++)
            turned[i] = plain[i / each * each + each - 1 - i % each];
        kin_pack_array(pack, kinds[k].element, plain, count);
        ck_assert_msg(kin_pack_end(pack, &data, &size) == 0, "%s", kin_error_message());
        ck_assert_uint_eq(((unsigned char *)data)[1], kinds[k].little);
        for (int big = 0; big < 2; big++) {
            if (big && !kinds[k].big)
                continue;
            unsigned char head[] = {0xd8, (unsigned char)(big ? kinds[k].big : kinds[k].little), 0x58, 48};
            memcpy(in, head, 4);
            memcpy(in + 4, big ? turned : plain, 48);
            ck_assert(big || (size == 52 && !memcmp(data, in, 52)));
            kin_unpack *unpack = kin_unpack_new(in, 52);
            ck_assert_msg(kin_unpack_array(unpack, kinds[k].element, out, count, &is) == 0, "%s",
                          kin_error_message());
            ck_assert(is == count && !memcmp(out, plain, 48));
            kin_unpack_free(unpack);
        }
        kin_free(data);
    }
    kin_pack_free(pack);
    ck_assert_uint_eq(kin_element_size((kin_element)0), 0);
    ck_assert_uint_eq(kin_element_size((kin_element)14), 0);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void malformed_messages_are_refused(void)
{
    static const char *const wrong[] = {
        "",
        "18",
        "19ff",
        "1a0000",
        "1b00000000000000",
        "1c",
        "1d",
        "1e",
        "1f",
        "3f",
        "41",
        "5803",
        "61",
        "7803ffff",
        "81",
        "8201",
        "a1",
        "a101",
        "a20102",
        "a2010203",
        "9f",
        "9f01",
        "bf",
        "bf01ff",
        "bf010203",
        "c1",
        "d8",
        "d840",
        "d8406161",
        "d84143010203",
        "f8",
        "f800",
        "f818",
        "f820",
        "f8ff",
        "fc",
        "fd",
        "fe",
        "ff",
        "0001",
        "81ff",
        "a1ff01",
        "a101ff",
        "5f01ff",
        "5f6101ff",
        "5f5f4101ffff",
        "5fc14101ff",
        "5f41",
        "7f4101ff",
        "7f61ffff",
        "62c328",
        "61ff",
        "62c080",
        "63e0809f",
        "63eda080",
        "64f4908080",
        "9b7fffffffffffffff",
        "9bffffffffffffffff",
        "9bffffffffffffffff01ff",
        "bbffffffffffffffff0102ff",
        "bb7fffffffffffffff00",
        "bbffffffffffffffff0000",
        "bb8000000000000000",
        "5bffffffffffffffff00",
        "7b7fffffffffffffff00",
        "9a00100000",
        "5a7fffffff00",
        "c1ff",
        "9fc1ff",
        "f0",
        "e0",
    };
    test_init();
    kin_pack_free(new_pack());
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bytes in = from_hex(wrong[i]);
        struct text text;
        void *data = exactly(in.at, in.size);
        ck_assert_msg(kin_unpack_check(data, in.size) == KIN_EINVAL, "%s is taken", wrong[i]);
        if (in.size && strcmp(wrong[i], "0001") != 0)
            ck_assert_msg(show_all(data, in.size, &text, NULL) == KIN_EINVAL, "%s is read: %s", wrong[i],
                          text.at);
        free(data);
    }
}

static void bombs_are_refused(void)
{
    static const unsigned char nests[] = {0x81, 0x9f, 0xa1, 0xbf, 0xd8};
    const size_t size = 1000000;
    test_init();
    kin_pack_free(new_pack());
    unsigned char *bomb = malloc(size);
    ck_assert_ptr_nonnull(bomb);
    for (size_t i = 0; i < sizeof nests; i++) {
        memset(bomb, nests[i], size);
        int error = kin_unpack_check(bomb, size);
        ck_assert_int_eq(error,
                         nests[i] == 0xd8 || nests[i] == 0xa1 || nests[i] == 0xbf ? error : KIN_ELIMIT);
        ck_assert_int_ne(error, 0);
        kin_unpack *unpack = kin_unpack_new(bomb, size);
        kin_item item;
        int first = kin_unpack_next(unpack, &item), second = kin_unpack_next(unpack, &item);
        ck_assert(first != 0 || second != 0);
        ck_assert_int_eq(kin_unpack_next(unpack, &item), second); /* and again */
        kin_unpack_free(unpack);
    }
    for (unsigned depth = KIN_PACK_DEPTH; depth <= KIN_PACK_DEPTH + 1;
         depth++) { /* just deep enough, and one more */
        memset(bomb, 0x81, depth);
        bomb[depth] = 0x01;
        ck_assert_int_eq(kin_unpack_check(bomb, depth + 1), depth > KIN_PACK_DEPTH ? KIN_ELIMIT : 0);
    }
    free(bomb);
}

static uint32_t random_next(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Vectors changed at random, and bytes at random: nothing is read beyond the end; what is well-formed can be read through, and
 * what can be read through as one item is well-formed. */
static void random_messages_do_no_harm(void)
{
    test_init();
    kin_pack *again = new_pack();
    uint32_t seed = 88172645;
    unsigned taken = 0, rounds = test_under_valgrind() ? 3000 : test_long() ? 3000000 : 60000;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned char bytes[300];
        size_t size = 0;
        for (unsigned parts = 1 + random_next(&seed) % 4; parts; parts--) {
            struct bytes in = from_hex(vectors[random_next(&seed) % VECTORS].hex);
            if (size + in.size <= sizeof bytes)
                memcpy(bytes + size, in.at, in.size), size += in.size;
        }
        for (unsigned changes = random_next(&seed) % 5; changes && size; changes--)
            bytes[random_next(&seed) % size] = (unsigned char)random_next(&seed);
        if (size && random_next(&seed) % 3 == 0)
            size -= random_next(&seed) % size;
        void *data = exactly(bytes, size), *out;
        struct text text;
        int error = kin_unpack_check(data, size), read = show_all(data, size, &text, again);
        ck_assert_msg(error || !read, "taken, and not read: %s", kin_error_message());
        if (!error)
            ck_assert_msg(kin_pack_end(again, &out, &size) == 0, "%s", kin_error_message());
        else if (kin_pack_end(again, &out, &size) != 0)
            out = NULL;
        taken += !error;
        kin_free(out);
        free(data);
    }
    printf("# %u of %u messages were well-formed\n", taken, rounds);
    ck_assert_uint_gt(taken, rounds / 100);
    kin_pack_free(again);
}

/* ---- Python at the other end ----------------------------------------------------------------- */

static void ask_python(const char *program, const char *argument, struct text *answer)
{
    char command[3 * SHOWN];
    snprintf(command, sizeof command, "/usr/bin/python3 -c '%s' %s", program, argument);
    FILE *python = popen(command, "r");
    ck_assert_ptr_nonnull(python);
    answer->length = fread(answer->at, 1, SHOWN - 1, python);
    answer->at[answer->length] = 0;
    int status = pclose(python);
    if (status && !strncmp(program, "import cbor2\n#probe", 19))
        test_skip("there is no python3-cbor2");
    ck_assert_int_eq(status, 0);
}

static void python_reads_what_is_packed(void)
{
    test_init();
    kin_pack *pack = new_pack();
    struct text answer, hex = {.length = 0};
    void *data;
    size_t size;
    const double speeds[] = {1.5, -2.25};
    ask_python("import cbor2\n#probe", "", &answer);
    kin_pack_map(pack, 4);
    kin_pack_string(pack, "n\xc3\xa4me");
    kin_pack_list(pack, KIN_PACK_OPEN);
    kin_pack_null(pack);
    kin_pack_bool(pack, false);
    kin_pack_int(pack, -70000);
    kin_pack_uint(pack, UINT64_MAX);
    kin_pack_double(pack, 0.1);
    kin_pack_double(pack, 1e5);
    kin_pack_double(pack, -0.5);
    kin_pack_close(pack);
    kin_pack_int(pack, 3);
    kin_pack_bytes(pack, "\0\xff", 2);
    kin_pack_bool(pack, true);
    kin_pack_map(pack, 0);
    kin_pack_string(pack, "speeds");
    kin_pack_array(pack, KIN_FLOAT64, speeds, 2);
    ck_assert_msg(kin_pack_end(pack, &data, &size) == 0, "%s", kin_error_message());
    for (size_t i = 0; i < size; i++)
        say(&hex, "%02x", ((unsigned char *)data)[i]);
    ask_python("import cbor2, struct, sys\n"
               "value = cbor2.loads(bytes.fromhex(sys.argv[1]))\n"
               "tag = value.pop(\"speeds\")\n"
               "print(ascii(value), tag.tag, struct.unpack(\"<2d\", tag.value))\n",
               hex.at, &answer);
    ck_assert_str_eq(answer.at,
                     "{'n\\xe4me': [None, False, -70000, 18446744073709551615, 0.1, 100000.0, -0.5], 3: "
                     "b'\\x00\\xff', True: {}} 86 (1.5, -2.25)\n");
    kin_free(data);
    kin_pack_free(pack);
}

static void what_python_packs_is_read(void)
{
    test_init();
    kin_pack_free(new_pack());
    struct text answer, text;
    ask_python("import cbor2\n#probe", "", &answer);
    ask_python("import cbor2, struct\n"
               "print(cbor2.dumps({\"a\": [1, -2, 2**63, -2**64, 0.1, 1.5, True, None, cbor2.undefined], "
               "b\"k\": \"\\u00fc\",\n"
               "    7: {}, \"x\": cbor2.CBORTag(65, struct.pack(\">3H\", 1, 2, 300)), (1, 2): "
               "cbor2.CBORTag(999, \"t\")}).hex())\n",
               "", &answer);
    struct bytes in = from_hex(answer.at);
    ck_assert_msg(kin_unpack_check(in.at, in.size) == 0, "%s", kin_error_message());
    ck_assert_int_eq(show_all(in.at, in.size, &text, NULL), 0);
    ck_assert_str_eq(
        text.at,
        "{\"a\": [1, -2, 9223372036854775808, -1-18446744073709551615, 0.10000000000000001, 1.5, true, "
        "null, undefined], h'6b': \"\xc3\xbc\", 7: {}, \"x\": 2:1:h'00010002012c', [1, 2]: "
        "999(\"t\")}");
}

static const struct test tests[] = {
    {"vectors_of_the_standard_are_read_and_written", vectors_of_the_standard_are_read_and_written, 10, 0},
    {"every_half_is_packed_as_one", every_half_is_packed_as_one, 20, 0},
    {"lists_and_maps_end_by_count_or_by_close", lists_and_maps_end_by_count_or_by_close, 10, 0},
    {"mistakes_in_writing_stick", mistakes_in_writing_stick, 10, 0},
    {"small_buffer_tells_what_is_needed", small_buffer_tells_what_is_needed, 10, 0},
    {"packed_block_goes_through_a_queue", packed_block_goes_through_a_queue, 10, 0},
    {"lists_that_are_not_entered_are_passed_over", lists_that_are_not_entered_are_passed_over, 10, 0},
    {"keys_are_found_wherever_they_stand", keys_are_found_wherever_they_stand, 10, 0},
    {"wrong_type_leaves_the_item", wrong_type_leaves_the_item, 10, 0},
    {"typed_arrays_of_all_kinds_and_both_orders_are_read", typed_arrays_of_all_kinds_and_both_orders_are_read,
     10, 0},
    {"malformed_messages_are_refused", malformed_messages_are_refused, 10, 0},
    {"bombs_are_refused", bombs_are_refused, 20, 0},
    {"random_messages_do_no_harm", random_messages_do_no_harm, 300, 0},
    {"python_reads_what_is_packed", python_reads_what_is_packed, 30, 0},
    {"what_python_packs_is_read", what_python_packs_is_read, 30, 0},
};
TEST_MAIN("pack", tests)
