/* shareable_list_test.c - kin/shareable_list.h, beside Debian's Python. What CPython's _TestSharedMemory tests is marked so. */
#include "sync_common.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define PYTHON "/usr/bin/python3"
#define COUNT(array) (sizeof(array) / sizeof *(array))

static kin_shareable_list *make(const char *name, const kin_any *values, size_t count)
{
    kin_shareable_list *list = kin_shareable_list_create(name, values, count, NULL);
    ck_assert_msg(list != NULL, "%s", kin_error_message());
    return list;
}

static kin_shareable_list *range(const char *name, int64_t to)
{
    kin_any *values = calloc((size_t)to, sizeof *values);
    for (int64_t i = 0; i < to; i++)
        values[i] = kin_any_int(i);
    kin_shareable_list *list = make(name, values, (size_t)to);
    free(values);
    return list;
}

static kin_shareable_list *attach(const char *name)
{
    kin_shareable_list *list = kin_shareable_list_attach(name);
    ck_assert_msg(list != NULL, "%s", kin_error_message());
    return list;
}

static const char *name_of(const kin_shareable_list *list)
{
    return kin_shared_memory_name(kin_shareable_list_memory(list));
}

static void end(kin_shareable_list *list)
{
    ck_assert_int_eq(kin_shared_memory_unlink(name_of(list)), 0);
    kin_shareable_list_close(list);
}

static bool same(const kin_any *one, const kin_any *other)
{
    if (one->type != other->type)
        return false;
    switch (one->type) {
    case KIN_ANY_BOOL:
        return one->truth == other->truth;
    case KIN_ANY_INT:
        return one->integer == other->integer;
    case KIN_ANY_REAL:
        return one->real >= other->real && one->real <= other->real;
    case KIN_ANY_TEXT:
    case KIN_ANY_BYTES:
        return one->size == other->size && memcmp(one->data, other->data, one->size) == 0;
    default:
        return true;
    }
}

static void is(const kin_shareable_list *list, int64_t index, kin_any expected)
{
    kin_any value;
    ck_assert_msg(kin_shareable_list_get(list, index, &value) == 0, "%s", kin_error_message());
    ck_assert_msg(same(&value, &expected), "item %lld: type %d, not %d, or another value", (long long)index,
                  (int)value.type, (int)expected.type);
    kin_any_clear(&value);
}

static void set(kin_shareable_list *list, int64_t index, kin_any value)
{
    ck_assert_msg(kin_shareable_list_set(list, index, value) == 0, "%s", kin_error_message());
}

static void has_format(const kin_shareable_list *list, const char *expected)
{
    char format[200];
    size_t size;
    ck_assert_int_eq(kin_shareable_list_format(list, format, sizeof format, &size), 0);
    ck_assert_str_eq(format, expected);
    ck_assert_uint_eq(size, strlen(expected) + 1);
}

static kin_any bytes(const char *text)
{
    return kin_any_bytes(text, strlen(text));
}

static size_t count_of(const kin_shareable_list *list, kin_any value)
{
    size_t count = 99;
    ck_assert_int_eq(kin_shareable_list_count(list, value, &count), 0);
    return count;
}

/* test_shared_memory_ShareableList_basics */
static void list_does_what_pythons_does(void)
{
    const kin_any values[] = {kin_any_text("howdy"), bytes("HoWdY"), kin_any_real(-273.154),
                              kin_any_int(100),      kin_any_null(), kin_any_bool(true),
                              kin_any_int(42)};
    kin_shareable_list *list = make(NULL, values, COUNT(values));
    kin_any value;
    size_t where;
    ck_assert_int_eq(kin_shareable_list_get(list, 7, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_shareable_list_get(list, -8, &value), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_shareable_list_set(list, 7, kin_any_int(2)), KIN_ENOTFOUND);
    set(list, 0, kin_any_text("howdy")); /* the format stays */
    has_format(list, "8s8sdqxxxxxx?xxxxxxxx?q");
    ck_assert_uint_eq(kin_shareable_list_length(list), 7);
    ck_assert_int_eq(kin_shareable_list_index(list, kin_any_text("100"), &where), KIN_ENOTFOUND);
    ck_assert_int_eq(kin_shareable_list_index(list, kin_any_int(100), &where), 0);
    ck_assert_uint_eq(where, 3);
    is(list, 0, kin_any_text("howdy"));
    is(list, -2, kin_any_bool(true));
    for (size_t i = 0; i < COUNT(values); i++)
        is(list, (int64_t)i, values[i]);

    set(list, 3, kin_any_int(42));
    is(list, 3, kin_any_int(42));
    set(list, 4, kin_any_text("some")); /* another type */
    is(list, 4, kin_any_text("some"));
    has_format(list, "8s8sdq8sxxxxxxx?q");
    ck_assert_int_eq(kin_shareable_list_set(list, 4, kin_any_text("far too many")), KIN_ETOOLARGE);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "to 12 bytes: its slot has 8"));
    is(list, 4, kin_any_text("some"));
    set(list, 0, kin_any_text("encod\u00e9s")); /* exactly 8 bytes */
    is(list, 0, kin_any_text("encod\u00e9s"));
    is(list, 1, bytes("HoWdY")); /* which it does not touch */
    ck_assert_int_eq(kin_shareable_list_set(list, 0, kin_any_text("encod\u00e9es")), KIN_ETOOLARGE);
    ck_assert_int_eq(kin_shareable_list_set(list, 1, bytes("123456789")), KIN_ETOOLARGE);
    is(list, 1, bytes("HoWdY"));
    ck_assert_uint_eq(count_of(list, kin_any_int(42)), 2);
    ck_assert_uint_eq(count_of(list, bytes("HoWdY")), 1);
    ck_assert_uint_eq(count_of(list, bytes("adios")), 0);

    kin_shareable_list *copy = kin_shareable_list_copy(list, "test03_duplicate", NULL);
    ck_assert_ptr_nonnull(copy);
    ck_assert_str_eq(name_of(copy), "test03_duplicate");
    has_format(copy, "8s8sdq8sxxxxxxx?q");
    set(copy, -1, kin_any_int(77));
    is(copy, -1, kin_any_int(77));
    is(list, -1, kin_any_int(42));
    end(copy);

    kin_shareable_list *tethered = attach(name_of(list));
    set(tethered, -1, kin_any_int(880));
    is(list, -1, kin_any_int(880));
    kin_shareable_list_close(tethered);
    end(list);

    list = make(NULL, NULL, 0);
    ck_assert_uint_eq(kin_shareable_list_length(list), 0);
    has_format(list, "");
    ck_assert_uint_eq(count_of(list, kin_any_text("any")), 0);
    ck_assert_int_eq(kin_shareable_list_index(list, kin_any_null(), &where), KIN_ENOTFOUND);
    end(list);
}

static int change_there(void *arg)
{
    kin_shareable_list *list = kin_shareable_list_attach(arg);
    kin_any value;
    child_assert(list && kin_shareable_list_length(list) == 10);
    child_assert(kin_shareable_list_get(list, -1, &value) == 0 && value.integer == 9);
    child_assert(kin_shareable_list_set(list, 4, kin_any_text("changed")) == 0);
    kin_shareable_list_close(list);
    return 0;
}

/* test_shared_memory_ShareableList_pickling: what Python pickles is the name; here it is handed over. */
static void child_changes_the_list_of_that_name(void)
{
    test_init();
    kin_shareable_list *list = range(NULL, 10), *larger = range(NULL, 400);
    const char *name = name_of(list);
    kin_process *process = kin_process_start(change_there, name, strlen(name) + 1,
                                             KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
    is(list, 4, kin_any_text("changed"));
    kin_shareable_list *other = attach(name);
    set(list, 3, kin_any_text("newvalue"));
    is(other, 3, kin_any_text("newvalue"));
    ck_assert_uint_eq(strlen(name), strlen(name_of(larger)));
    kin_shareable_list_close(other);
    end(larger);
    end(list);
}

static int find_none(void *arg)
{
    child_assert(!kin_shareable_list_attach(arg) && kin_error_code() == KIN_ENOTFOUND);
    return 0;
}

/* test_shared_memory_ShareableList_pickling_dead_object */
static void unlinked_list_is_attached_to_no_more(void)
{
    test_init();
    end(range("gone", 10));
    kin_process *process =
        kin_process_start(find_none, "gone", 5, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_msg(process != NULL, "%s", kin_error_message());
    join(process);
}

static volatile sig_atomic_t interrupts;

static void note_interrupt(int signal)
{
    (void)signal;
    interrupts++;
}

static void catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = note_interrupt};
    sigaction(SIGINT, &action, NULL);
}

static int keep_lists(void *arg)
{
    struct world *world = arg;
    const kin_any value = kin_any_int(7);
    catch_interrupts();
    kin_shareable_list *before = kin_shareable_list_create("before", &value, 1, NULL);
    child_assert(before);
    atomic_store(&world->step, 1);
    while (!interrupts)
        usleep(200);
    kin_shareable_list *after = kin_shareable_list_create("after", &value, 1, NULL);
    child_assert(after);
    atomic_store(&world->step, 2);
    await(&world->step, 3);
    kin_shareable_list_close(before);
    kin_shareable_list_close(after);
    return 0;
}

/* test_shared_memory_SharedMemoryServer_ignores_sigint. There is no server: whoever made a list may be interrupted. */
static void interrupt_takes_no_list_away(void)
{
    struct world *world = new_world();
    kin_process *process = start(keep_lists, world);
    await(&world->step, 1);
    kin_shareable_list *before = attach("before");
    ck_assert_int_eq(kill(kin_process_pid(process), SIGINT), 0);
    await(&world->step, 2);
    kin_shareable_list *after = attach("after");
    is(before, 0, kin_any_int(7));
    is(after, 0, kin_any_int(7));
    catch_interrupts(); /* our own handler is ours still */
    ck_assert_int_eq(raise(SIGINT), 0);
    ck_assert_int_eq(interrupts, 1);
    atomic_store(&world->step, 3);
    join(process);
    ck_assert_int_eq(kin_shared_memory_sweep(NULL), 0);
    is(before, 0, kin_any_int(7));
    end(before);
    end(after);
    kin_free(world);
}

static int read_there(void *arg)
{
    kin_shareable_list *list = kin_shareable_list_attach(arg);
    kin_any value;
    child_assert(list && kin_shareable_list_get(list, -1, &value) == 0 && value.integer == 9);
    kin_shareable_list_close(list);
    return 0;
}

/* A program that shares a list with a child, and then has done with it. */
static void whole_program(void)
{
    test_init();
    kin_shareable_list *list = range("used", 10);
    kin_process *process =
        kin_process_start(read_there, "used", 5, KIN_PROCESS_OPTIONS(.start_method = test_method()));
    child_assert(process && kin_process_join(process, TOP) == 0);
    kin_process_free(process);
    end(list);
}

/* test_shared_memory_SharedMemoryManager_reuses_resource_tracker: nobody thinks that somebody else's names have leaked. */
static void program_ends_without_a_word_of_its_lists(void)
{
    int ends[2];
    char said[300] = "";
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        whole_program();
        exit(0);
    }
    close(ends[1]);
    ssize_t bytes_said = read(ends[0], said, sizeof said - 1);
    close(ends[0]);
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0 && bytes_said == 0, "status %x, said: %s", (unsigned)status, said);
    ck_assert(!kin_shareable_list_attach("used") && kin_error_code() == KIN_ENOTFOUND);
}

/* ---- values ---------------------------------------------------------------------------------- */

static void what_it_cannot_keep_is_told(void)
{
    const kin_any odd[] = {kin_any_uint(UINT64_MAX),  kin_any_text("\xff"),
                           kin_any_packed("\x80", 1), kin_any_nothing(),
                           kin_any_pointer(&odd),     {.type = KIN_ANY_TEXT, .size = 3}};
    kin_shareable_list *list = range("plain", 1);
    for (size_t i = 0; i < COUNT(odd); i++) {
        ck_assert_ptr_null(kin_shareable_list_create("odd", &odd[i], 1, NULL));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
        ck_assert_int_eq(kin_shareable_list_set(list, 0, odd[i]), KIN_EINVAL);
        is(list, 0, kin_any_int(0));
    }
    char *large = calloc(1, 9999992);
    kin_any value = kin_any_bytes(large, 9999992);
    ck_assert_ptr_null(kin_shareable_list_create("odd", &value, 1, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_ETOOLARGE);
    value.size--;
    large[value.size - 1] = 'x';
    kin_shareable_list *longest = make("longest", &value, 1);
    has_format(longest, "9999992s");
    is(longest, 0, value);
    end(longest);
    free(large);
    ck_assert_ptr_null(kin_shareable_list_create("odd", NULL, 1, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(
        kin_shareable_list_create("plain", &value, 0, KIN_SHARED_MEMORY_OPTIONS(.attach = true)));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_shareable_list_create("plain", &value, 0, NULL));
    ck_assert_int_eq(kin_error_code(), KIN_EBUSY);
    ck_assert_int_eq(kin_shareable_list_get(NULL, 0, &value), KIN_EINVAL);
    ck_assert_int_eq(kin_shareable_list_get(list, 0, NULL), KIN_EINVAL);
    ck_assert_int_eq(kin_shareable_list_set(NULL, 0, value), KIN_EINVAL);
    ck_assert_int_eq(kin_shareable_list_format(list, NULL, 0, NULL), KIN_ETOOLARGE);
    ck_assert_ptr_null(kin_shareable_list_copy(NULL, NULL, NULL));
    ck_assert_uint_eq(kin_shareable_list_length(NULL), 0);
    kin_shareable_list_close(NULL);
    end(list);
}

static void equal_is_what_python_calls_so(void)
{
    const kin_any values[] = {kin_any_bool(true),
                              kin_any_int(1),
                              kin_any_real(1.0),
                              kin_any_real(NAN),
                              kin_any_text("1"),
                              bytes("1"),
                              kin_any_real(0x1p63),
                              kin_any_real(0.0),
                              kin_any_null(),
                              kin_any_int(INT64_MAX),
                              kin_any_int((1LL << 53) + 1)};
    kin_shareable_list *list = make("equal", values, COUNT(values));
    ck_assert_uint_eq(count_of(list, kin_any_int(1)), 3);
    ck_assert_uint_eq(count_of(list, kin_any_bool(true)), 3);
    ck_assert_uint_eq(count_of(list, kin_any_real(1.0)), 3);
    ck_assert_uint_eq(count_of(list, kin_any_real(NAN)), 0);
    ck_assert_uint_eq(count_of(list, kin_any_text("1")), 1);
    ck_assert_uint_eq(count_of(list, bytes("1")), 1);
    ck_assert_uint_eq(count_of(list, kin_any_uint(1ULL << 63)), 1);
    ck_assert_uint_eq(count_of(list, kin_any_real(0x1p63)),
                      1); /* not INT64_MAX, although that rounds to it */
    ck_assert_uint_eq(count_of(list, kin_any_real(-0.0)), 1);
    ck_assert_uint_eq(count_of(list, kin_any_bool(false)), 1);
    ck_assert_uint_eq(count_of(list, kin_any_null()), 1);
    ck_assert_uint_eq(count_of(list, kin_any_real(0x1p53)), 0);
    end(list);
}

static kin_any any_value(unsigned *seed, char text[64])
{
    size_t size = (size_t)(rand_r(seed) % 40);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + rand_r(seed) % 26);
    switch (rand_r(seed) % 6) {
    case 0:
        return kin_any_null();
    case 1:
        return kin_any_bool(rand_r(seed) % 2);
    case 2:
        return kin_any_int((int64_t)((uint64_t)rand_r(seed) << 33) ^ -rand_r(seed));
    case 3:
        return kin_any_real((double)rand_r(seed) / 7);
    case 4:
        return kin_any_text_of(text, size);
    default:
        return kin_any_bytes(text, size);
    }
}

/* Any value goes into any slot that is large enough, and touches no other. */
static void items_are_what_was_last_put_there(void)
{
    enum { ITEMS = 20 };
    static char texts[ITEMS][64], text[64];
    unsigned seed = 4;
    kin_any values[ITEMS];
    size_t slots[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        values[i] = any_value(&seed, texts[i]);
        bool sized = values[i].type == KIN_ANY_TEXT || values[i].type == KIN_ANY_BYTES;
        slots[i] = sized ? 8 * (values[i].size / 8 + 1) : 8;
    }
    kin_shareable_list *list = make("model", values, ITEMS), *other = attach("model");
    for (int turn = 0; turn < 20000; turn++) {
        int i = rand_r(&seed) % ITEMS;
        kin_any value = any_value(&seed, text);
        bool sized = value.type == KIN_ANY_TEXT || value.type == KIN_ANY_BYTES;
        int expected = sized && value.size > slots[i] ? KIN_ETOOLARGE : 0;
        ck_assert_int_eq(kin_shareable_list_set(list, i - ITEMS * (turn % 2), value), expected);
        if (!expected) {
            memcpy(texts[i], text, sizeof text);
            values[i] = value;
            values[i].data = texts[i];
        }
        if (turn % 100 == 0)
            for (int k = 0; k < ITEMS; k++)
                is(other, k, values[k]);
    }
    kin_shareable_list_close(other);
    end(list);
}

/* ---- what others wrote ----------------------------------------------------------------------- */

static void memory_that_is_no_list_is_refused(void)
{
    static const uint64_t odd[][8] = {
        {1},                     /* too small for one item */
        {UINT64_MAX},            /* nor for so many */
        {UINT64_C(1) << 61},     /* and so many bytes wrap around */
        {1, 8, 16},              /* does not begin with 0 */
        {1, 0, 7},               /* half a word */
        {1, 0, 0},               /* an item without room */
        {1, 0, UINT64_C(0) - 8}, /* beyond the end */
        {2, 0, 16, 8},           /* backwards */
    };
    for (size_t i = 0; i < COUNT(odd); i++) {
        size_t bytes_there = i == 0 ? 16 : 64;
        kin_shared_memory *memory = kin_shared_memory_create("odd", bytes_there, NULL);
        ck_assert_ptr_nonnull(memory);
        memcpy(kin_shared_memory_buf(memory), odd[i], bytes_there);
        ck_assert_ptr_null(kin_shareable_list_attach("odd"));
        ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
        ck_assert_int_eq(kin_shared_memory_unlink("odd"), 0);
        kin_shared_memory_close(memory);
    }
    kin_shared_memory *memory = kin_shared_memory_create("odd", 7, NULL);
    ck_assert_ptr_null(kin_shareable_list_attach("odd"));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_shared_memory_unlink("odd"), 0);
    kin_shared_memory_close(memory);
}

/* Any byte of a list may change to anything: what comes out is a value or an error, and nothing beyond the list is read. */
static void scribbled_list_is_an_error_at_most(void)
{
    const kin_any values[] = {kin_any_text("a longer text than 8"),
                              kin_any_int(5),
                              kin_any_null(),
                              kin_any_real(0.5),
                              bytes("x"),
                              kin_any_bool(false)};
    unsigned seed = 9;
    for (int turn = 0; turn < (test_long() ? 50000 : 5000); turn++) {
        kin_shareable_list *list = make("scribbled", values, COUNT(values));
        const kin_shared_memory *memory = kin_shareable_list_memory(list);
        unsigned char *at = kin_shared_memory_buf(memory);
        size_t size = kin_shared_memory_size(memory);
        for (int changes = 1 + rand_r(&seed) % 4; changes > 0; changes--)
            at[rand_r(&seed) % (int)size] =
                (unsigned char)(rand_r(&seed) % 3 ? rand_r(&seed) : '0' + rand_r(&seed) % 10);
        kin_shareable_list *again = kin_shareable_list_attach("scribbled");
        kin_shareable_list *const both[] = {list, again};
        for (int k = 0; k < 2; k++)
            for (size_t i = 0; i < kin_shareable_list_length(both[k]); i++) {
                kin_any value;
                int error = kin_shareable_list_get(both[k], (int64_t)i, &value);
                ck_assert(error == 0 || error == KIN_EINVAL);
                if (!error)
                    kin_any_clear(&value);
                error = kin_shareable_list_set(both[k], (int64_t)i, kin_any_int(3));
                ck_assert_int_eq(error, 0);
                is(both[k], (int64_t)i, kin_any_int(3));
            }
        kin_shareable_list_close(again);
        end(list);
    }
}

/* ---- Python ---------------------------------------------------------------------------------- */

static void python(const char *program)
{
    char command[3000];
    snprintf(command, sizeof command,
             PYTHON " -c 'from multiprocessing import shared_memory, resource_tracker\n"
                    "def attach(name):\n"
                    " l = shared_memory.ShareableList(name=name)\n"
                    " resource_tracker.unregister(\"/\" + name, \"shared_memory\")\n"
                    " return l\n"
                    "def create(values, name):\n"
                    " l = shared_memory.ShareableList(values, name=name)\n"
                    " resource_tracker.unregister(\"/\" + name, \"shared_memory\")\n"
                    " return l\n"
                    "%s'",
             program);
    ck_assert_int_eq(system(command), 0);
}

#define LISTED                                                                                          \
    "[\"howdy\", b\"HoWdY\", -273.154, 100, None, True, -42, \"\", b\"\", \"12345678\", b\"x\" * 100, " \
    "False, 2.0]"

static kin_shareable_list *make_listed(const char *name)
{
    static char hundred[100];
    memset(hundred, 'x', sizeof hundred);
    const kin_any values[] = {kin_any_text("howdy"),
                              bytes("HoWdY"),
                              kin_any_real(-273.154),
                              kin_any_int(100),
                              kin_any_null(),
                              kin_any_bool(true),
                              kin_any_int(-42),
                              kin_any_text(""),
                              kin_any_bytes("", 0),
                              kin_any_text("12345678"),
                              kin_any_bytes(hundred, 100),
                              kin_any_bool(false),
                              kin_any_real(2.0)};
    return make(name, values, COUNT(values));
}

static void need_python(void)
{
    if (access(PYTHON, X_OK) != 0)
        test_skip("there is no " PYTHON);
}

static void list_is_pythons_byte_for_byte(void)
{
    need_python();
    kin_shareable_list *ours = make_listed("ours");
    python("create(" LISTED ", \"theirs\").shm.close()\n");
    kin_shareable_list *theirs = attach("theirs");
    const kin_shared_memory *here = kin_shareable_list_memory(ours),
                            *there = kin_shareable_list_memory(theirs);
    ck_assert_uint_eq(kin_shared_memory_size(here), kin_shared_memory_size(there));
    ck_assert_mem_eq(kin_shared_memory_buf(here), kin_shared_memory_buf(there), kin_shared_memory_size(here));
    end(theirs);
    end(ours);
}

static void python_reads_and_changes_what_kin_made(void)
{
    need_python();
    kin_shareable_list *list = make_listed("ours");
    set(list, 0, kin_any_text("h\u00f6wdy"));
    set(list, 2, bytes("\x01\xff"));
    python("l = attach(\"ours\")\n"
           "assert list(l) == [\"h\\u00f6wdy\", b\"HoWdY\", b\"\\x01\\xff\"] + " LISTED "[3:], list(l)\n"
           "assert l.format == \"8s8s8sqxxxxxx?xxxxxxxx?q8s8s16s104sxxxxxxx?d\", l.format\n"
           "assert l.index(100) == 3 and l.count(b\"HoWdY\") == 1\n"
           "l[3] = \"text\"; l[4] = 0.5; l[9] = None; l[10] = \"y\" * 104; l[-1] = True; l[1] = 2**63 - 1\n"
           "l.shm.close()\n");
    is(list, 3, kin_any_text("text"));
    is(list, 4, kin_any_real(0.5));
    is(list, 9, kin_any_null());
    is(list, -1, kin_any_bool(true));
    is(list, 1, kin_any_int(INT64_MAX));
    is(list, 0, kin_any_text("h\u00f6wdy"));
    char longest[105];
    memset(longest, 'y', 104);
    is(list, 10, kin_any_text_of(longest, 104));
    end(list);
}

static void kin_reads_and_changes_what_python_made(void)
{
    need_python();
    python("create(" LISTED ", \"theirs\").shm.close()\n");
    kin_shareable_list *list = attach("theirs");
    ck_assert_uint_eq(kin_shareable_list_length(list), 13);
    is(list, 0, kin_any_text("howdy"));
    is(list, 1, bytes("HoWdY"));
    is(list, 2, kin_any_real(-273.154));
    is(list, 4, kin_any_null());
    is(list, 5, kin_any_bool(true));
    is(list, 6, kin_any_int(-42));
    is(list, 7, kin_any_text(""));
    is(list, 8, kin_any_bytes("", 0));
    set(list, 0, kin_any_int(-1));
    set(list, 2, kin_any_null());
    set(list, 3, bytes("b"));
    set(list, 9, kin_any_text("\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9")); /* 16 bytes */
    set(list, 10, kin_any_bool(true));
    set(list, -1, kin_any_text("12345678"));
    python("l = attach(\"theirs\")\n"
           "assert list(l) == [-1, b\"HoWdY\", None, b\"b\", None, True, -42, \"\", b\"\", \"\\u00e9\" * 8, "
           "True, False, "
           "\"12345678\"], list(l)\n"
           "assert l.format == \"q8sxxxxxx?x8sxxxxxx?xxxxxxxx?q8s8s16sxxxxxxx?xxxxxxx?8s\", l.format\n"
           "l[10] = b\"z\" * 104\n"
           "l.shm.close()\n");
    char longest[105];
    memset(longest, 'z', 104);
    is(list, 10, kin_any_bytes(longest, 104));
    end(list);
}

/* ---- many at once ---------------------------------------------------------------------------- */

static void make_and_unlink(void)
{
    const kin_any values[] = {kin_any_text("a text of some length, so that it takes a while"),
                              kin_any_int(5)};
    for (;;) {
        kin_shareable_list *list = kin_shareable_list_create("raced", values, COUNT(values), NULL);
        child_assert(list || kin_error_code() == KIN_EBUSY);
        if (list)
            kin_shared_memory_unlink("raced");
        kin_shareable_list_close(list);
    }
}

static void kill_who_goes_on(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it had ended before: %#x", status);
}

static void list_is_found_whole_or_not_at_all(void)
{
    int found = 0;
    pid_t pid = fork();
    if (pid == 0)
        make_and_unlink();
    while (found < (test_long() ? 20000 : 500) && test_time_left() > 2) {
        kin_shareable_list *list = kin_shareable_list_attach("raced");
        ck_assert_msg(list || kin_error_code() == KIN_ENOTFOUND || kin_error_code() == KIN_EBUSY, "%s",
                      kin_error_message());
        if (!list)
            continue;
        ck_assert_uint_eq(kin_shareable_list_length(list), 2);
        is(list, 0, kin_any_text("a text of some length, so that it takes a while"));
        is(list, 1, kin_any_int(5));
        kin_shareable_list_close(list);
        found++;
    }
    ck_assert_int_gt(found, 0);
    kill_who_goes_on(pid);
    ck_assert_int_eq(kin_shared_memory_sweep(NULL), 0);
}

static void set_without_end(void)
{
    kin_shareable_list *list = kin_shareable_list_attach("stored");
    child_assert(list);
    for (unsigned i = 0;; i++) {
        child_assert(kin_shareable_list_set(list, 0, kin_any_int(i % 2 ? -1 : 0)) == 0);
        child_assert(kin_shareable_list_set(list, 1, kin_any_text(i % 2 ? "AAAAAAAA" : "bbbbbbbb")) == 0);
    }
}

static void item_of_a_word_that_keeps_its_type_is_never_torn(void)
{
    const kin_any values[] = {kin_any_int(0), kin_any_text("bbbbbbb")};
    kin_shareable_list *list = make("stored", values, COUNT(values));
    pid_t pid = fork();
    if (pid == 0)
        set_without_end();
    int64_t last = 0;
    for (int turn = 0, seen = 0; turn < (test_long() ? 500000 : 50000) || seen < 10; turn++) {
        kin_any number, text;
        ck_assert_msg(test_time_left() > 1, "only %d changes were seen", seen);
        ck_assert_int_eq(kin_shareable_list_get(list, 0, &number), 0);
        ck_assert(number.type == KIN_ANY_INT && (number.integer == 0 || number.integer == -1));
        seen += number.integer != last;
        last = number.integer;
        ck_assert_int_eq(kin_shareable_list_get(list, 1, &text), 0);
        ck_assert_msg(strcmp(text.data, "AAAAAAAA") == 0 || strncmp(text.data, "bbbbbbbb", text.size) == 0,
                      "%s", (const char *)text.data);
        kin_any_clear(&text);
    }
    kill_who_goes_on(pid);
    end(list);
}

static const struct test tests[] = {
    {"list_does_what_pythons_does", list_does_what_pythons_does, 5, 0},
    {"child_changes_the_list_of_that_name", child_changes_the_list_of_that_name, 10, TEST_EACH_METHOD},
    {"unlinked_list_is_attached_to_no_more", unlinked_list_is_attached_to_no_more, 10, TEST_EACH_METHOD},
    {"interrupt_takes_no_list_away", interrupt_takes_no_list_away, 10, TEST_EACH_METHOD},
    {"program_ends_without_a_word_of_its_lists", program_ends_without_a_word_of_its_lists, 10,
     TEST_EACH_METHOD},
    {"what_it_cannot_keep_is_told", what_it_cannot_keep_is_told, 10, 0},
    {"equal_is_what_python_calls_so", equal_is_what_python_calls_so, 5, 0},
    {"items_are_what_was_last_put_there", items_are_what_was_last_put_there, 10, 0},
    {"memory_that_is_no_list_is_refused", memory_that_is_no_list_is_refused, 5, 0},
    {"scribbled_list_is_an_error_at_most", scribbled_list_is_an_error_at_most, 300, 0},
    {"list_is_pythons_byte_for_byte", list_is_pythons_byte_for_byte, 30, 0},
    {"python_reads_and_changes_what_kin_made", python_reads_and_changes_what_kin_made, 30, 0},
    {"kin_reads_and_changes_what_python_made", kin_reads_and_changes_what_python_made, 30, 0},
    {"list_is_found_whole_or_not_at_all", list_is_found_whole_or_not_at_all, 60, 0},
    {"item_of_a_word_that_keeps_its_type_is_never_torn", item_of_a_word_that_keeps_its_type_is_never_torn,
     300, 0},
};
TEST_MAIN("shareable_list", tests)
