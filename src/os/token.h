/*
 * os/token.h - descriptors that tell by a lock whether anyone still has them.
 *
 * A token is an open file description of its own, with a lock on one byte, beyond the file's end, of a file that all know. The
 * lock lasts as long as the description: as long as any process has a descriptor for it, or a message in a socket carries one.
 */
#ifndef KIN_OS_TOKEN_H
#define KIN_OS_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

/* A token of that number, which nobody has had yet, for the file of `fd`. KIN_ESYSTEM (no /proc, too many files). */
int kin__os_token_new(int fd, uint64_t number, int *out);

/* Whether anyone has it; true if that cannot be told. */
bool kin__os_token_held(int fd, uint64_t number);

#endif
