/*
 * os/unwind.h - who called whom, found by a dying thread in a signal handler.
 *
 * The walk goes by the modules' call frame information (.eh_frame, which compilers emit unless told not to),
 * and by frame pointers where there is none. It takes no lock, allocates nothing and calls nothing of libc, so that it
 * works in a process that died in malloc or in the loader: modules are found in the kernel's list of maps,
 * not in the loader's. What is read of the stack is bounded by the stack's map.
 *
 * Sources: DWARF 4, section 6.4; Linux Standard Base 5.0, "Exception Frames"; System V ABI, AMD64 supplement, 3.7;
 * DWARF for the Arm 64-bit Architecture.
 */
#ifndef KIN_OS_UNWIND_H
#define KIN_OS_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__MODULES_SEEN 256

/* A file's maps that follow each other: a module, if an ELF header stands at its start. */
struct kin__os_code {
    uintptr_t start, end;
    uintptr_t bias; /* an address less this is the address in the file, as its symbols have it */
    uint64_t inode; /* 0: the kernel's own ([vdso]) */
    bool runs;      /* some of it is executable */
    bool is_elf;
    uintptr_t frames; /* its .eh_frame_hdr; 0: none */
};

/* The process as far as the walk needs to know it. */
struct kin__os_image {
    size_t count;
    struct kin__os_code code[KIN__MODULES_SEEN];
    uintptr_t stack_start, stack_end; /* the map that the stack pointer is in, or next below */
};

struct kin__os_frame {
    uintptr_t pc;
    uintptr_t stack_pointer;
    bool called;                     /* pc is where a call returns to, so the caller is before it */
    const struct kin__os_code *code; /* NULL: in no module */
};

/* The stack pointer, and the address of the next instruction, of an interrupted thread (ucontext_t). */
uintptr_t kin__os_stack_pointer(const void *context);
uintptr_t kin__os_program_counter(const void *context);

/* False: the maps cannot be read. */
bool kin__os_image_read(struct kin__os_image *image, uintptr_t stack_pointer);

/* Walk from an interrupted thread's innermost frame outwards, until `found` says false, or the last. */
void kin__os_unwind(struct kin__os_image *image, const void *context,
                    bool (*found)(const struct kin__os_frame *frame, void *arg), void *arg);

#endif
