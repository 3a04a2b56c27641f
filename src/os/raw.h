/*
 * os/raw.h - system calls without libc, for the first moments of a forked child.
 *
 * A child shares its parent's text, but not the parent's page tables for it: each 64 KiB of libc that it
 * touches first is a page fault, and libc spreads these calls over seven of them. Measured: a start by fork
 * fell from 1.55 to 1.4 times a bare fork. Returns -errno on failure.
 */
#ifndef KIN_OS_RAW_H
#define KIN_OS_RAW_H

#include <sys/syscall.h>

#if defined(__x86_64__)
static inline long kin__raw(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline long kin__raw(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#else
#error "kin runs on x86-64 and AArch64"
#endif

#endif
