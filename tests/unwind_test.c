/* unwind_test.c - os/unwind.h, os/maps.h, os/symbol.h: who called whom, beside what the C library says of it. */
#include "harness.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/maps.h"
#include "os/symbol.h"
#include "os/unwind.h"

#define FRAMES 64

static struct kin__os_image image;
static uintptr_t ours[FRAMES];
static void *theirs[FRAMES];
static int our_count, their_count;

static bool note(const struct kin__os_frame *frame, void *unused)
{
    (void)unused;
    ours[our_count++] = frame->pc;
    return our_count < FRAMES;
}

static void look_both_ways(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    our_count = 0;
    ck_assert(kin__os_image_read(&image, kin__os_stack_pointer(context)));
    kin__os_unwind(&image, context, note, NULL);
    their_count = backtrace(theirs, FRAMES);
}

static void pass_on(int number)
{
    (void)number;
    raise(SIGUSR1);
}

static void catch_signals(bool on_other_stack)
{
    void *warm[2];
    backtrace(warm, 2); /* its first call loads libgcc */
    if (on_other_stack) {
        static unsigned char room[1 << 16];
        stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
        ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
    }
    struct sigaction look = {.sa_sigaction = look_both_ways, .sa_flags = SA_SIGINFO};
    struct sigaction pass = {.sa_handler = pass_on, .sa_flags = on_other_stack ? SA_ONSTACK : 0};
    sigaction(SIGUSR1, &look, NULL);
    sigaction(SIGUSR2, &pass, NULL);
}

/* Theirs begins in the handler itself; from the frame that was interrupted on, both must say the same. */
static void compare(int least)
{
    int at = 0;
    while (at < their_count && (uintptr_t)theirs[at] != ours[0])
        at++;
    ck_assert_msg(at < their_count, "theirs has no frame at %#lx", (unsigned long)ours[0]);
    ck_assert_int_ge(our_count, least);
    for (int i = 0; i < our_count && at + i < their_count; i++)
        ck_assert_msg(ours[i] == (uintptr_t)theirs[at + i], "frame %d: %#lx, theirs %p", i,
                      (unsigned long)ours[i], theirs[at + i]);
    ck_assert_msg(our_count == their_count - at || our_count == FRAMES, "%d frames, theirs %d", our_count,
                  their_count - at);
}

/* Frames of many shapes: none but a return address, many registers saved, of variable size, deep ones. */
__attribute__((noinline)) static int leaf(int number)
{
    return raise(number) + 1;
}

__attribute__((noinline)) static int variable(int number, size_t size)
{
    volatile char *room = __builtin_alloca(size);
    room[0] = 1;
    return leaf(number) + room[0];
}

__attribute__((noinline)) static int busy(int number, const int *in)
{
    int a = in[0], b = in[1], c = in[2], d = in[3], e = in[4], f = in[5];
    int result = variable(number, (size_t)in[6]);
    return result + a * b + c * d + e * f;
}

__attribute__((noinline)) static int deep(int number, int levels)
{
    static const int in[7] = {1, 2, 3, 4, 5, 6, 333};
    volatile int below = levels ? deep(number, levels - 1) : busy(number, in); /* volatile: no loop */
    return below + 1;
}

static int by_qsort(const void *left, const void *right)
{
    static int calls;
    if (calls++ == 0)
        deep(SIGUSR1, 2);
    return *(const int *)left - *(const int *)right;
}

static void the_walk_agrees_with_the_c_librarys(void)
{
    catch_signals(false);
    ck_assert_int_gt(deep(SIGUSR1, 5), 0);
    compare(8);
    ck_assert_int_gt(deep(SIGUSR1, 100), 0);
    compare(FRAMES);
}

static void the_walk_goes_through_libraries(void)
{
    catch_signals(false);
    int numbers[] = {3, 1, 2};
    qsort(numbers, 3, sizeof numbers[0], by_qsort);
    compare(7);
}

static void the_walk_goes_through_signal_handlers(void)
{
    catch_signals(false);
    ck_assert_int_gt(deep(SIGUSR2, 3), 0);
    compare(10);
}

static void the_walk_goes_from_one_stack_to_another(void)
{
    catch_signals(true);
    ck_assert_int_gt(deep(SIGUSR2, 3), 0);
    compare(10);
}

struct found {
    uintptr_t address;
    struct kin__os_map map;
    size_t count;
};

static bool find(const struct kin__os_map *map, void *arg)
{
    struct found *found = arg;
    found->count++;
    if (found->address >= map->start && found->address < map->end)
        found->map = *map;
    return true;
}

static size_t lines_of_maps(void)
{
    FILE *file = fopen("/proc/self/maps", "re");
    ck_assert_ptr_nonnull(file);
    size_t lines = 0;
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static void maps_are_read_whole(void)
{
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    struct found found = {.address = (uintptr_t)page};
    ck_assert(kin__os_maps_walk(0, find, &found));
    ck_assert_int_eq(found.map.protection, PROT_READ);
    ck_assert(!found.map.shared);
    ck_assert_uint_eq(found.map.inode, 0);
    size_t lines = lines_of_maps();
    ck_assert_uint_ge(found.count + 4, lines); /* stdio's own buffer, and the like */
    ck_assert_uint_le(found.count, lines + 4);
    munmap(page, 4096);
    found = (struct found){.address = (uintptr_t)__builtin_frame_address(0)};
    ck_assert(kin__os_maps_walk(getpid(), find, &found));
    ck_assert_str_eq(found.map.name, "[stack]");
    found = (struct found){.address = (uintptr_t)&lines_of_maps};
    ck_assert(kin__os_maps_walk(0, find, &found));
    ck_assert(found.map.protection & PROT_EXEC);
    ck_assert_uint_ne(found.map.inode, 0);
    ck_assert_int_eq(found.map.name[0], '/');
    ck_assert(!kin__os_maps_walk(0x3fffff, find, &found));
}

static const struct kin__os_code *code_of(uintptr_t address)
{
    ck_assert(kin__os_image_read(&image, (uintptr_t)__builtin_frame_address(0)));
    for (size_t i = 0; i < image.count; i++)
        if (address >= image.code[i].start && address < image.code[i].end)
            return &image.code[i];
    ck_abort_msg("no module at %#lx", (unsigned long)address);
}

static void static_functions_have_names(void)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    uintptr_t address = (uintptr_t)&leaf + 1;
    const struct kin__os_code *code = code_of(address);
    ck_assert(code->is_elf);
    struct kin__os_place places[3] = {{.path = path, .address = address - code->bias},
                                      {.path = NULL, .address = 5},
                                      {.path = "/nonexistent", .address = 5}};
    kin__os_symbols(places, 3);
    ck_assert_str_eq(places[0].function, "leaf");
    ck_assert_uint_eq(places[0].into, 1);
    ck_assert_str_eq(places[1].function, "");
    ck_assert_str_eq(places[2].function, "");
#ifdef KIN_HAVE_LIBDW
    ck_assert_ptr_nonnull(strstr(places[0].file, "unwind_test.c"));
    ck_assert_int_gt(places[0].line, 0);
#endif
}

static void files_that_are_no_programs_have_no_names(void)
{
    char path[] = "/tmp/kin-unwind-XXXXXX", text[300] = "\177ELF\2\1\1";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    memset(text + 16, 0xff, sizeof text - 16); /* offsets and counts beyond all ends */
    ck_assert_int_eq(write(fd, text, sizeof text), (ssize_t)sizeof text);
    close(fd);
    struct kin__os_place places[] = {
        {.path = path, .address = 1}, {.path = "/tmp", .address = 1}, {.path = "/dev/zero", .address = 1}};
    kin__os_symbols(places, 3);
    unlink(path);
    for (size_t i = 0; i < 3; i++) {
        ck_assert_str_eq(places[i].function, "");
        ck_assert_str_eq(places[i].file, "");
    }
}

/* ASan: the C library's walk, to compare with, goes through the sanitizer's own raise() and qsort(). */
static const struct test tests[] = {
    {"the_walk_agrees_with_the_c_librarys", the_walk_agrees_with_the_c_librarys, 10, 0},
    {"the_walk_goes_through_libraries", the_walk_goes_through_libraries, 10, 0},
    {"the_walk_goes_through_signal_handlers", the_walk_goes_through_signal_handlers, 10, 0},
    {"the_walk_goes_from_one_stack_to_another", the_walk_goes_from_one_stack_to_another, 10, 0},
    {"maps_are_read_whole", maps_are_read_whole, 10, 0},
    {"static_functions_have_names", static_functions_have_names, 10, 0},
    {"files_that_are_no_programs_have_no_names", files_that_are_no_programs_have_no_names, 10, 0},
};

TEST_MAIN("unwind", tests)
