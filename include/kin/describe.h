/*
 * kin/describe.h - what an object of the heap is, and how it is just now, in a few words: for logs and debuggers. What Python's repr is.
 *
 *     char text[KIN_DESCRIPTION];
 *     puts(kin_describe(event, text, sizeof text));         event "ready" at 0x200000012340, unset
 *     puts(kin_describe(lock, text, sizeof text));          lock "log" at 0x200000012380, held by process "w3" (pid 71)
 *
 * Truth    It was so a moment ago.
 * Death    It takes no lock and waits for nobody.
 */
#ifndef KIN_DESCRIBE_H
#define KIN_DESCRIBE_H

#include "kin/api.h"

KIN_BEGIN

#define KIN_DESCRIPTION 200 /* bytes that are always enough */

/*
 * Describe it into `text`, which is returned: up to `size` bytes with the NUL, cut if that is too little. Of any pointer: what is no object
 * of the heap, is said to be none.
 */
KIN_API char *kin_describe(const void *object, char *text, size_t size);

KIN_END_DECLS

#endif
