/* os/stack.c - see stack.h; backtrace(3), dladdr(3). */
#include "os/stack.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#define DEPTH 32

unsigned kin__os_callers(const void *from, uint64_t *out, unsigned most)
{
    void *frames[DEPTH];
    int depth = backtrace(frames, DEPTH), first = 0;
    while (first < depth && frames[first] != from)
        first++;
    unsigned count = 0;
    for (int i = first; i < depth && count < most; i++)
        out[count++] = (uint64_t)(uintptr_t)frames[i];
    if (count == 0)
        out[count++] = (uint64_t)(uintptr_t)from;
    return count;
}

uint64_t kin__os_code_layout(void)
{
    return getauxval(AT_PHDR) ^ getauxval(AT_RANDOM) << 8 ^ (uint64_t)(uintptr_t)&kin__os_code_layout << 1;
}

char *kin__os_code_name(uint64_t address, char *buffer, size_t size)
{
    Dl_info about;
    /* A return address is behind its call, which may be the function's last instruction. */
    if (!dladdr((void *)(uintptr_t)(address - 1), &about) || !about.dli_fname) {
        snprintf(buffer, size, "0x%" PRIx64, address);
        return buffer;
    }
    const char *file = strrchr(about.dli_fname, '/');
    if (about.dli_sname)
        snprintf(buffer, size, "%s+0x%" PRIx64, about.dli_sname,
                 address - (uint64_t)(uintptr_t)about.dli_saddr);
    else
        snprintf(buffer, size, "%s+0x%" PRIx64, file ? file + 1 : about.dli_fname,
                 address - (uint64_t)(uintptr_t)about.dli_fbase);
    return buffer;
}
