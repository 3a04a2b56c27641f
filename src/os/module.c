/* os/module.c - see module.h; dl_iterate_phdr(3), elf(5), proc(5). */
#include "os/module.h"

#include "base/in_child.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

/* What a walk over the loaded modules looks for: an address, or else a build. */
struct query {
    uintptr_t address;
    const struct kin__build *build;
    unsigned skip;
    uint64_t offset;
    struct kin__os_module *out;
    bool first;
};

static bool segment_holds(const ElfW(Phdr) * segment, uint64_t offset)
{
    return segment->p_type == PT_LOAD && offset - segment->p_vaddr < segment->p_memsz;
}

/* Whether an offset lies in a segment of the module, and whether that one is executable. */
static bool module_holds(const struct dl_phdr_info *info, uint64_t offset, bool *code)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (segment_holds(&info->dlpi_phdr[i], offset)) {
            *code = (info->dlpi_phdr[i].p_flags & PF_X) != 0;
            return true;
        }
    }
    *code = false;
    return false;
}

static size_t round_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

/* Look for the build id among the notes at `notes`. Sizes come from the file: nothing is read beyond. */
static bool notes_find_id(const unsigned char *notes, size_t size, size_t alignment, struct kin__build *out)
{
    size_t at = 0;
    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note;
        size_t left = size - name;
        if (note.n_namesz > left || round_up(note.n_namesz, alignment) > left)
            return false;
        size_t content = name + round_up(note.n_namesz, alignment);
        if (note.n_descsz > size - content)
            return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(notes + name, "GNU", 4) == 0) {
            out->id_size = note.n_descsz;
            memcpy(out->id, notes + content,
                   note.n_descsz < KIN__BUILD_ID_MAX ? note.n_descsz : KIN__BUILD_ID_MAX);
            return note.n_descsz > 0;
        }
        if (round_up(note.n_descsz, alignment) > size - content)
            return false;
        at = content + round_up(note.n_descsz, alignment);
    }
    return false;
}

static void describe_build(const struct dl_phdr_info *info, struct kin__build *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X)) {
            out->code_start = segment->p_vaddr;
            out->code_end = segment->p_vaddr + segment->p_memsz;
            break;
        }
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        bool code; /* a note that no segment loads is in the file only */
        if (segment->p_type != PT_NOTE || segment->p_filesz == 0 ||
            !module_holds(info, segment->p_vaddr, &code) ||
            !module_holds(info, segment->p_vaddr + segment->p_filesz - 1, &code))
            continue;
        if (notes_find_id((const unsigned char *)(info->dlpi_addr + segment->p_vaddr), segment->p_filesz,
                          segment->p_align == 8 ? 8 : 4, out))
            return;
        out->id_size = 0;
    }
}

static bool same_build(const struct kin__build *a, const struct kin__build *b)
{
    return a->id_size == b->id_size && a->code_start == b->code_start && a->code_end == b->code_end &&
           memcmp(a->id, b->id, sizeof a->id) == 0;
}

static int look_at_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct query *query = arg;
    bool program = query->first; /* the loader lists the program first */
    query->first = false;
    uint64_t offset = query->build ? query->offset : query->address - info->dlpi_addr;
    bool code, inside = module_holds(info, offset, &code);
    struct kin__build build;
    if (query->build) {
        describe_build(info, &build);
        if (!same_build(&build, query->build) || query->skip-- > 0)
            return 0;
    } else {
        if (!inside)
            return 0;
        describe_build(info, &build);
    }
    query->out->base = info->dlpi_addr;
    query->out->program = program;
    query->out->holds = code;
    query->out->build = build;
    snprintf(query->out->name, sizeof query->out->name, "%s", info->dlpi_name ? info->dlpi_name : "");
    return 1;
}

/*
 * The lock of the loader's list (dl_load_write_lock) is not set free in a forked child (glibc 2.36; dl_load_lock is): had another
 * thread had it at the fork, the child's first look would never end. So kin looks under a mutex which its fork handlers take, never
 * held while anything else is called; and where the program's own threads may have had the lock, without it.
 */
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

#ifdef DLFO_STRUCT_HAS_EH_DBASE

/* As dl_iterate_phdr describes it, from the file's header, which its first segment begins with. */
static bool describe_module(const struct link_map *map, struct dl_phdr_info *out)
{
    struct dl_find_object place;
    if (!map->l_ld || _dl_find_object(map->l_ld, &place) != 0 || place.dlfo_link_map != map)
        return false;
    const ElfW(Ehdr) *header = place.dlfo_map_start;
    size_t size = (size_t)((const char *)place.dlfo_map_end - (const char *)place.dlfo_map_start);
    if (size < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_phentsize != sizeof(ElfW(Phdr)) || header->e_phoff > size ||
        header->e_phnum > (size - header->e_phoff) / sizeof(ElfW(Phdr)))
        return false;
    *out = (struct dl_phdr_info){
        .dlpi_addr = map->l_addr,
        .dlpi_name = map->l_name,
        .dlpi_phdr = (const ElfW(Phdr) *)((const char *)header + header->e_phoff),
        .dlpi_phnum = header->e_phnum,
    };
    return true;
}

/* Without a lock: the list may be read at any moment but while another thread unloads. */
static int walk(int (*look)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    struct dl_find_object place;
    if (_dl_find_object((void *)getauxval(AT_PHDR), &place) != 0)
        return 0;
    const struct link_map *map = place.dlfo_link_map;
    while (map->l_prev)
        map = map->l_prev;
    for (int result = 0; map; map = map->l_next) {
        struct dl_phdr_info info;
        if (describe_module(map, &info))
            result = look(&info, sizeof info, arg);
        if (result)
            return result;
    }
    return 0;
}

#else

static int walk(int (*look)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    return dl_iterate_phdr(look, arg); /* before glibc 2.35 nobody else can tell */
}

#endif

static int iterate(int (*look)(struct dl_phdr_info *, size_t, void *), void *arg)
{
    pthread_mutex_lock(&looking);
    int result = dl_iterate_phdr(look, arg);
    pthread_mutex_unlock(&looking);
    return result;
}

static int find(struct query *query, bool unlocked)
{
    return unlocked ? walk(look_at_module, query) : iterate(look_at_module, query);
}

void kin__os_modules_before_fork(void)
{
    pthread_mutex_lock(&looking);
}

void kin__os_modules_after_fork(void)
{
    pthread_mutex_unlock(&looking);
}

KIN__IN_CHILD void kin__os_modules_forked(void)
{
    kin__mutex_forked(&looking);
}

bool kin__os_module_at(uintptr_t address, bool unlocked, struct kin__os_module *out)
{
    struct query query = {.address = address, .out = out, .first = true};
    return find(&query, unlocked) != 0;
}

bool kin__os_module_find(const struct kin__build *build, unsigned skip, uint64_t offset, bool unlocked,
                         struct kin__os_module *out)
{
    struct query query = {.build = build, .skip = skip, .offset = offset, .out = out, .first = true};
    return find(&query, unlocked) != 0;
}

static int take_unloads(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    *(uint64_t *)arg = info->dlpi_subs;
    return 1;
}

uint64_t kin__os_module_unloads(void)
{
    uint64_t unloads = 0;
    iterate(take_unloads, &unloads);
    return unloads;
}

struct name_wanted {
    bool (*is_wanted)(const char *name);
    char (*names)[PATH_MAX];
    size_t capacity, count;
};

static int take_name(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    struct name_wanted *wanted = arg;
    if (info->dlpi_name && wanted->count < wanted->capacity && wanted->is_wanted(info->dlpi_name))
        snprintf(wanted->names[wanted->count++], PATH_MAX, "%s", info->dlpi_name);
    return 0;
}

size_t kin__os_modules_named(bool (*is_wanted)(const char *name), char (*names)[PATH_MAX], size_t capacity)
{
    struct name_wanted wanted = {.is_wanted = is_wanted, .names = names, .capacity = capacity};
    iterate(take_name, &wanted);
    return wanted.count;
}

void kin__os_module_symbols(const char *name, const char *const *symbols, size_t count, void **out)
{
    pthread_mutex_lock(&looking);
    void *module = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
    for (size_t i = 0; i < count; i++)
        out[i] = module ? dlsym(module, symbols[i]) : NULL;
    if (module)
        dlclose(module);
    pthread_mutex_unlock(&looking);
}

void kin__os_keep_module(uintptr_t address)
{
    Dl_info about;
    struct link_map *module;
    if (dladdr1((void *)address, &about, (void **)&module, RTLD_DL_LINKMAP) && *module->l_name)
        dlopen(module->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* One line of /proc/thread-self/maps; `path` points into the line. */
struct mapping {
    uintptr_t start, end;
    char *path;
};

static bool parse_mapping(char *line, struct mapping *out)
{
    unsigned long long start, end;
    int path = 0;
    if (sscanf(line, "%llx-%llx %*s %*x %*s %*u %n", &start, &end, &path) < 2 || path == 0)
        return false;
    line[strcspn(line, "\n")] = '\0';
    *out = (struct mapping){(uintptr_t)start, (uintptr_t)end, line + path};
    return true;
}

/* Cut off what the kernel appends to the path of a file that is no longer there. A file that is there may
 * be called so too. */
static bool cut_deleted(char *path)
{
    static const char mark[] = " (deleted)";
    struct stat file;
    size_t length = strlen(path), cut = sizeof mark - 1;
    if (length <= cut || strcmp(path + length - cut, mark) != 0 || stat(path, &file) == 0)
        return false;
    path[length - cut] = '\0';
    return true;
}

bool kin__os_mapping_at(uintptr_t address, char path[PATH_MAX], bool *gone)
{
    FILE *maps = fopen("/proc/thread-self/maps", "re");
    if (!maps)
        return false;
    char *line = NULL;
    size_t room = 0;
    struct mapping mapping;
    bool found = false;
    while (!found && getline(&line, &room, maps) > 0)
        found = parse_mapping(line, &mapping) && address >= mapping.start && address < mapping.end;
    fclose(maps);
    if (found) {
        bool deleted = cut_deleted(mapping.path);
        if (gone)
            *gone = deleted;
        found = snprintf(path, PATH_MAX, "%s", mapping.path) < PATH_MAX;
    }
    free(line);
    return found;
}

bool kin__os_file_look(const char *path, struct kin__os_file *out)
{
    struct stat file;
    if (stat(path, &file) < 0)
        return false;
    *out = (struct kin__os_file){
        .device = file.st_dev,
        .inode = file.st_ino,
        .size = (uint64_t)file.st_size,
        .modified_ns = (uint64_t)file.st_mtim.tv_sec * 1000000000u + (uint64_t)file.st_mtim.tv_nsec,
    };
    return true;
}
