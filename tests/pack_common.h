/* pack_common.h - for pack_test.c: bytes from hex, messages shown in RFC 8949's notation and packed again, and that standard's vectors. */
#ifndef KIN_TESTS_PACK_COMMON_H
#define KIN_TESTS_PACK_COMMON_H

#include "harness.h"

#include <kin.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 4000

/* ---- tools ----------------------------------------------------------------------------------- */

struct bytes {
    unsigned char at[SHOWN];
    size_t size;
};

static struct bytes from_hex(const char *hex)
{
    struct bytes out = {.size = 0};
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out.at[out.size++] = (unsigned char)byte;
    return out;
}

/* A copy of exactly that size, so that AddressSanitizer and valgrind see a read beyond. */
static void *exactly(const void *data, size_t size)
{
    void *copy = malloc(size ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    return copy;
}

struct text {
    char at[SHOWN];
    size_t length;
};

static void say(struct text *text, const char *format, ...) KIN_PRINTF(2, 3);
static void say(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text->at + text->length, SHOWN - text->length, format, args);
    va_end(args);
    text->length += (size_t)length < SHOWN - text->length ? (size_t)length : SHOWN - text->length - 1;
}

static void say_double(struct text *text, double value)
{
    if (isnan(value))
        say(text, "NaN");
    else if (isinf(value))
        say(text, value > 0 ? "Infinity" : "-Infinity");
    else
        say(text, "%.17g%s", value, fmod(value, 1) == 0 && fabs(value) < 1e15 ? ".0" : "");
}

static int show_items(kin_unpack *unpack, struct text *text, kin_pack *again, bool map);

/* An item in something like RFC 8949's notation; with `again`, it is packed again. */
static int show(kin_unpack *unpack, const kin_item *item, struct text *text, kin_pack *again)
{
    int error = 0;
    if (item->tagged) {
        say(text, "%llu(", (unsigned long long)item->tag);
        kin_pack_tag(again, item->tag);
    }
    switch (item->type) {
    case KIN_ITEM_END:
        return KIN_EINVAL;
    case KIN_ITEM_NULL:
        say(text, "null");
        kin_pack_null(again);
        break;
    case KIN_ITEM_UNDEFINED:
        say(text, "undefined");
        kin_pack_item(again, "\xf7", 1);
        break;
    case KIN_ITEM_BOOL:
        say(text, item->truth ? "true" : "false");
        kin_pack_bool(again, item->truth);
        break;
    case KIN_ITEM_INT:
        say(text, "%lld", (long long)item->integer);
        kin_pack_int(again, item->integer);
        break;
    case KIN_ITEM_UINT:
        say(text, "%llu", (unsigned long long)item->natural);
        kin_pack_uint(again, item->natural);
        break;
    case KIN_ITEM_NEGATIVE:
        say(text, "-1-%llu", (unsigned long long)item->natural);
        kin_pack_null(again);
        break;
    case KIN_ITEM_DOUBLE:
        say_double(text, item->real);
        kin_pack_double(again, item->real);
        break;
    case KIN_ITEM_STRING:
        say(text, "\"%.*s\"", (int)item->size, (const char *)item->data);
        kin_pack_text(again, item->data, item->size);
        break;
    case KIN_ITEM_BYTES:
    case KIN_ITEM_ARRAY:
        say(text, item->type == KIN_ITEM_ARRAY ? "%d:%d:h'" : "h'", (int)item->element, item->big_endian);
        for (size_t i = 0; i < item->size; i++)
            say(text, "%02x", ((const unsigned char *)item->data)[i]);
        say(text, "'");
        kin_pack_bytes(again, item->data, item->size);
        break;
    case KIN_ITEM_LIST:
    case KIN_ITEM_MAP:
        say(text, item->type == KIN_ITEM_MAP ? "{" : "[");
        if (item->type == KIN_ITEM_MAP)
            kin_pack_map(again, item->count);
        else
            kin_pack_list(again, item->count);
        error = kin_unpack_enter(unpack);
        if (!error)
            error = show_items(unpack, text, again, item->type == KIN_ITEM_MAP);
        if (!error)
            error = kin_unpack_leave(unpack);
        if (item->count == KIN_PACK_OPEN)
            kin_pack_close(again);
        say(text, item->type == KIN_ITEM_MAP ? "}" : "]");
    }
    if (item->tagged)
        say(text, ")");
    return error;
}

static int show_items(kin_unpack *unpack, struct text *text, kin_pack *again, bool map)
{
    kin_item item;
    for (unsigned i = 0;; i++) {
        int error = kin_unpack_next(unpack, &item);
        if (error || item.type == KIN_ITEM_END)
            return error;
        if (i)
            say(text, map && i % 2 ? ": " : ", ");
        if ((error = show(unpack, &item, text, again)) != 0)
            return error;
    }
}

static int show_all(const void *data, size_t size, struct text *text, kin_pack *again)
{
    kin_unpack *unpack = kin_unpack_new(data, size);
    ck_assert_msg(unpack != NULL, "%s", kin_error_message());
    *text = (struct text){.length = 0};
    int error = show_items(unpack, text, again, false);
    kin_unpack_free(unpack);
    return error;
}

static kin_pack *new_pack(void)
{
    kin_pack *pack = kin_pack_new();
    if (!pack && kin_error_code() == KIN_ENOTSUP)
        test_skip("there is no libcbor");
    ck_assert_msg(pack != NULL, "%s", kin_error_message());
    return pack;
}

/* What was written, shown. */
static void ends_as(kin_pack *pack, const char *expected)
{
    void *data;
    size_t size;
    struct text text;
    ck_assert_msg(kin_pack_end(pack, &data, &size) == 0, "%s", kin_error_message());
    ck_assert_int_eq(show_all(data, size, &text, NULL), 0);
    ck_assert_str_eq(text.at, expected);
    kin_free(data);
}

/* ---- RFC 8949, appendix A -------------------------------------------------------------------- */

/* `preferred`: packed again, the bytes are the same. Left out are simple values other than the four, which nobody has assigned. */
static const struct vector {
    const char *hex, *shown;
    bool preferred;
} vectors[] = {
    {"00", "0", true},
    {"01", "1", true},
    {"0a", "10", true},
    {"17", "23", true},
    {"1818", "24", true},
    {"1819", "25", true},
    {"1864", "100", true},
    {"1903e8", "1000", true},
    {"1a000f4240", "1000000", true},
    {"1b000000e8d4a51000", "1000000000000", true},
    {"1bffffffffffffffff", "18446744073709551615", true},
    {"c249010000000000000000", "2(h'010000000000000000')", true},
    {"3bffffffffffffffff", "-1-18446744073709551615", false},
    {"c349010000000000000000", "3(h'010000000000000000')", true},
    {"20", "-1", true},
    {"29", "-10", true},
    {"3863", "-100", true},
    {"3903e7", "-1000", true},
    {"f90000", "0.0", true},
    {"f98000", "-0.0", true},
    {"f93c00", "1.0", true},
    {"fb3ff199999999999a", "1.1000000000000001", true},
    {"f93e00", "1.5", true},
    {"f97bff", "65504.0", true},
    {"fa47c35000", "100000.0", true},
    {"fa7f7fffff", "3.4028234663852886e+38", true},
    {"fb7e37e43c8800759c", "1.0000000000000001e+300", true},
    {"f90001", "5.9604644775390625e-08", true},
    {"f90400", "6.103515625e-05", true},
    {"f9c400", "-4.0", true},
    {"fbc010666666666666", "-4.0999999999999996", true},
    {"f97c00", "Infinity", true},
    {"f97e00", "NaN", true},
    {"f9fc00", "-Infinity", true},
    {"fa7f800000", "Infinity", false},
    {"fa7fc00000", "NaN", false},
    {"faff800000", "-Infinity", false},
    {"fb7ff0000000000000", "Infinity", false},
    {"fb7ff8000000000000", "NaN", false},
    {"fbfff0000000000000", "-Infinity", false},
    {"f4", "false", true},
    {"f5", "true", true},
    {"f6", "null", true},
    {"f7", "undefined", true},
    {"c074323031332d30332d32315432303a30343a30305a", "0(\"2013-03-21T20:04:00Z\")", true},
    {"c11a514b67b0", "1(1363896240)", true},
    {"c1fb41d452d9ec200000", "1(1363896240.5)", true},
    {"d74401020304", "23(h'01020304')", true},
    {"d818456449455446", "24(h'6449455446')", true},
    {"d82076687474703a2f2f7777772e6578616d706c652e636f6d", "32(\"http://www.example.com\")", true},
    {"40", "h''", true},
    {"4401020304", "h'01020304'", true},
    {"60", "\"\"", true},
    {"6161", "\"a\"", true},
    {"6449455446", "\"IETF\"", true},
    {"62225c", "\"\"\\\"", true},
    {"62c3bc", "\"\xc3\xbc\"", true},
    {"63e6b0b4", "\"\xe6\xb0\xb4\"", true},
    {"64f0908591", "\"\xf0\x90\x85\x91\"", true},
    {"80", "[]", true},
    {"83010203", "[1, 2, 3]", true},
    {"8301820203820405", "[1, [2, 3], [4, 5]]", true},
    {"98190102030405060708090a0b0c0d0e0f101112131415161718181819",
     "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]", true},
    {"a0", "{}", true},
    {"a201020304", "{1: 2, 3: 4}", true},
    {"a26161016162820203", "{\"a\": 1, \"b\": [2, 3]}", true},
    {"826161a161626163", "[\"a\", {\"b\": \"c\"}]", true},
    {"a56161614161626142616361436164614461656145",
     "{\"a\": \"A\", \"b\": \"B\", \"c\": \"C\", \"d\": \"D\", \"e\": \"E\"}", true},
    {"5f42010243030405ff", "h'0102030405'", false},
    {"7f657374726561646d696e67ff", "\"streaming\"", false},
    {"9fff", "[]", true},
    {"9f018202039f0405ffff", "[1, [2, 3], [4, 5]]", true},
    {"9f01820203820405ff", "[1, [2, 3], [4, 5]]", true},
    {"83018202039f0405ff", "[1, [2, 3], [4, 5]]", true},
    {"83019f0203ff820405", "[1, [2, 3], [4, 5]]", true},
    {"9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff",
     "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25]", true},
    {"bf61610161629f0203ffff", "{\"a\": 1, \"b\": [2, 3]}", true},
    {"826161bf61626163ff", "[\"a\", {\"b\": \"c\"}]", true},
    {"bf6346756ef563416d7421ff", "{\"Fun\": true, \"Amt\": -2}", true},
};
#define VECTORS (sizeof vectors / sizeof *vectors)

#endif
