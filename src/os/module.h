/*
 * os/module.h - the ELF modules that are loaded in this process: the program, its libraries, plug-ins.
 *
 * A module is known by its build id, a hash that the linker left in it (NT_GNU_BUILD_ID), and by where
 * its code lies. One without a build id is known by its file. Nothing here knows of other processes.
 *
 * Threads  Any. A module that another thread unloads meanwhile may be described as it was; but see `unlocked`.
 */
#ifndef KIN_OS_MODULE_H
#define KIN_OS_MODULE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIN__BUILD_ID_MAX 32u

/* Which build of a module: the same in each process that has it loaded. */
struct kin__build {
    uint64_t code_start; /* its first executable segment, as offsets */
    uint64_t code_end;
    uint32_t id_size;                    /* 0: the linker left no build id */
    unsigned char id[KIN__BUILD_ID_MAX]; /* of a longer one, the beginning */
};

/* A module as it lies in this process. */
struct kin__os_module {
    uintptr_t base; /* an offset in the module plus this is its address here */
    bool program;   /* the program itself, which cannot be loaded by dlopen */
    bool holds;     /* what was asked for lies in its code */
    struct kin__build build;
    char name[PATH_MAX]; /* what the loader calls it; "" for the program */
};

/*
 * The module that `address` lies in, not necessarily in its code: see `holds`. False: in none. `unlocked`: without the loader's
 * lock, which is held for ever in a child that was forked beside a thread which had it; then no other thread may unload any meanwhile.
 * With glibc before 2.35 it is taken all the same.
 */
bool kin__os_module_at(uintptr_t address, bool unlocked, struct kin__os_module *out);

/*
 * A loaded module that is of this build, after the first `skip` such; `holds` tells of `offset`. Without a
 * build id only the place of the code is compared, so the caller has to look at the file too.
 */
bool kin__os_module_find(const struct kin__build *build, unsigned skip, uint64_t offset, bool unlocked,
                         struct kin__os_module *out);

/* How often a module has been unloaded so far: while this stays, an address stays in its module. */
uint64_t kin__os_module_unloads(void);

/* What the loader calls those modules of whose names `is_wanted` says so, up to `capacity`. How many they are. */
size_t kin__os_modules_named(bool (*is_wanted)(const char *name), char (*names)[PATH_MAX], size_t capacity);

/* The addresses, or NULL, of `count` symbols of a module that is loaded, by the loader's name for it. */
void kin__os_module_symbols(const char *name, const char *const *symbols, size_t count, void **out);

/* Around fork(), and in a child: no other thread looks at modules by kin meanwhile, or its child could never. */
void kin__os_modules_before_fork(void);
void kin__os_modules_after_fork(void);
void kin__os_modules_forked(void);

/* Never unload the module that `address` lies in. */
void kin__os_keep_module(uintptr_t address);

/*
 * Whose memory an address lies in, from the kernel's list: a file's absolute path, "[stack]", "[heap]",
 * or "" for memory without a name. `gone`, unless NULL, tells that the file has been deleted, or another
 * put in its place. False: nothing is mapped there, or the list cannot be read.
 */
bool kin__os_mapping_at(uintptr_t address, char path[PATH_MAX], bool *gone);

/* Which file, and which content of it, a path leads to. */
struct kin__os_file {
    uint64_t device;
    uint64_t inode;
    uint64_t size;
    uint64_t modified_ns;
};

/* False: there is none, or it cannot be looked at (errno tells). */
bool kin__os_file_look(const char *path, struct kin__os_file *out);

#endif
