/* os/symbol.c - see symbol.h. */
#include "os/symbol.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Without what compilers append to parts of functions (".cold", ".part.0"). */
static void copy_function(struct kin__os_place *place, const char *from)
{
    snprintf(place->function, sizeof place->function, "%.*s", (int)(1 + strcspn(from + (*from != 0), ".")),
             from);
}

/* ---- the file's own symbols -------------------------------------------------------------------- */

struct image {
    const unsigned char *data;
    size_t size;
};

static bool open_image(struct image *image, const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    image->size = fstat(fd, &file) == 0 && S_ISREG(file.st_mode) ? (size_t)file.st_size : 0;
    void *at = image->size > sizeof(Elf64_Ehdr) ? mmap(NULL, image->size, PROT_READ, MAP_PRIVATE, fd, 0)
                                                : MAP_FAILED;
    close(fd);
    image->data = at;
    return at != MAP_FAILED;
}

/* `count` things of `size` at an offset; NULL if they do not lie in the file. */
static const void *part(const struct image *image, uint64_t offset, uint64_t count, size_t size)
{
    if (offset > image->size || count > (image->size - offset) / size)
        return NULL;
    return image->data + offset;
}

static const Elf64_Shdr *sections(const struct image *image, size_t *count)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->data;
    *count = 0;
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64 ||
        header->e_shentsize != sizeof(Elf64_Shdr))
        return NULL;
    const Elf64_Shdr *found = part(image, header->e_shoff, header->e_shnum, sizeof *found);
    *count = found ? header->e_shnum : 0;
    return found;
}

/* The function of a table that the address lies in. Names of aliases: the first is as good as any. */
static bool look_in_table(const struct image *image, const Elf64_Shdr *table, const Elf64_Shdr *strings,
                          struct kin__os_place *place)
{
    size_t count = table->sh_size / sizeof(Elf64_Sym);
    const Elf64_Sym *symbols = part(image, table->sh_offset, count, sizeof *symbols);
    const char *names = part(image, strings->sh_offset, strings->sh_size, 1);
    if (!symbols || !names || strings->sh_size == 0 || names[strings->sh_size - 1] != '\0')
        return false;
    for (size_t i = 0; i < count; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        unsigned type = ELF64_ST_TYPE(symbol->st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol->st_shndx == SHN_UNDEF ||
            place->address - symbol->st_value >= symbol->st_size || symbol->st_name >= strings->sh_size)
            continue;
        copy_function(place, names + symbol->st_name);
        place->into = place->address - symbol->st_value;
        return true;
    }
    return false;
}

static void look_in_file(struct kin__os_place *place)
{
    struct image image;
    if (!open_image(&image, place->path))
        return;
    size_t count;
    const Elf64_Shdr *section = sections(&image, &count);
    static const unsigned kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    bool found = false;
    for (size_t k = 0; !found && k < 2; k++)
        for (size_t i = 0; !found && i < count; i++)
            if (section[i].sh_type == kinds[k] && section[i].sh_link < count)
                found = look_in_table(&image, &section[i], &section[section[i].sh_link], place);
    munmap((void *)image.data, image.size);
}

/* ---- debug information, by libdw ----------------------------------------------------------------- */

#ifdef KIN_HAVE_LIBDW

#include <dlfcn.h>
#include <elfutils/libdwfl.h>

#define DEBUG_FILES "/usr/lib/debug/.build-id"

/* X(function): what is used of it. */
#define LIBDW(X)            \
    X(dwfl_begin)           \
    X(dwfl_end)             \
    X(dwfl_report_begin)    \
    X(dwfl_report_offline)  \
    X(dwfl_report_end)      \
    X(dwfl_module_build_id) \
    X(dwfl_module_getelf)   \
    X(dwfl_module_addrname) \
    X(dwfl_module_getsrc)   \
    X(dwfl_lineinfo)        \
    X(dwfl_module_nextcu)   \
    X(dwarf_haspc)          \
    X(dwarf_getsrc_die)     \
    X(dwarf_linesrc)        \
    X(dwarf_lineno)         \
    X(dwfl_offline_section_address)

struct libdw {
    void *handle;
#define FIELD(function) __typeof__(function) *function;
    LIBDW(FIELD)
#undef FIELD
};

static __typeof__(dwfl_module_build_id)
    *find_build_id; /* the same in every loading of libdw that is under way */

static bool load_libdw(struct libdw *libdw)
{
    libdw->handle = dlopen("libdw.so.1", RTLD_NOW | RTLD_LOCAL);
    bool whole = libdw->handle;
#define LOAD(function) \
    whole = whole && (libdw->function = (__typeof__(function) *)dlsym(libdw->handle, #function));
    LIBDW(LOAD)
#undef LOAD
    if (!whole && libdw->handle)
        dlclose(libdw->handle);
    return whole;
}

/* Where Debian's packages of debug information put it. Not libdw's own way, which may ask servers, and wait. */
static int find_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                           const char *file, const char *link, GElf_Word crc, char **path)
{
    (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc;
    const unsigned char *id;
    GElf_Addr address;
    int size = find_build_id(module, &id, &address);
    if (size < 2)
        return -1;
    char text[sizeof DEBUG_FILES + 160];
    int length = snprintf(text, sizeof text, DEBUG_FILES "/%02x/", id[0]);
    for (int i = 1; i < size && i < 64; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "%02x", id[i]);
    snprintf(text + length, sizeof text - (size_t)length, ".debug");
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        *path = strdup(text);
    return fd;
}

static void copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    if (length >= size) { /* of a path the end tells more */
        from += length - size + 1;
        length = size - 1;
    }
    memcpy(to, from, length + 1);
}

/* Compilers may leave out the table of which part of the debug information is on which addresses (clang does): then
 * each part is asked. */
static void look_in_all_units(const struct libdw *libdw, Dwfl_Module *module, Dwarf_Addr address,
                              struct kin__os_place *place)
{
    Dwarf_Addr bias;
    for (Dwarf_Die *unit = NULL; (unit = libdw->dwfl_module_nextcu(module, unit, &bias));) {
        if (libdw->dwarf_haspc(unit, address - bias) <= 0)
            continue;
        Dwarf_Line *line = libdw->dwarf_getsrc_die(unit, address - bias);
        const char *file = line ? libdw->dwarf_linesrc(line, NULL, NULL) : NULL;
        if (file && libdw->dwarf_lineno(line, &place->line) == 0)
            copy(place->file, sizeof place->file, file);
        return;
    }
}

static void look_by_libdw(const struct libdw *libdw, Dwfl_Module *module, GElf_Addr bias,
                          struct kin__os_place *place)
{
    Dwarf_Addr address = place->address + bias;
    const char *function = *place->function ? NULL : libdw->dwfl_module_addrname(module, address);
    if (function)
        copy_function(place, function);
    Dwfl_Line *line = libdw->dwfl_module_getsrc(module, address);
    const char *file = line ? libdw->dwfl_lineinfo(line, NULL, &place->line, NULL, NULL, NULL) : NULL;
    if (file)
        copy(place->file, sizeof place->file, file);
    else
        look_in_all_units(libdw, module, address, place);
}

static bool is_in(const struct kin__os_place *place, const char *path)
{
    return place->path && strcmp(place->path, path) == 0;
}

/* All places of one file, which is opened once. */
static void look_in_module(const struct libdw *libdw, const char *path, struct kin__os_place *places,
                           size_t count)
{
    const Dwfl_Callbacks callbacks = {.find_debuginfo = find_debug_file,
                                      .section_address = libdw->dwfl_offline_section_address};
    Dwfl *session = libdw->dwfl_begin(&callbacks);
    if (!session)
        return;
    libdw->dwfl_report_begin(session);
    Dwfl_Module *module = libdw->dwfl_report_offline(session, "", path, -1);
    libdw->dwfl_report_end(session, NULL, NULL);
    GElf_Addr bias;
    if (module && libdw->dwfl_module_getelf(module, &bias))
        for (size_t i = 0; i < count; i++)
            if (is_in(&places[i], path))
                look_by_libdw(libdw, module, bias, &places[i]);
    libdw->dwfl_end(session);
}

static void look_for_lines(struct kin__os_place *places, size_t count)
{
    struct libdw libdw;
    if (!load_libdw(&libdw))
        return;
    find_build_id = libdw.dwfl_module_build_id;
    for (size_t i = 0; i < count; i++) {
        size_t first = 0;
        while (places[i].path && !is_in(&places[first], places[i].path))
            first++;
        if (places[i].path && first == i)
            look_in_module(&libdw, places[i].path, places, count);
    }
    dlclose(libdw.handle);
}

#else

static void look_for_lines(struct kin__os_place *places, size_t count)
{
    (void)places, (void)count;
}

#endif

void kin__os_symbols(struct kin__os_place *places, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        places[i].function[0] = places[i].file[0] = '\0';
        places[i].into = 0;
        places[i].line = 0;
        if (places[i].path)
            look_in_file(&places[i]);
    }
    look_for_lines(places, count);
}
