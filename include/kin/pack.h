/*
 * kin/pack.h - typed messages: values that other programs and languages can read.
 *
 * What is packed is CBOR (RFC 8949; typed arrays by RFC 8746), byte by byte standard: Python's cbor2 reads it, and what cbor2
 * writes is read here. A kin_pack writes items one after the other, a kin_unpack reads them so. For what stays in the family plain
 * structs and pointers do without any of this.
 *
 *     kin_pack *pack = kin_pack_new();                 a block of the heap, which grows
 *     kin_pack_map(pack, 2);
 *     kin_pack_string(pack, "name");
 *     kin_pack_string(pack, "mill");
 *     kin_pack_string(pack, "speeds");
 *     kin_pack_array(pack, KIN_FLOAT64, speeds, 3);
 *     if (kin_pack_end(pack, &data, &size) == 0)       errors of all calls are told here
 *         error = kin_queue_give(queue, data, size, KIN_FOREVER);
 *
 * Numbers   Written in the shortest way that keeps their value, doubles too (so one value has one encoding, but for the order
 *           in maps, which is yours).
 * Input     Nothing read is trusted: lengths, counts, depth, UTF-8 and types are checked, nothing is allocated by what a message
 *           claims, and what comes out are views into it (kin_item). Malformed: KIN_EINVAL, which tells the place.
 * libcbor   is loaded by the first call. Where it is not installed, or kin was built without it, kin_pack_new and kin_unpack_new
 *           fail with KIN_ENOTSUP.
 * Threads   One kin_pack or kin_unpack for one thread at a time. Both are private to their process.
 * Death     They go with their process; a block that has not been handed over is left, as one of kin_malloc is.
 */
#ifndef KIN_PACK_H
#define KIN_PACK_H

#include "kin/api.h"

KIN_BEGIN

#define KIN_PACK_DEPTH 64          /* lists and maps in one another, at most */
#define KIN_PACK_OPEN ((size_t)-1) /* a number of entries that is not known yet */

/* Elements of typed arrays. KIN_FLOAT16 and KIN_FLOAT128 are handed through as 2 and 16 bytes. */
typedef enum kin_element {
    KIN_UINT8 = 1,
    KIN_UINT16,
    KIN_UINT32,
    KIN_UINT64,
    KIN_INT8,
    KIN_INT16,
    KIN_INT32,
    KIN_INT64,
    KIN_FLOAT16,
    KIN_FLOAT32,
    KIN_FLOAT64,
    KIN_FLOAT128,
    KIN_UINT8_CLAMPED
} kin_element;

/* Bytes of one; 0 if it is none. */
KIN_API size_t kin_element_size(kin_element element);

/* ---- writing ----------------------------------------------------------------------------------- */

typedef struct kin_pack kin_pack;

/* Free it, and what it has written into the heap and not handed over. NULL does nothing. */
KIN_API void kin_pack_free(kin_pack *pack);

/* Write into a block of the heap, which grows. NULL: KIN_ENOTSUP, KIN_ENOMEM. */
KIN_API kin_pack *kin_pack_new(void) KIN_CHECKED KIN_FREED_BY(kin_pack_free);

/* Write into `buffer`, and never beyond it. NULL of 0 bytes: only count. */
KIN_API kin_pack *kin_pack_new_in(void *buffer, size_t capacity) KIN_CHECKED KIN_FREED_BY(kin_pack_free);

/* One item each: 0, or an error, which sticks until kin_pack_end; so that one may be asked alone. */
KIN_API int kin_pack_null(kin_pack *pack);
KIN_API int kin_pack_bool(kin_pack *pack, bool value);
KIN_API int kin_pack_int(kin_pack *pack, int64_t value);
KIN_API int kin_pack_uint(kin_pack *pack, uint64_t value);
KIN_API int kin_pack_double(kin_pack *pack, double value);
KIN_API int kin_pack_string(kin_pack *pack, const char *string);            /* up to its NUL; UTF-8 */
KIN_API int kin_pack_text(kin_pack *pack, const char *text, size_t length); /* the same, NULs and all */
KIN_API int kin_pack_bytes(kin_pack *pack, const void *bytes, size_t size);
KIN_API int kin_pack_array(kin_pack *pack, kin_element element, const void *elements, size_t count);

/*
 * A list of `count` entries, which are the next items; a map of `count` pairs, keys and values in turn. It ends by itself. With
 * KIN_PACK_OPEN it ends at kin_pack_close. KIN_ELIMIT: more than KIN_PACK_DEPTH in one another.
 */
KIN_API int kin_pack_list(kin_pack *pack, size_t count);
KIN_API int kin_pack_map(kin_pack *pack, size_t count);
KIN_API int kin_pack_close(kin_pack *pack);

/* The next item has this tag. */
KIN_API int kin_pack_tag(kin_pack *pack, uint64_t tag);

/* An item that is packed already: checked, and copied as it is. */
KIN_API int kin_pack_item(kin_pack *pack, const void *data, size_t size);

/*
 * All is written: the bytes go to *data and *size (unless NULL), and the pack begins anew. A block of the heap is the caller's then, to
 * kin_free or to kin_queue_give. KIN_ETOOLARGE: the buffer was too small, *size tells what is needed; KIN_EINVAL: a list
 * or map is not complete, or an error of a call before. Then there is nothing, and the pack begins anew too.
 */
KIN_API int kin_pack_end(kin_pack *pack, void **data, size_t *size) KIN_CHECKED;

/* ---- reading ----------------------------------------------------------------------------------- */

typedef enum kin_item_type {
    KIN_ITEM_END, /* of the list, map or message */
    KIN_ITEM_NULL,
    KIN_ITEM_UNDEFINED,
    KIN_ITEM_BOOL,     /* truth */
    KIN_ITEM_INT,      /* integer */
    KIN_ITEM_UINT,     /* natural: beyond INT64_MAX */
    KIN_ITEM_NEGATIVE, /* -1 - natural: below INT64_MIN */
    KIN_ITEM_DOUBLE,   /* real */
    KIN_ITEM_STRING,   /* data, size: UTF-8, not terminated */
    KIN_ITEM_BYTES,    /* data, size */
    KIN_ITEM_LIST,     /* count, or KIN_PACK_OPEN */
    KIN_ITEM_MAP,      /* count of pairs, or KIN_PACK_OPEN */
    KIN_ITEM_ARRAY     /* data, size; element, count, big_endian */
} kin_item_type;

/* What was read. `data` points into the message, or, for a string that came in pieces, into the kin_unpack until its next call. */
typedef struct kin_item {
    kin_item_type type;
    bool truth;
    bool tagged;
    bool big_endian;
    kin_element element;
    int64_t integer;
    uint64_t natural;
    double real;
    uint64_t tag; /* if tagged: the outermost one; those of typed arrays do not count */
    const void *data;
    size_t size;
    size_t count;
} kin_item;

typedef struct kin_unpack kin_unpack;

KIN_API void kin_unpack_free(kin_unpack *unpack);

/* Read a message, which must stay as it is meanwhile. NULL: KIN_ENOTSUP, KIN_ENOMEM, KIN_EINVAL. */
KIN_API kin_unpack *kin_unpack_new(const void *data, size_t size) KIN_CHECKED KIN_FREED_BY(kin_unpack_free);

/* 0: the bytes are one item, whole and well-formed, and nothing else. KIN_EINVAL; KIN_ELIMIT: too deep; KIN_ENOTSUP; KIN_ENOMEM. */
KIN_API int kin_unpack_check(const void *data, size_t size) KIN_CHECKED;

/*
 * The next item. A list or map is passed over by the call after that, unless it is entered. 0, at the end too (KIN_ITEM_END, again and
 * again); KIN_EINVAL: malformed here; KIN_ELIMIT: more than KIN_PACK_DEPTH in one another. After an error the same comes again.
 */
KIN_API int kin_unpack_next(kin_unpack *unpack, kin_item *out) KIN_CHECKED;

/* Into the list or map that was read last; out of the one that is read, past what is left of it. */
KIN_API int kin_unpack_enter(kin_unpack *unpack);
KIN_API int kin_unpack_leave(kin_unpack *unpack);

/* In a map: go to the value of a key that is a string, wherever in it. KIN_ENOTFOUND: there is none. */
KIN_API int kin_unpack_find(kin_unpack *unpack, const char *key) KIN_CHECKED;

/* The next item, which must be of that type: otherwise KIN_EINVAL, and it is still the next. Lists and maps are entered. */
KIN_API int kin_unpack_bool(kin_unpack *unpack, bool *out) KIN_CHECKED;
KIN_API int kin_unpack_int(kin_unpack *unpack, int64_t *out) KIN_CHECKED;
KIN_API int kin_unpack_uint(kin_unpack *unpack, uint64_t *out) KIN_CHECKED;
KIN_API int kin_unpack_double(kin_unpack *unpack,
                              double *out) KIN_CHECKED; /* an integer too, if it is kept exactly */
KIN_API int kin_unpack_string(kin_unpack *unpack, const char **out, size_t *length) KIN_CHECKED;
KIN_API int kin_unpack_bytes(kin_unpack *unpack, const void **out, size_t *size) KIN_CHECKED;
KIN_API int kin_unpack_list(kin_unpack *unpack, size_t *count) KIN_CHECKED;
KIN_API int kin_unpack_map(kin_unpack *unpack, size_t *count) KIN_CHECKED;

/* The elements of a typed array, in this machine's byte order, into `out`, which has room for `capacity` of them: KIN_ETOOLARGE if
 * that is too few; *count (unless NULL) tells how many there are. KIN_EINVAL: it is no array of these. */
KIN_API int kin_unpack_array(kin_unpack *unpack, kin_element element, void *out, size_t capacity,
                             size_t *count) KIN_CHECKED;
KIN_API int kin_item_elements(const kin_item *item, kin_element element, void *out,
                              size_t capacity) KIN_CHECKED;

KIN_END_DECLS

#endif
