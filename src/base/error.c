/*
 * base/error.c - the thread's error record and the list of codes.
 *
 * The record is thread-local and plain, so that setting one needs no allocation and works in a process
 * that is out of memory. It survives fork, as the rest of the thread does.
 */
#include "base/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local kin_error last;
_Thread_local unsigned kin__error_serial;

static void keep(const kin_error *error)
{
    last = *error;
    kin__error_serial++;
}

static void fill(kin_error *error, int code, int os_errno, const char *format, va_list args)
{
    error->code = code;
    error->os_errno = os_errno;
    error->pid = (int)getpid();
    error->reserved = 0;
    int length = vsnprintf(error->message, sizeof error->message, format, args);
    if (length < 0)
        error->message[0] = '\0';
    if (os_errno == 0 || length < 0 || (size_t)length >= sizeof error->message)
        return;
    char text[128];
    snprintf(error->message + length, sizeof error->message - (size_t)length, ": %s",
             strerror_r(os_errno, text, sizeof text));
}

int kin__fail(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kin_error error; /* the arguments may point into the record itself */
    fill(&error, code, 0, format, args);
    va_end(args);
    keep(&error);
    return code;
}

int kin__fail_errno(int code, int os_errno, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kin_error error;
    fill(&error, code, os_errno, format, args);
    va_end(args);
    keep(&error);
    return code;
}

int kin__fail_with(const kin_error *error)
{
    keep(error);
    last.message[sizeof last.message - 1] = '\0';
    return last.code;
}

void kin__error_fill(kin_error *error, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kin_error filled;
    fill(&filled, code, 0, format, args);
    va_end(args);
    *error = filled;
}

void kin__panic(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char line[512];
    int length = snprintf(line, sizeof line, "kin: [%d] broken invariant: %s\n", (int)getpid(), text);
    if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
        abort();
    abort();
}

int kin__options_read(void *known, size_t known_size, const void *given, const char *what)
{
    memset(known, 0, known_size);
    if (!given)
        return 0;
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size < sizeof size || size > 65536)
        return kin__fail(KIN_EINVAL,
                         "cannot read %s: its size field says %zu; fill it in with the options macro", what,
                         size);
    memcpy(known, given, size < known_size ? size : known_size);
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)given)[i])
            return kin__fail(
                KIN_EINVAL, "cannot honour %s: it uses a field that this version of kin does not know", what);
    return 0;
}

int kin_error_code(void)
{
    return last.code;
}

const char *kin_error_message(void)
{
    return last.message;
}

void kin_error_get(kin_error *out)
{
    if (out)
        *out = last;
}

void kin_error_clear(void)
{
    memset(&last, 0, sizeof last);
}

int kin_error_set(int code, const char *format, ...)
{
    if (code >= 0 || !format)
        return kin__fail(KIN_EINVAL, "cannot set error code %d: codes are negative, and need a message",
                         code);
    va_list args;
    va_start(args, format);
    kin_error error;
    fill(&error, code, 0, format, args);
    va_end(args);
    keep(&error);
    return code;
}

const char *kin_strerror(int code)
{
    static _Thread_local char unknown[40];
    switch (code) {
    case 0:
        return "success";
#define TEXT(name, value, text) \
    case name:                  \
        return text;
        KIN_ERROR_LIST(TEXT)
#undef TEXT
    default:
        snprintf(unknown, sizeof unknown, "unknown error %d", code);
        return unknown;
    }
}

const char *kin_error_name(int code)
{
    switch (code) {
    case 0:
        return "KIN_OK";
#define NAME(name, value, text) \
    case name:                  \
        return #name;
        KIN_ERROR_LIST(NAME)
#undef NAME
    default:
        return NULL;
    }
}
