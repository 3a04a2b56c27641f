/*
 * kin/api.h - what every public header needs: visibility, C++ linkage, time, start methods.
 *
 * Time     Seconds as `double`. A `timeout` is KIN_FOREVER, 0 ("try, do not wait") or positive;
 *          negative or NaN is KIN_EINVAL. Clocks are monotonic.
 * Errors   Functions return 0 or a negative KIN_E code; constructors return NULL and
 *          kin_error_code() tells why. kin_error_message() has the whole story (kin/error.h).
 * Options  A struct whose first field is its size; zero in a field means the default, a NULL
 *          pointer means all defaults. KIN_X_OPTIONS(.field = value, ...) makes a pointer to one.
 */
#ifndef KIN_API_H
#define KIN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define KIN_API __attribute__((visibility("default")))
#define KIN_CHECKED __attribute__((warn_unused_result))
#define KIN_PRINTF(at, first) __attribute__((format(printf, at, first)))
#else
#define KIN_API
#define KIN_CHECKED
#define KIN_PRINTF(at, first)
#endif

/* Who frees what a function returns. gcc warns where another one does: free() of what kin_malloc gave, kin_free() of
 * what malloc() gave. */
#if defined(__GNUC__) && __GNUC__ >= 11 && !defined(__clang__)
#define KIN_FREED_BY(function) __attribute__((malloc(function, 1)))
#else
#define KIN_FREED_BY(function)
#endif

#ifdef __cplusplus
#define KIN_BEGIN extern "C" {
#define KIN_END_DECLS }
#else
#define KIN_BEGIN
#define KIN_END_DECLS
#endif

/* Wait without limit. */
#define KIN_FOREVER (__builtin_inf())

/* How children are started; see kin/start_method.h. */
enum kin_start_method {
    KIN_START_DEFAULT = 0,   /* what KIN_START_METHOD in the environment says, else fork */
    KIN_START_FORK = 1,      /* a copy of the parent: everything before the start is there */
    KIN_START_SPAWN = 2,     /* a fresh image of the same program; only main() up to kin_init runs again */
    KIN_START_FORKSERVER = 3 /* a copy of a fresh image that is kept ready; see kin/start_method.h */
};

#endif
