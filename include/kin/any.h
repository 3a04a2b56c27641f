/*
 * kin/any.h - values of any type, as proxies take and give them.
 *
 * A kin_any is a small struct, passed by value: null, bool, integer, real, text, bytes, a whole CBOR item (from
 * kin_pack, for lists and maps), or a token of an object that lies in a manager. What comes out of a call may own
 * memory: kin_any_clear it.
 *
 *     kin_proxy_set(dict, kin_any_text("mill"), kin_any_real(0.5))
 *     kin_proxy_set(dict, KIN_ANY("mill"), KIN_ANY(0.5))             the same in C, by the type of what stands there
 *
 * Equality  Values are equal if their CBOR is, in its shortest form; a real without a fraction equals the integer, as
 *           in Python. Maps with other order are other values. Text must be UTF-8.
 * Death     They are private to their process and go with it.
 */
#ifndef KIN_ANY_H
#define KIN_ANY_H

#include "kin/api.h"

KIN_BEGIN

typedef enum kin_any_type {
    KIN_ANY_NULL = 0,
    KIN_ANY_BOOL,  /* truth */
    KIN_ANY_INT,   /* integer */
    KIN_ANY_UINT,  /* natural: beyond INT64_MAX */
    KIN_ANY_REAL,  /* real */
    KIN_ANY_TEXT,  /* data, size: UTF-8; what comes out has a NUL behind it */
    KIN_ANY_BYTES, /* data, size */
    KIN_ANY_PACKED, /* data, size: one CBOR item: a list, map, typed array, or one with a tag; kin/pack.h reads it */
    KIN_ANY_OBJECT, /* data, size: a CBOR item that stands for an object of a manager: kin_proxy_of opens it */
    /* data: memory that the family shares; for containers of the family only (kin/dict.h, kin/list.h) */
    KIN_ANY_POINTER,
    KIN_ANY_NOTHING, /* no value at all, where containers are asked for one that is not there */
    KIN_ANY_FUNCTION /* integer, natural: a function, for Pools of managers (kin_any_function); it only goes there */
} kin_any_type;

typedef struct kin_any {
    kin_any_type type;
    bool truth;
    int64_t integer;
    uint64_t natural;
    double real;
    const void *data;
    size_t size;
    void *memory; /* what `data` lies in, if it is to be freed by kin_any_clear; else NULL */
} kin_any;

KIN_API kin_any kin_any_null(void);
KIN_API kin_any kin_any_bool(bool value);
KIN_API kin_any kin_any_int(int64_t value);
KIN_API kin_any kin_any_uint(uint64_t value);
KIN_API kin_any kin_any_real(double value);
/* These four keep the pointer: what it leads to must stay until the call is done. A NULL string is null. */
KIN_API kin_any kin_any_text(const char *string);
KIN_API kin_any kin_any_text_of(const char *text, size_t size);
KIN_API kin_any kin_any_bytes(const void *data, size_t size);
KIN_API kin_any kin_any_packed(const void *item, size_t size);
KIN_API kin_any kin_any_pointer(const void *pointer);
KIN_API kin_any kin_any_nothing(void);

/* Free what it owns; it is null then. */
KIN_API void kin_any_clear(kin_any *any);

/* Whether two are equal, as managers see it. Malformed packed ones are equal to nothing. */
KIN_API bool kin_any_equal(kin_any one, kin_any other);

/*
 * Copy it as CBOR into `buffer` of `capacity` bytes: what a file, or a kin_queue of the program's own, can keep. *size
 * (unless NULL) tells how many bytes it takes. KIN_ETOOLARGE: more than that; KIN_EINVAL: text that is no UTF-8,
 * malformed packed.
 */
KIN_API int kin_any_write(kin_any any, void *buffer, size_t capacity, size_t *size) KIN_CHECKED;

/* The value of one CBOR item; it owns its memory. KIN_EINVAL: malformed, or more than one; KIN_ELIMIT: too deep;
 * KIN_ENOMEM. */
KIN_API int kin_any_read(const void *item, size_t size, kin_any *out) KIN_CHECKED;

KIN_END_DECLS

#ifdef __cplusplus
inline kin_any KIN_ANY(bool value)
{
    return kin_any_bool(value);
}
inline kin_any KIN_ANY(int value)
{
    return kin_any_int(value);
}
inline kin_any KIN_ANY(long value)
{
    return kin_any_int(value);
}
inline kin_any KIN_ANY(unsigned long value)
{
    return kin_any_uint(value);
}
inline kin_any KIN_ANY(double value)
{
    return kin_any_real(value);
}
inline kin_any KIN_ANY(const char *value)
{
    return kin_any_text(value);
}
#else
/* By type: bool (a variable; true and false themselves are integers before C23), integers, float and double, strings.
 * */
#define KIN_ANY(value) \
    _Generic((value), bool                            \
             : kin_any_bool, char                     \
             : kin_any_int, signed char               \
             : kin_any_int, short                     \
             : kin_any_int, int                       \
             : kin_any_int, long                      \
             : kin_any_int, long long                 \
             : kin_any_int, unsigned char             \
             : kin_any_uint, unsigned short           \
             : kin_any_uint, unsigned                 \
             : kin_any_uint, unsigned long            \
             : kin_any_uint, unsigned long long       \
             : kin_any_uint, float                    \
             : kin_any_real, double                   \
             : kin_any_real, char *                   \
             : kin_any_text, const char *             \
             : kin_any_text)(value)
#endif

#endif
