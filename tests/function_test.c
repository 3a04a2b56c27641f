/*
 * function_test.c - function references: named here, found there.
 *
 * The plug-ins lie in the directory KIN_TEST_PLUGINS; tests that replace or delete one work on copies in a
 * directory of their own.
 */
#include "harness.h"

#include "kin.h"
#include "os/os.h"
#include "process/function.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*body)(void *);
typedef body (*finder)(void);

#define CODE(function) ((void (*)(void))(function)) /* what every function pointer may be cast to and back */

static int forty_two(void *arg)
{
    return arg ? -1 : 42;
}

static struct kin__function named(void (*fn)(void))
{
    struct kin__function ref;
    ck_assert_msg(kin__function_refer(fn, &ref, "the test's function") == 0, "%s", kin_error_message());
    return ref;
}

static void (*resolved(const struct kin__function *ref))(void)
{
    void (*fn)(void);
    ck_assert_msg(kin__function_resolve(ref, &fn) == 0, "%s", kin_error_message());
    return fn;
}

static void expect_error(int error, int code, const char *text)
{
    ck_assert_msg(error == code, "%s, not %s: %s", kin_error_name(error), kin_error_name(code),
                  kin_error_message());
    ck_assert_int_eq(kin_error_code(), code);
    ck_assert_msg(strstr(kin_error_message(), text) != NULL, "no \"%s\" in: %s", text, kin_error_message());
}

static void expect_no_name(void *pointer, const char *text)
{
    struct kin__function ref = {7, 7, 7};
    expect_error(kin__function_refer(CODE(pointer), &ref, "the test's function"), KIN_EINVAL, text);
    ck_assert_msg(strstr(kin_error_message(), "the test's function") != NULL, "%s", kin_error_message());
    ck_assert(ref.module == 0 && ref.flags == 0 && ref.offset == 0);
}

static void expect_no_function(const struct kin__function *ref, int code, const char *text)
{
    void (*fn)(void) = CODE(forty_two);
    expect_error(kin__function_resolve(ref, &fn), code, text);
    ck_assert(fn == NULL);
}

/* ---- plug-ins in a directory of the test's own ------------------------------------------------- */

static char directory[64];
static char plugin[100]; /* in there */

/* Put a build of the plug-in there; what lies there is replaced as a linker does it, by a new file. */
static void install(const char *build)
{
    const char *from = getenv("KIN_TEST_PLUGINS");
    if (!from)
        test_skip("KIN_TEST_PLUGINS does not say where the plug-ins are");
    if (!directory[0]) {
        snprintf(directory, sizeof directory, "/tmp/kin-function-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(directory));
        snprintf(plugin, sizeof plugin, "%s/plugin.so", directory);
    }
    char command[1200];
    snprintf(command, sizeof command, "rm -f '%s' && cp '%s/function_%s.so' '%s'", plugin, from, build,
             plugin);
    ck_assert_int_eq(system(command), 0);
}

static void uninstall(void)
{
    unlink(plugin);
    ck_assert_int_eq(rmdir(directory), 0);
}

static void *open_plugin(const char *path, body *out)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(handle != NULL, "%s", dlerror());
    finder find = (finder)dlsym(handle, "plugin_function");
    ck_assert(find != NULL);
    *out = find();
    return handle;
}

/* ---- a member that was there before ------------------------------------------------------------- */

/* Made by fork when it still has what the test has; resolves what it is sent. */
struct other {
    pid_t pid;
    int to, from;
};

struct answer {
    int error, value;
    char message[400];
};

static void serve(int in, int out)
{
    struct kin__function ref;
    while (read(in, &ref, sizeof ref) == sizeof ref) {
        struct answer answer = {0};
        void (*fn)(void);
        answer.error = kin__function_resolve(&ref, &fn);
        if (answer.error == 0)
            answer.value = ((body)fn)(NULL);
        else
            snprintf(answer.message, sizeof answer.message, "%s", kin_error_message());
        if (write(out, &answer, sizeof answer) != sizeof answer)
            _exit(1);
    }
    _exit(0);
}

static struct other start_other(void)
{
    int to[2], from[2];
    ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(to[1]);
        close(from[0]);
        serve(to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    return (struct other){pid, to[1], from[0]};
}

static struct answer ask(const struct other *other, const struct kin__function *ref)
{
    struct answer answer;
    ck_assert_int_eq(write(other->to, ref, sizeof *ref), sizeof *ref);
    ck_assert_msg(read(other->from, &answer, sizeof answer) == sizeof answer, "it died");
    return answer;
}

static void expect_value(const struct other *other, const struct kin__function *ref, int value)
{
    struct answer answer = ask(other, ref);
    ck_assert_msg(answer.error == 0, "%s", answer.message);
    ck_assert_int_eq(answer.value, value);
}

static void expect_refusal(const struct other *other, const struct kin__function *ref, int code,
                           const char *text)
{
    struct answer answer = ask(other, ref);
    ck_assert_msg(answer.error == code, "%s, not %s: %s", kin_error_name(answer.error), kin_error_name(code),
                  answer.message);
    ck_assert_msg(strstr(answer.message, text) != NULL, "no \"%s\" in: %s", text, answer.message);
}

static void end_other(struct other *other)
{
    int status;
    close(other->to);
    close(other->from);
    ck_assert_int_eq(waitpid(other->pid, &status, 0), other->pid);
    ck_assert_int_eq(status, 0);
}

/* ---- what can be named -------------------------------------------------------------------------- */

static void static_function_is_found_again(void)
{
    test_init();
    struct kin__function first = named(CODE(forty_two)), second = named(CODE(forty_two));
    ck_assert_uint_ne(first.module, 0);
    ck_assert(memcmp(&first, &second, sizeof first) == 0);
    ck_assert(resolved(&first) == CODE(forty_two));
    ck_assert(resolved(&first) == CODE(forty_two));
}

static void function_of_a_library_is_found_again(void)
{
    test_init();
    struct kin__function ours = named(CODE(forty_two)), libc = named(CODE(getpid));
    ck_assert_uint_ne(ours.module, libc.module);
    ck_assert(resolved(&libc) == CODE(getpid));
}

static void reference_without_family_is_an_error(void)
{
    struct kin__function ref;
    void (*fn)(void);
    expect_error(kin__function_refer(CODE(forty_two), &ref, "x"), KIN_ENOINIT, "kin_init");
    ref = (struct kin__function){.module = 1};
    expect_error(kin__function_resolve(&ref, &fn), KIN_ENOINIT, "kin_init");
}

static void null_is_an_error(void)
{
    test_init();
    expect_no_name(NULL, "missing");
}

static void data_is_an_error(void)
{
    test_init();
    expect_no_name(directory, "not in its code");
}

static void stack_and_heap_are_errors(void)
{
    test_init();
    int local;
    void *block = malloc(64);
    expect_no_name(&local, "in no module");
    expect_no_name(block, "in no module");
    expect_no_name((void *)16, "nothing lies");
    free(block);
}

static void generated_code_is_an_error(void)
{
    test_init();
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    expect_no_name(page, "generated code");
    munmap(page, 4096);
}

/* ---- modules that are here and not there --------------------------------------------------------- */

static void plugin_is_loaded_where_it_is_missing(void)
{
    test_init();
    install("plugin");
    struct other other = start_other();
    body function;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    expect_value(&other, &ref, 1);
    expect_value(&other, &ref, 1);
    ck_assert(resolved(&ref) == CODE(function));
    end_other(&other);
    dlclose(handle);
    uninstall();
}

/* ---- a child that is forked beside a thread in the loader ------------------------------------------ */

static _Atomic int looker; /* 1: has the loader's lock; 2: is to leave it */

static int keep_the_lock(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)info, (void)size, (void)arg;
    looker = 1;
    while (looker == 1)
        usleep(1000);
    return 1;
}

static void *look(void *arg)
{
    dl_iterate_phdr(keep_the_lock, arg);
    return NULL;
}

/* A function that nobody has named yet, and one that the parent has named. */
static bool names_and_finds(body function, const struct kin__function *ref, body of_libc)
{
    struct kin__function own;
    void (*fn)(void);
    if (kin__function_refer(CODE(function), &own, "the test's function") != 0 ||
        kin__function_resolve(&own, &fn) != 0 || fn != CODE(function) || function(NULL) != 2)
        return false;
    return kin__function_resolve(ref, &fn) == 0 && fn == CODE(of_libc);
}

static void plugin_is_named_in_a_child_forked_beside_a_thread_in_the_loader(void)
{
#ifdef __SANITIZE_THREAD__
    test_skip("ThreadSanitizer has a thread of its own in each child: it is not alone");
#endif
    test_init();
    install("other");
    body function, of_libc = (body)CODE(abs);
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(of_libc));
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, look, NULL), 0);
    while (looker != 1)
        usleep(100);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(5);
        bool well = names_and_finds(function, &ref, of_libc);
        pid_t second = well ? fork() : -1; /* it, too, has a child */
        if (second == 0) {
            alarm(5);
            _exit(names_and_finds(function, &ref, of_libc) ? 0 : 1);
        }
        int status = 1;
        _exit(well && waitpid(second, &status, 0) == second && status == 0 ? 0 : 1);
    }
    int status = 1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    looker = 2;
    pthread_join(thread, NULL);
    ck_assert_int_eq(status, 0);
    ck_assert_msg(names_and_finds(function, &ref, of_libc), "%s", kin_error_message());
    dlclose(handle);
    uninstall();
}

/* ---- modules that are replaced --------------------------------------------------------------------- */

static void plugin_loaded_from_a_copy_is_found_by_its_build(void)
{
    test_init();
    install("plugin");
    char copy[120], command[300];
    snprintf(copy, sizeof copy, "%s/copy.so", directory);
    snprintf(command, sizeof command, "cp '%s' '%s'", plugin, copy);
    ck_assert_int_eq(system(command), 0);
    body function, function_of_copy;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    dlclose(handle);
    handle = open_plugin(copy, &function_of_copy);
    unlink(plugin);
    ck_assert(resolved(&ref) == CODE(function_of_copy));
    dlclose(handle);
    unlink(copy);
    uninstall();
}

static void replaced_plugin_is_a_mismatch(void)
{
    test_init();
    install("plugin");
    struct other other = start_other();
    body function;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    install("other");
    expect_refusal(&other, &ref, KIN_EMISMATCH, "another build");
    ck_assert_int_eq(((body)resolved(&ref))(NULL), 1); /* here the old one is still loaded */
    end_other(&other);
    dlclose(handle);
    uninstall();
}

static void plugin_built_anew_and_loaded_again_is_another_module(void)
{
    test_init();
    install("plugin");
    body first, second;
    void *handle = open_plugin(plugin, &first);
    struct kin__function old = named(CODE(first));
    dlclose(handle);
    install("other");
    struct other other = start_other();
    handle = open_plugin(plugin, &second); /* very likely at the same address */
    struct kin__function new = named(CODE(second));
    ck_assert_uint_ne(old.module, new.module);
    expect_value(&other, &new, 2);
    expect_refusal(&other, &old, KIN_EMISMATCH, "another build");
    end_other(&other);
    dlclose(handle);
    uninstall();
}

static void plugin_with_a_long_build_id_is_known_by_its_beginning(void)
{
    test_init();
    install("long_id");
    struct other other = start_other();
    body function;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    expect_value(&other, &ref, 5);
    end_other(&other);
    dlclose(handle);
    uninstall();
}

static void plugin_without_build_id_is_known_by_its_file(void)
{
    test_init();
    install("no_id");
    struct other other = start_other(), late;
    body function;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    expect_value(&other, &ref, 3);
    late = start_other();
    expect_value(&late, &ref, 3);
    end_other(&late);
    end_other(&other);
    dlclose(handle);
    uninstall();
}

static void replaced_plugin_without_build_id_is_a_mismatch(void)
{
    test_init();
    install("no_id");
    struct other other = start_other();
    body function;
    void *handle = open_plugin(plugin, &function);
    struct kin__function ref = named(CODE(function));
    install("other_no_id");
    expect_refusal(&other, &ref, KIN_EMISMATCH, "has changed");
    end_other(&other);
    dlclose(handle);
    uninstall();
}

static void deleted_plugin_is_told_as_gone(void)
{
    test_init();
    install("plugin");
    struct other before = start_other();
    body function;
    void *handle = open_plugin(plugin, &function);
    unlink(plugin);
    struct kin__function ref = named(CODE(function)); /* members that have it loaded know its build id */
    struct other after = start_other();
    expect_refusal(&before, &ref, KIN_ENOTFOUND, "plugin.so");
    expect_value(&after, &ref, 1);
    end_other(&after); /* which has the first one's pipes too */
    end_other(&before);
    dlclose(handle);
    uninstall();
}

static void deleted_plugin_without_build_id_cannot_be_named(void)
{
    test_init();
    install("no_id");
    body function;
    void *handle = open_plugin(plugin, &function);
    unlink(plugin);
    struct kin__function ref;
    expect_error(kin__function_refer(CODE(function), &ref, "the test's function"), KIN_ENOTFOUND,
                 "deleted or replaced");
    dlclose(handle);
    uninstall();
}

/* ---- programs with a spawned child --------------------------------------------------------------- */

static void need_processes(void)
{
    int pidfd = kin__os_pidfd_open(getpid());
    if (pidfd < 0)
        test_skip("pidfd_open is not to be had (valgrind 3.19 does not know it)");
    close(pidfd);
}

static int run_program(const char *build, const char *argument)
{
    const char *from = getenv("KIN_TEST_PLUGINS");
    if (!from)
        test_skip("KIN_TEST_PLUGINS does not say where the programs are");
    char command[1000];
    snprintf(command, sizeof command, "exec '%s/function_program_%s' %s", from, build, argument);
    int status = system(command);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void spawned_child_finds_static_function(void)
{
    need_processes();
    ck_assert_int_eq(run_program("stripped", ""), 42);
    ck_assert_int_eq(run_program("fixed", ""), 42);
    ck_assert_int_eq(run_program("no_id", ""), 42);
}

static void spawned_child_loads_plugin(void)
{
    need_processes();
    install("plugin");
    ck_assert_int_eq(run_program("stripped", plugin), 1);
    install("no_id");
    ck_assert_int_eq(run_program("fixed", plugin), 3);
    uninstall();
}

/* ---- a table and references that others wrote ----------------------------------------------------- */

static struct kin__modules *modules(void)
{
    return kin__region_at(KIN__AT_MODULES);
}

static void wild_reference_is_an_error(void)
{
    test_init();
    struct kin__function good = named(CODE(forty_two)), wild = good;
    expect_no_function(&(struct kin__function){0}, KIN_EINVAL, "not a function reference");
    wild.module = modules()->count + 1;
    expect_no_function(&wild, KIN_EINVAL, "not a function reference");
    wild.module = UINT32_MAX;
    expect_no_function(&wild, KIN_EINVAL, "not a function reference");
    wild = good;
    wild.flags = 1;
    expect_no_function(&wild, KIN_EINVAL, "not a function reference");
    wild = good;
    wild.offset = 0; /* the module's headers */
    expect_no_function(&wild, KIN_EINVAL, "not in the code");
    wild.offset = UINT64_MAX;
    expect_no_function(&wild, KIN_EINVAL, "not in the code");
    wild.offset = (uint64_t)((uintptr_t)directory - (uintptr_t)forty_two) + good.offset;
    expect_no_function(&wild, KIN_EINVAL, "not in the code");
}

static void spoiled_table_is_an_error(void)
{
    test_init();
    struct kin__module *entry = &modules()->entry[modules()->count];
    struct kin__function ref = {.module = modules()->count + 1, .offset = 4096};
    memset(entry, 0xff, sizeof *entry);
    entry->program = 0;
    modules()->count++;
    expect_no_function(&ref, KIN_ENOTFOUND, "could not load");
    entry->build.id_size = 0;
    expect_no_function(&ref, KIN_ENOTFOUND, "could not load");
    memset(entry, 0, sizeof *entry);
    expect_no_function(&ref, KIN_EINVAL, "no path");
    modules()->count = UINT32_MAX;
    ref.module = KIN__MODULES_MAX;
    expect_no_function(&ref, KIN_EINVAL, "no path");
}

static void function_of_another_program_is_a_mismatch(void)
{
    test_init();
    struct kin__module *entry = &modules()->entry[modules()->count];
    struct kin__function ref = named(CODE(forty_two));
    *entry = modules()->entry[ref.module - 1];
    ck_assert(entry->program);
    entry->build.code_end++;
    ref.module = ++modules()->count;
    expect_no_function(&ref, KIN_EMISMATCH, "another program");
}

static void half_an_entry_of_a_dead_member_is_overwritten(void)
{
    test_init();
    uint32_t count = modules()->count;
    pid_t pid = fork();
    if (pid == 0) {
        kin__lock_acquire(&modules()->lock);
        memset(&modules()->entry[count], 0x55, 100);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    struct kin__function libc = named(CODE(getpid));
    ck_assert_uint_eq(libc.module, count + 1);
    ck_assert_uint_eq(modules()->count, count + 1);
    ck_assert(resolved(&libc) == CODE(getpid));
}

static void full_table_is_an_error(void)
{
    test_init();
    struct kin__function ref;
    modules()->count = KIN__MODULES_MAX;
    expect_error(kin__function_refer(CODE(getpid), &ref, "the test's function"), KIN_ELIMIT,
                 "one more than 512");
    struct kin__function ours = named(CODE(forty_two)); /* entered before */
    ck_assert(resolved(&ours) == CODE(forty_two));
}

#define THREADS 4
#define ROUNDS 200

static void *refer_and_resolve(void *arg)
{
    void (*functions[])(void) = {CODE(forty_two), CODE(getpid), CODE(pthread_create)};
    for (int i = 0; i < ROUNDS; i++) {
        struct kin__function ref;
        void (*fn)(void);
        if (kin__function_refer(functions[i % 3], &ref, "it") != 0 || kin__function_resolve(&ref, &fn) != 0 ||
            fn != functions[i % 3])
            *(bool *)arg = false;
    }
    return NULL;
}

static void threads_agree(void)
{
    test_init();
    pthread_t threads[THREADS];
    uint32_t before = modules()->count;
    bool agreed[THREADS];
    for (int i = 0; i < THREADS; i++) {
        agreed[i] = true;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, refer_and_resolve, &agreed[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert(agreed[i]);
    }
    ck_assert_uint_le(modules()->count, before + 2); /* nothing entered twice */
}

static const struct test tests[] = {
    {"static_function_is_found_again", static_function_is_found_again, 5, 0},
    {"function_of_a_library_is_found_again", function_of_a_library_is_found_again, 5, 0},
    {"reference_without_family_is_an_error", reference_without_family_is_an_error, 5, 0},
    {"null_is_an_error", null_is_an_error, 5, 0},
    {"data_is_an_error", data_is_an_error, 5, 0},
    {"stack_and_heap_are_errors", stack_and_heap_are_errors, 5, 0},
    {"generated_code_is_an_error", generated_code_is_an_error, 5, 0},
    {"plugin_is_loaded_where_it_is_missing", plugin_is_loaded_where_it_is_missing, 10, 0},
    {"plugin_is_named_in_a_child_forked_beside_a_thread_in_the_loader",
     plugin_is_named_in_a_child_forked_beside_a_thread_in_the_loader, 20, TEST_NOT_VALGRIND},
    {"plugin_loaded_from_a_copy_is_found_by_its_build", plugin_loaded_from_a_copy_is_found_by_its_build, 10,
     0},
    {"replaced_plugin_is_a_mismatch", replaced_plugin_is_a_mismatch, 10, 0},
    {"plugin_built_anew_and_loaded_again_is_another_module",
     plugin_built_anew_and_loaded_again_is_another_module, 10, 0},
    {"plugin_with_a_long_build_id_is_known_by_its_beginning",
     plugin_with_a_long_build_id_is_known_by_its_beginning, 10, 0},
    {"plugin_without_build_id_is_known_by_its_file", plugin_without_build_id_is_known_by_its_file, 10, 0},
    {"replaced_plugin_without_build_id_is_a_mismatch", replaced_plugin_without_build_id_is_a_mismatch, 10, 0},
    {"deleted_plugin_is_told_as_gone", deleted_plugin_is_told_as_gone, 10, 0},
    {"deleted_plugin_without_build_id_cannot_be_named", deleted_plugin_without_build_id_cannot_be_named, 10,
     0},
    {"spawned_child_finds_static_function", spawned_child_finds_static_function, 20, 0},
    {"spawned_child_loads_plugin", spawned_child_loads_plugin, 20, 0},
    {"wild_reference_is_an_error", wild_reference_is_an_error, 5, 0},
    {"spoiled_table_is_an_error", spoiled_table_is_an_error, 5, 0},
    {"function_of_another_program_is_a_mismatch", function_of_another_program_is_a_mismatch, 5, 0},
    {"half_an_entry_of_a_dead_member_is_overwritten", half_an_entry_of_a_dead_member_is_overwritten, 5, 0},
    {"full_table_is_an_error", full_table_is_an_error, 5, 0},
    {"threads_agree", threads_agree, 10, 0},
};
TEST_MAIN("function", tests)
