/* os/cfi.h - one step of os/unwind.h: from a frame to its caller's, by a module's .eh_frame. */
#ifndef KIN_OS_CFI_H
#define KIN_OS_CFI_H

#include "os/unwind.h"

/* Numbers of registers as DWARF has them for the machine. */
#if defined(__x86_64__)
#define KIN__REGISTERS 17
#define KIN__FRAME_POINTER 6
#define KIN__STACK_POINTER 7
#define KIN__RETURN 16 /* where the caller goes on: a register only to DWARF */
#elif defined(__aarch64__)
#define KIN__REGISTERS 32
#define KIN__FRAME_POINTER 29
#define KIN__STACK_POINTER 31
#define KIN__RETURN 30
#else
#error "kin runs on x86-64 and AArch64"
#endif

struct kin__os_registers {
    uintptr_t at[KIN__REGISTERS];
    uintptr_t pc;
};

enum kin__step {
    KIN__STEP_NONE, /* the module has nothing on this place */
    KIN__STEP_LAST, /* nobody called it, or what is found makes no sense */
    KIN__STEP_CALLER,
    KIN__STEP_INTERRUPTED /* it is a signal handler's return: pc is where the signal came */
};

/* `place` lies in the function that is left; `image` says what may be read. */
enum kin__step kin__os_cfi_step(const struct kin__os_image *image, const struct kin__os_code *code,
                                uintptr_t place, struct kin__os_registers *registers);

/* A word of the stack. */
bool kin__os_stack_word(const struct kin__os_image *image, uintptr_t address, uintptr_t *out);

/* An address as it is called: some machines sign those they store. */
static inline uintptr_t kin__os_unsigned_address(uintptr_t address)
{
#if defined(__aarch64__)
    register uintptr_t x30 __asm__("x30") = address;
    __asm__("hint 7" : "+r"(x30)); /* xpaclri; does nothing where there are no signatures */
    return x30;
#else
    return address;
#endif
}

#endif
