/* process/pointers.h - KIN_CHECK=pointers: what is handed to other processes is searched for private pointers. */
#ifndef KIN_PROCESS_POINTERS_H
#define KIN_PROCESS_POINTERS_H

#include <stddef.h>

/*
 * Under KIN_CHECK=pointers: log a warning for each aligned word of `count` items of `size` bytes at `data` that points
 * into private memory of this process. `what` and `name` tell which: "the argument of process", "w"; with
 * `count` 1 no item is named.
 */
void kin__pointers_check(const char *what, const char *name, const void *data, size_t size, size_t count);

#endif
