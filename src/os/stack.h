/* os/stack.h - who called: return addresses, and names for them. For reports, not for handlers of fatal signals. */
#ifndef KIN_OS_STACK_H
#define KIN_OS_STACK_H

#include <stddef.h>
#include <stdint.h>

/*
 * The callers of this function's caller from the return address `from` on, up to `most` (at least 1) to `out`; their
 * number. `from` alone if the stack cannot be walked. The first call in a process loads the unwinder.
 */
unsigned kin__os_callers(const void *from, uint64_t *out, unsigned most);

/* A number that two processes share if, and as far as can be told only if, the same code lies at the same addresses in
 * both: one was forked from the other. */
uint64_t kin__os_code_layout(void);

/* "function+0x12", or "file+0x1234" for addr2line, in `buffer`, which is returned. */
char *kin__os_code_name(uint64_t address, char *buffer, size_t size);

#endif
