/*
 * kin/datum.h - a value with its type: what dicts, lists, sets and namespaces hold.
 *
 *     kin_dict_set(stock, kin_string("apples"), kin_int(3));
 *
 * A kin_datum is passed by value and borrows what it points to; containers copy it. What is read out of a container is copied
 * to a buffer of the caller's, so nobody else can change it meanwhile.
 *
 * Types    None, booleans, 64-bit integers, doubles, strings (UTF-8), bytes; a CBOR item for everything else (kin/pack.h makes
 *          and reads it); and pointers to memory of the family: a struct in the heap, another container, a queue.
 * Equal    are two of the same type and the same value. Other than in Python, 1, 1.0 and true are three keys; a NaN is equal
 *          to itself, 0.0 is not -0.0; and CBOR items are equal if their bytes are.
 */
#ifndef KIN_DATUM_H
#define KIN_DATUM_H

#include "kin/api.h"

#include <string.h>

KIN_BEGIN

typedef enum kin_datum_type {
    KIN_DATUM_NOTHING = 0, /* no value at all: that there is no such key */
    KIN_DATUM_NONE,        /* Python's None, CBOR's null */
    KIN_DATUM_BOOL,        /* truth */
    KIN_DATUM_INT,         /* integer */
    KIN_DATUM_DOUBLE,      /* real */
    KIN_DATUM_STRING,      /* data, size without a NUL */
    KIN_DATUM_BYTES,       /* data, size */
    KIN_DATUM_CBOR,        /* data, size: one item */
    KIN_DATUM_POINTER      /* pointer */
} kin_datum_type;

#define KIN_DATUM_SIZE_MAX ((size_t)1 << 40) /* bytes; the heap's limit is met before */

typedef struct kin_datum {
    kin_datum_type type;
    size_t size; /* of data: bytes */
    union {
        bool truth;
        int64_t integer;
        double real;
        const void *data;
        void *pointer;
    };
} kin_datum;

/* One of each type. A function of a language binding may as well fill the struct. */
static inline kin_datum kin_datum_of(kin_datum_type type, const void *data, size_t size)
{
    kin_datum datum;
    datum.type = type;
    datum.size = size;
    datum.integer = 0;
    datum.data = data;
    return datum;
}

static inline kin_datum kin_nothing(void)
{
    return kin_datum_of(KIN_DATUM_NOTHING, NULL, 0);
}

static inline kin_datum kin_none(void)
{
    return kin_datum_of(KIN_DATUM_NONE, NULL, 0);
}

static inline kin_datum kin_bool(bool truth)
{
    kin_datum datum = kin_datum_of(KIN_DATUM_BOOL, NULL, 0);
    datum.truth = truth;
    return datum;
}

static inline kin_datum kin_int(int64_t integer)
{
    kin_datum datum = kin_datum_of(KIN_DATUM_INT, NULL, 0);
    datum.integer = integer;
    return datum;
}

static inline kin_datum kin_double(double real)
{
    kin_datum datum = kin_datum_of(KIN_DATUM_DOUBLE, NULL, 0);
    datum.real = real;
    return datum;
}

/* Up to its NUL. */
static inline kin_datum kin_string(const char *string)
{
    return kin_datum_of(KIN_DATUM_STRING, string, string ? strlen(string) : 0);
}

static inline kin_datum kin_bytes(const void *bytes, size_t size)
{
    return kin_datum_of(KIN_DATUM_BYTES, bytes, size);
}

/* What kin_pack_end gave. */
static inline kin_datum kin_cbor(const void *item, size_t size)
{
    return kin_datum_of(KIN_DATUM_CBOR, item, size);
}

/* To memory that the family shares, which the container neither counts nor frees. */
static inline kin_datum kin_pointer(const void *pointer)
{
    return kin_datum_of(KIN_DATUM_POINTER, pointer, 0);
}

/* "int", "string", ...; "unknown type" for what is none. */
KIN_API const char *kin_datum_type_name(kin_datum_type type);

/* Whether both are of the same type and value. */
KIN_API bool kin_datum_equal(const kin_datum *a, const kin_datum *b);

KIN_END_DECLS

#endif
