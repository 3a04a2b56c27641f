/*
 * process/printed.h - what a process prints, when it does not pass: the part that lies in its object, behind data, and the
 * process's own side. The starter's side is output.h.
 *
 *   field      written by   rule                                   when the writer dies there
 *   --------   ----------   ------------------------------------   ---------------------------------------
 *   mode to    starter      before the child runs                  not linked yet
 *   write_fd
 *   turn       starter's    odd while bytes are on their way from  odd for ever: who waits for it gives up after
 *              relay        the pipe to `kept`; release            a while, and takes what is there
 *   taken      starter's    bytes that have left the pipe, in a    as stored
 *              relay        turn
 *   kept       starter's    byte i of all lies at i % KEPT, in     a few bytes of a text
 *              relay        a turn
 *
 *   O1  turn even: taken plus what is in the pipe is all that was printed; kept has the last min(taken, KEPT) bytes
 */
#ifndef KIN_PROCESS_PRINTED_H
#define KIN_PROCESS_PRINTED_H

#include "kin/output.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__KEPT 8192u

/* For pools, beside enum kin_output: lines of what goes to a terminal. */
#define KIN__OUTPUT_TERMINAL 100

struct kin_process;

struct kin__printed {
    int32_t mode;
    int32_t starter;     /* pid */
    int32_t write_fd[2]; /* the starter's, for stdout and stderr; -1: passed */
    _Atomic uint32_t turn;
    _Atomic uint64_t taken;
    unsigned char kept[]; /* captured only */
};

/* Bytes it takes in the object of a process; 0: its output passes. */
size_t kin__printed_size(int mode);

/* ---- the process's side -------------------------------------------------------------------------- */

/* In a forked child, first of all: make these its stdout and stderr (-1: as they are). */
void kin__printed_redirect(const int write_fd[2]);

/* In any child, once it has attached. False: it could not; the record tells. */
bool kin__printed_begin(const struct kin_process *process);

/* In a child of a plain fork: what its parent holds is not its. */
void kin__printed_forked(void);

/* In a captured process: bytes that it has printed, stdio's buffers included, which are written out. 0 elsewhere. */
uint64_t kin__printed_so_far(const struct kin_process *process);

/* ---- anybody's ----------------------------------------------------------------------------------- */

/*
 * The end of what it printed after byte `from`, at most size - 1 bytes, NUL-terminated; the number of bytes. If it was cut,
 * from the beginning of a line on. *taken: how many bytes had been taken in all.
 */
size_t kin__printed_tail(const struct kin_process *process, uint64_t from, char *buffer, size_t size,
                         uint64_t *taken);

/* The last line of a text as "; it last printed \"cannot open x\"", or "": for messages. */
char *kin__printed_quote(const char *printed, char *buffer, size_t size);
/* The same of what it printed. */
char *kin__printed_last(const struct kin_process *process, char *buffer, size_t size);

#endif
