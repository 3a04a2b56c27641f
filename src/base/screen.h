/*
 * base/screen.h - whole lines beside a progress bar.
 *
 * A bar is the last line of the terminal, without a newline. What is written through here takes it away before and draws it
 * again behind, in one write. The lock is this process's: other processes' lines come to it through pipes
 * (process/output.h). It is held while a write waits for the terminal.
 */
#ifndef KIN_BASE_SCREEN_H
#define KIN_BASE_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Write lines to a descriptor, up to 4 KiB of them at once (a longer one by itself). 0 or errno. */
int kin__screen_write(int fd, const char *text, size_t length);

/* Draw this bar on stderr, which is a terminal; `last`: it stays there as a line. */
void kin__screen_bar(const char *text, size_t length, bool last);

/* In a child after fork. */
void kin__screen_after_fork(void);

#endif
