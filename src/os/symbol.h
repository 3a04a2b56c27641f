/*
 * os/symbol.h - names for places in programs and libraries: function, file, line.
 *
 * The function is found in the file's symbol table, static ones too; what was stripped into a separate file of
 * debug information (by build id), and files and lines, by libdw, if kin was built with it and it is installed. It is
 * loaded for the time of one question and unloaded again: five more libraries would make each fork
 * dearer.
 *
 * Threads  Any; not in signal handlers.
 */
#ifndef KIN_OS_SYMBOL_H
#define KIN_OS_SYMBOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kin__os_place {
    const char *path;   /* asked for: the ELF file, */
    uint64_t address;   /* and the address, as the file's own symbols count */
    char function[128]; /* "" where nothing is known */
    uint64_t into;      /* bytes from the function's start */
    char file[128];     /* as the compiler was given it, of a long path the end; "" */
    int line;
};

/* Fill in what can be found out about each of them. */
void kin__os_symbols(struct kin__os_place *places, size_t count);

#endif
