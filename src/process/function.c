/*
 * process/function.c - see function.h.
 *
 * Both directions remember what they found. A thread's last modules make refer cheap; they hold as long as
 * nothing has been unloaded. Resolve pins each module it finds (one dlopen more), so that what it remembers
 * for the whole process holds for ever, in children made by fork too.
 */
#include "process/function.h"

#include "base/failure.h"
#include "os/symbol.h"
#include "process/child.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#define RECENT 4

/* A module that this thread referred to lately. */
struct recent {
    uintptr_t base, code_start, code_end; /* addresses */
    uint64_t unloads;                     /* kin__os_module_unloads() when it was seen */
    uint32_t module;                      /* 0: unused */
};

static _Thread_local struct recent recent[RECENT];
static _Thread_local unsigned next_recent;

/*
 * Modules of the table that this process has, by index. All who find one write the same values (it is pinned,
 * and the first of its build is taken), `known` last; so writers need no lock, and a fork between two of the
 * stores leaves the child an entry that is not known yet.
 */
static struct {
    _Atomic uintptr_t base;
    _Atomic uint64_t code_start, code_end; /* offsets */
    _Atomic bool known;
} here[KIN__MODULES_MAX];

static struct kin__modules *table(void)
{
    return kin__region_at(KIN__AT_MODULES);
}

static void remember_here(uint32_t index, const struct kin__os_module *module)
{
    atomic_store_explicit(&here[index].base, module->base, memory_order_relaxed);
    atomic_store_explicit(&here[index].code_start, module->build.code_start, memory_order_relaxed);
    atomic_store_explicit(&here[index].code_end, module->build.code_end, memory_order_relaxed);
    atomic_store_explicit(&here[index].known, true, memory_order_release); /* pairs with is_here() */
}

static bool is_here(uint32_t index)
{
    return atomic_load_explicit(&here[index].known, memory_order_acquire); /* pairs with remember_here() */
}

/* For one that is here. */
static bool is_code_here(uint32_t index, uint64_t offset)
{
    return offset >= atomic_load_explicit(&here[index].code_start, memory_order_relaxed) &&
           offset < atomic_load_explicit(&here[index].code_end, memory_order_relaxed);
}

/* ---- refer ----------------------------------------------------------------------------------- */

static bool find_recent(uintptr_t address, uint64_t unloads, struct kin__function *out)
{
    for (int i = 0; i < RECENT; i++) {
        const struct recent *r = &recent[i];
        if (r->module && r->unloads == unloads && address >= r->code_start && address < r->code_end) {
            *out = (struct kin__function){.module = r->module, .offset = address - r->base};
            return true;
        }
    }
    return false;
}

static void remember_recent(uint32_t module, uint64_t unloads, const struct kin__os_module *found)
{
    recent[next_recent++ % RECENT] = (struct recent){
        .base = found->base,
        .code_start = found->base + found->build.code_start,
        .code_end = found->base + found->build.code_end,
        .unloads = unloads,
        .module = module,
    };
}

static int not_in_code(uintptr_t address, const struct kin__os_module *module, const char *what)
{
    char path[PATH_MAX];
    if (!kin__os_mapping_at(address, path, NULL))
        return kin__fail(KIN_EINVAL, "cannot hand %s to another process: nothing lies at its address %p",
                         what, (void *)address);
    if (module)
        return kin__fail(KIN_EINVAL,
                         "cannot hand %s to another process: %p lies in \"%s\", but not in its code", what,
                         (void *)address, path);
    return kin__fail(
        KIN_EINVAL,
        "cannot hand %s to another process: %p lies in no module, but in %s (generated code, or a "
        "nested function that uses its parent's variables?)",
        what, (void *)address, *path ? path : "this process's own memory");
}

/* Everything other members have to know of a module. */
static int describe(const struct kin__os_module *module, struct kin__module *out, const char *what)
{
    bool gone = false;
    memset(out, 0, sizeof *out);
    if (!kin__os_mapping_at(module->base + module->build.code_start, out->path, &gone))
        return kin__fail(KIN_ESYSTEM, "could not find the file of %s: /proc/thread-self/maps does not tell",
                         what);
    out->build = module->build;
    out->program = module->program;
    if (out->build.id_size > 0)
        return 0;
    if (gone)
        return kin__fail(
            KIN_ENOTFOUND,
            "cannot hand %s to another process: \"%s\" has been deleted or replaced since it was "
            "loaded, and has no build id to know it by (link with -Wl,--build-id)",
            what, out->path);
    if (!kin__os_file_look(out->path, &out->file))
        return kin__fail_errno(KIN_ENOTFOUND, errno, "could not look at \"%s\", the file of %s", out->path,
                               what);
    return 0;
}

static bool same_module(const struct kin__module *a, const struct kin__module *b)
{
    return a->build.code_start == b->build.code_start && a->build.code_end == b->build.code_end &&
           a->build.id_size == b->build.id_size &&
           memcmp(a->build.id, b->build.id, sizeof a->build.id) == 0 && a->program == b->program &&
           memcmp(&a->file, &b->file, sizeof a->file) == 0 && strcmp(a->path, b->path) == 0;
}

/* Its index plus 1 among the first `count` entries, or 0. */
static uint32_t find_entry(const struct kin__module *module, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (same_module(&table()->entry[i], module))
            return i + 1;
    return 0;
}

/* The number of entries: pairs with the release store in enter(). Never trusted beyond the table's size. */
static uint32_t entries(void)
{
    uint32_t count = atomic_load_explicit(&table()->count, memory_order_acquire);
    return count < KIN__MODULES_MAX ? count : KIN__MODULES_MAX;
}

/* Its index plus 1, appended if it is new; 0: the table is full. */
static uint32_t enter(const struct kin__module *module)
{
    uint32_t found = find_entry(module, entries());
    if (found)
        return found;
    kin__lock_acquire(&table()->lock); /* if its owner died: half an entry at `count`, overwritten now */
    uint32_t count = entries();
    found = find_entry(module, count);
    if (!found && count < KIN__MODULES_MAX) {
        table()->entry[count] = *module;
        found = count + 1;
        atomic_store_explicit(&table()->count, found, memory_order_release); /* pairs with entries() */
    }
    kin__lock_release(&table()->lock);
    return found;
}

/* In a module that stays, as the program does: told without the loader, whose lock may be held for ever in a child. */
static bool find_pinned(uintptr_t address, struct kin__function *out)
{
    uint32_t count = entries();
    for (uint32_t i = 0; i < count && i < KIN__MODULES_MAX; i++) {
        if (!is_here(i))
            continue;
        uintptr_t offset = address - atomic_load_explicit(&here[i].base, memory_order_relaxed);
        if (!is_code_here(i, offset))
            continue;
        *out = (struct kin__function){.module = i + 1, .offset = offset};
        return true;
    }
    return false;
}

/* With threads of its own the child takes the loader's lock all the same: one of them may unload what is walked over. */
static bool lock_may_be_held_for_ever(void)
{
    return kin__child_forked_beside_threads() && kin__child_alone();
}

/* A handle that keeps `module` loaded, if there is one for it. */
static bool pin(const struct kin__os_module *module)
{
    if (module->program)
        return true;
    void *handle = dlopen(module->name, RTLD_LAZY | RTLD_NOLOAD);
    struct link_map *map;
    if (!handle)
        return false;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_addr == module->base)
        return true;
    dlclose(handle); /* another one of that name */
    return false;
}

int kin__function_refer(void (*fn)(void), struct kin__function *out, const char *what)
{
    *out = (struct kin__function){0};
    if (!fn)
        return kin__fail(KIN_EINVAL, "%s is missing (NULL)", what);
    if (!kin__region)
        return kin__fail(KIN_ENOINIT, "kin_init has not been called");
    uintptr_t address = (uintptr_t)fn;
    if (find_pinned(address, out))
        return 0;
    bool unlocked = lock_may_be_held_for_ever();
    uint64_t unloads =
        unlocked ? 0 : kin__os_module_unloads(); /* before looking: what is unloaded then counts as later */
    if (!unlocked && find_recent(address, unloads, out))
        return 0;
    struct kin__os_module module;
    if (!kin__os_module_at(address, unlocked, &module))
        return not_in_code(address, NULL, what);
    if (!module.holds)
        return not_in_code(address, &module, what);
    struct kin__module entry;
    int error = describe(&module, &entry, what);
    if (error)
        return error;
    uint32_t index = enter(&entry);
    if (!index)
        return kin__fail(KIN_ELIMIT,
                         "cannot hand %s to another process: its module \"%s\" would be one more than %u",
                         what, entry.path, KIN__MODULES_MAX);
    if (!unlocked)
        remember_recent(index, unloads, &module);
    /* Never unloaded: children made by fork need not look for it. */
    if (unlocked ? pin(&module) : module.program)
        remember_here(index - 1, &module);
    *out = (struct kin__function){.module = index, .offset = address - module.base};
    return 0;
}

/*
 * The program is entered at once, so that members made by fork resolve its functions without a look at the
 * loader's tables (whose lock another thread may have held at the fork) or at a file (which may have been built
 * anew since).
 */
void kin__function_init(void)
{
    static bool again; /* the first try to found the family failed, and its region has gone */
    if (again) {
        memset(recent, 0, sizeof recent);
        memset(here, 0, sizeof here);
    }
    again = true;
    kin__lock_init(&table()->lock);
    kin_error before;
    kin_error_get(&before);
    struct kin__function entry;
    void (*start)(void) = (void (*)(void))getauxval(AT_ENTRY);
    if (kin__function_refer(start, &entry, "the program's entry") < 0)
        kin__fail_with(&before); /* whoever needs the program finds out again */
}

/* ---- resolve --------------------------------------------------------------------------------- */

/* Whether the file at the entry's path is the one that was there when the entry was made. */
static int check_file(const struct kin__module *entry)
{
    struct kin__os_file now;
    if (!kin__os_file_look(entry->path, &now))
        return kin__fail_errno(KIN_ENOTFOUND, errno, "could not load \"%s\" to call a function in it",
                               entry->path);
    if (memcmp(&now, &entry->file, sizeof now) != 0)
        return kin__fail(
            KIN_EMISMATCH,
            "cannot call a function in \"%s\": the file has changed since the function was named, and "
            "has no build id to know it by",
            entry->path);
    return 0;
}

/* The entry's module among those loaded. Without a build id its code must lie where the entry's does, and
 * come from the same path, whose file check_file has seen. */
static bool find_loaded(const struct kin__module *entry, uint64_t offset, struct kin__os_module *out)
{
    bool unlocked = lock_may_be_held_for_ever();
    for (unsigned skip = 0; kin__os_module_find(&entry->build, skip, offset, unlocked, out); skip++) {
        char path[PATH_MAX];
        bool gone = true;
        if (entry->build.id_size > 0)
            return true;
        if (kin__os_mapping_at(out->base + out->build.code_start, path, &gone) && !gone &&
            strcmp(path, entry->path) == 0)
            return true;
    }
    return false;
}

/* Load the entry's module; the handle stays open. */
static int load(const struct kin__module *entry, uint64_t offset, struct kin__os_module *out)
{
    if (entry->program)
        return kin__fail(
            KIN_EMISMATCH,
            "cannot call a function in \"%s\": this process runs another program, or another build of it",
            entry->path);
    void *handle = dlopen(entry->path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        return kin__fail(KIN_ENOTFOUND, "could not load \"%s\" to call a function in it: %s", entry->path,
                         why ? why : "unknown reason");
    }
    if (find_loaded(entry, offset, out))
        return 0;
    dlclose(handle);
    return kin__fail(
        KIN_EMISMATCH,
        "cannot call a function in \"%s\": it has been replaced by another build since the function was "
        "named",
        entry->path);
}

static bool find_here(uint32_t index, uint64_t offset, void (**out)(void))
{
    if (!is_here(index) || !is_code_here(index, offset))
        return false;
    *out = (void (*)(void))(atomic_load_explicit(&here[index].base, memory_order_relaxed) + offset);
    return true;
}

/* An entry as a value, with what other members may have spoiled in it made harmless. */
static bool take_entry(uint32_t index, struct kin__module *out)
{
    if (index >= entries()) {
        kin__fail(KIN_EINVAL, "not a function reference: there is no module %u", index + 1);
        return false;
    }
    *out = table()->entry[index];
    out->path[sizeof out->path - 1] = '\0';
    if (out->path[0] == '\0') {
        kin__fail(KIN_EINVAL, "not a function reference: module %u has no path", index + 1);
        return false;
    }
    return true;
}

int kin__function_resolve(const struct kin__function *ref, void (**out)(void))
{
    *out = NULL;
    struct kin__function copy;
    memcpy(&copy, ref, sizeof copy);
    if (copy.module == 0 || copy.module > KIN__MODULES_MAX || copy.flags != 0)
        return kin__fail(KIN_EINVAL, "not a function reference: there is no module %u", copy.module);
    uint32_t index = copy.module - 1;
    if (find_here(index, copy.offset, out))
        return 0;
    if (!kin__region)
        return kin__fail(KIN_ENOINIT, "kin_init has not been called");
    struct kin__module entry;
    struct kin__os_module module;
    if (!take_entry(index, &entry))
        return KIN_EINVAL;
    int error = entry.build.id_size == 0 ? check_file(&entry) : 0;
    if (error)
        return error;
    bool pinned = true;
    if (find_loaded(&entry, copy.offset, &module))
        pinned = pin(&module);
    else
        error = load(&entry, copy.offset, &module);
    if (error)
        return error;
    if (!module.holds)
        return kin__fail(KIN_EINVAL, "not a function reference: offset %#llx is not in the code of \"%s\"",
                         (unsigned long long)copy.offset, entry.path);
    if (pinned)
        remember_here(index, &module);
    *out = (void (*)(void))(module.base + copy.offset);
    return 0;
}

void kin__function_name(const struct kin__function *ref, char *out, size_t size)
{
    struct kin__module entry;
    kin_error before;
    kin_error_get(&before);
    snprintf(out, size, "%s", "");
    if (ref->module && take_entry(ref->module - 1, &entry)) {
        struct kin__os_place place = {.path = entry.path, .address = ref->offset};
        kin__os_symbols(&place, 1);
        snprintf(out, size, "%s", place.function);
    }
    kin__fail_with(&before);
}
