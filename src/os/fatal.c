/* os/fatal.c - see fatal.h. */
#include "os/fatal.h"

#include "base/in_child.h"
#include "os/raw.h"

#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#define BIT(number) (UINT32_C(1) << (number))
/* As a number: a table would be one more page to fault in, in each child. */
#define FATAL \
    (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGILL) | BIT(SIGABRT) | BIT(SIGSYS) | BIT(SIGTRAP))
#define FATALS 7
#define MASK_SIZE 8
#define RESTORER_GIVEN 0x04000000ul /* SA_RESTORER of the kernel's headers */

/* As rt_sigaction(2) takes it. */
struct raw_action {
    kin__os_fatal_fn handler;
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static struct raw_action ours; /* handler NULL: not prepared */
static stack_t own_stack;
static struct raw_action earlier[FATALS]; /* as long as there are none, never written: all zero is SIG_DFL */

void kin__os_fatal_prepare(kin__os_fatal_fn handler, void *stack, size_t size, int like)
{
    struct raw_action raw = {0};
    kin__raw(SYS_rt_sigaction, like, 0, (long)&raw, MASK_SIZE, 0);
    own_stack = (stack_t){.ss_sp = stack, .ss_size = size};
    ours.flags = (raw.flags & RESTORER_GIVEN) | SA_SIGINFO | SA_ONSTACK;
    ours.restorer = raw.restorer;
    ours.mask = ~UINT64_C(0);
    ours.handler = handler;
}

/*
 * AddressSanitizer's runtime gives each thread an alternate stack, and at the thread's end unmaps the one that is there then
 * (UnsetAlternateSignalStack in sanitizer_posix_libcdep.cpp), whosever it is. What lies among a module's variables it cannot
 * unmap, and ends the process, or it takes other variables with it. So there the stack is a mapping.
 */
#define ASIDE 0x6e0000000000 /* free as a rule; else the kernel takes another */
void __asan_init(void) __attribute__((weak));

static void mapped_stack(void)
{
    /* Not where it may take the place of what the parent has for itself alone (MADV_DONTFORK). */
    void *at =
        mmap((void *)ASIDE, own_stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED)
        own_stack.ss_sp = at;
}

KIN__IN_CHILD static void use_own_stack(void)
{
    if (__asan_init)
        mapped_stack();
    kin__raw(SYS_sigaltstack, (long)&own_stack, 0, 0, 0, 0);
}

KIN__IN_CHILD uint64_t kin__os_fatal_catch(void)
{
    if (!ours.handler)
        return 0;
    use_own_stack();
    for (uint32_t left = FATAL; left; left &= left - 1)
        kin__raw(SYS_rt_sigaction, __builtin_ctz(left), (long)&ours, 0, MASK_SIZE, 0);
    return FATAL >> 1;
}

void kin__os_fatal_catch_after_others(void)
{
    stack_t now = {0};
    if (!ours.handler)
        return;
    kin__raw(SYS_sigaltstack, 0, (long)&now, 0, 0, 0);
    if ((now.ss_flags & SS_DISABLE) || now.ss_size < own_stack.ss_size)
        use_own_stack();
    struct raw_action *before = earlier;
    for (uint32_t left = FATAL; left; left &= left - 1)
        kin__raw(SYS_rt_sigaction, __builtin_ctz(left), (long)&ours, (long)before++, MASK_SIZE, 0);
}

static const struct raw_action *earlier_of(int number)
{
    return &earlier[__builtin_popcount(FATAL & (BIT(number) - 1))]; /* they were noted in this order */
}

bool kin__os_fatal_has_earlier(int number)
{
    return earlier_of(number)->handler != (kin__os_fatal_fn)0;
}

/* Sent anew, with all that it told, it comes as soon as the handler has returned: where it came the first time. */
void kin__os_fatal_pass(int number, siginfo_t *info)
{
    long process = kin__raw(SYS_getpid, 0, 0, 0, 0, 0), thread = kin__raw(SYS_gettid, 0, 0, 0, 0, 0);
    kin__raw(SYS_rt_sigaction, number, (long)earlier_of(number), 0, MASK_SIZE, 0);
    if (kin__raw(SYS_rt_tgsigqueueinfo, process, thread, number, (long)info, 0) < 0)
        kin__raw(SYS_tgkill, process, thread, number, 0, 0);
}

void kin__os_fatal_wait(void)
{
    struct timespec pause = {.tv_nsec = 10000000};
    kin__raw(SYS_nanosleep, (long)&pause, 0, 0, 0, 0);
}
