/* os/unwind.c - see unwind.h. */
#include "os/unwind.h"

#include "os/cfi.h"
#include "os/maps.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096u /* the least there is */

#ifndef PT_GNU_EH_FRAME
#define PT_GNU_EH_FRAME 0x6474e550
#endif

static void read_registers(const void *context, struct kin__os_registers *out)
{
    const ucontext_t *user = context;
#if defined(__x86_64__)
    static const unsigned char from[KIN__REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                                       REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                                       REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (size_t i = 0; i < KIN__REGISTERS; i++)
        out->at[i] = (uintptr_t)user->uc_mcontext.gregs[from[i]];
    out->pc = out->at[KIN__RETURN];
#else
    for (size_t i = 0; i < KIN__STACK_POINTER; i++)
        out->at[i] = user->uc_mcontext.regs[i];
    out->at[KIN__STACK_POINTER] = user->uc_mcontext.sp;
    out->pc = user->uc_mcontext.pc;
#endif
}

uintptr_t kin__os_stack_pointer(const void *context)
{
    struct kin__os_registers registers;
    read_registers(context, &registers);
    return registers.at[KIN__STACK_POINTER];
}

uintptr_t kin__os_program_counter(const void *context)
{
    struct kin__os_registers registers;
    read_registers(context, &registers);
    return registers.pc;
}

/* ---- the image --------------------------------------------------------------------------------- */

struct survey {
    struct kin__os_image *image;
    uintptr_t stack_pointer;
};

static bool is_vdso(const struct kin__os_map *map)
{
    return strcmp(map->name, "[vdso]") == 0;
}

static void note_code(struct kin__os_image *image, const struct kin__os_map *map)
{
    struct kin__os_code *last = image->count ? &image->code[image->count - 1] : NULL;
    if (last && last->inode == map->inode && map->inode && map->offset > 0 &&
        (map->start == last->end || map->offset >= last->end - last->start)) {
        last->end = map->end;
        last->runs |= (map->protection & PROT_EXEC) != 0;
        return;
    }
    if (last && !last->runs)
        image->count--; /* a file of data */
    bool begins = map->offset == 0 && (map->protection & PROT_READ) && (map->inode || is_vdso(map));
    if (begins && image->count < KIN__MODULES_SEEN)
        image->code[image->count++] = (struct kin__os_code){.start = map->start,
                                                            .end = map->end,
                                                            .inode = map->inode,
                                                            .runs = (map->protection & PROT_EXEC) != 0};
}

static void note_stack(struct kin__os_image *image, const struct kin__os_map *map, uintptr_t stack_pointer)
{
    if (!image->stack_end && map->end > stack_pointer && (map->protection & PROT_WRITE)) {
        image->stack_start = map->start;
        image->stack_end = map->end;
    }
}

static bool note_map(const struct kin__os_map *map, void *arg)
{
    struct survey *survey = arg;
    if (!map->shared)
        note_code(survey->image, map);
    note_stack(survey->image, map, survey->stack_pointer);
    return true;
}

/* What the ELF header in memory tells. */
static void read_headers(struct kin__os_code *code)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)code->start;
    if (!code->runs || code->end - code->start < PAGE || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_phentsize != sizeof(Elf64_Phdr) ||
        header->e_phoff > PAGE || header->e_phnum > (PAGE - header->e_phoff) / sizeof(Elf64_Phdr))
        return;
    const Elf64_Phdr *program = (const Elf64_Phdr *)(code->start + header->e_phoff);
    const Elf64_Phdr *load = NULL, *frames = NULL;
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (program[i].p_type == PT_LOAD && !load)
            load = &program[i];
        else if (program[i].p_type == PT_GNU_EH_FRAME)
            frames = &program[i];
    }
    if (!load)
        return;
    code->is_elf = true;
    code->bias = code->start - (uintptr_t)(load->p_vaddr & ~(uint64_t)(PAGE - 1));
    if (frames && code->bias + frames->p_vaddr - code->start < code->end - code->start)
        code->frames = code->bias + (uintptr_t)frames->p_vaddr;
}

bool kin__os_image_read(struct kin__os_image *image, uintptr_t stack_pointer)
{
    struct survey survey = {image, stack_pointer};
    image->count = 0;
    image->stack_start = image->stack_end = 0;
    if (!kin__os_maps_walk(0, note_map, &survey))
        return false;
    for (size_t i = 0; i < image->count; i++)
        read_headers(&image->code[i]);
    return true;
}

static const struct kin__os_code *code_at(const struct kin__os_image *image, uintptr_t pc)
{
    for (size_t i = 0; i < image->count; i++)
        if (pc >= image->code[i].start && pc < image->code[i].end)
            return image->code[i].is_elf ? &image->code[i] : NULL;
    return NULL;
}

/* ---- the walk ---------------------------------------------------------------------------------- */

static bool note_other_stack(const struct kin__os_map *map, void *arg)
{
    struct survey *survey = arg;
    note_stack(survey->image, map, survey->stack_pointer);
    return !survey->image->stack_end;
}

/* A signal may have come on another stack than its handler runs on. */
static void follow_stack(struct kin__os_image *image, uintptr_t stack_pointer)
{
    if (stack_pointer >= image->stack_start && stack_pointer < image->stack_end)
        return;
    struct survey survey = {image, stack_pointer};
    image->stack_start = image->stack_end = 0;
    kin__os_maps_walk(0, note_other_stack, &survey);
}

/* By the chain of saved frame pointers, where nothing else is known: generated code, assembler. */
static enum kin__step step_by_pointer(const struct kin__os_image *image, struct kin__os_registers *registers)
{
    uintptr_t frame = registers->at[KIN__FRAME_POINTER], next, pc;
    if (frame < registers->at[KIN__STACK_POINTER] || !kin__os_stack_word(image, frame, &next) ||
        !kin__os_stack_word(image, frame + sizeof next, &pc))
        return KIN__STEP_LAST;
    pc = kin__os_unsigned_address(pc);
    if (!code_at(image, pc))
        return KIN__STEP_LAST;
    registers->at[KIN__FRAME_POINTER] = next;
    registers->at[KIN__STACK_POINTER] = frame + 2 * sizeof next;
    registers->pc = pc;
    return KIN__STEP_CALLER;
}

/* The innermost frame is in no module: something that is no function was called. */
static enum kin__step step_from_nowhere(const struct kin__os_image *image,
                                        struct kin__os_registers *registers)
{
    uintptr_t pc;
#if defined(__x86_64__)
    if (!kin__os_stack_word(image, registers->at[KIN__STACK_POINTER], &pc) || !code_at(image, pc))
        return step_by_pointer(image, registers);
    registers->at[KIN__STACK_POINTER] += sizeof pc;
#else
    pc = kin__os_unsigned_address(registers->at[KIN__RETURN]);
    if (!code_at(image, pc))
        return step_by_pointer(image, registers);
#endif
    registers->pc = pc;
    return KIN__STEP_CALLER;
}

void kin__os_unwind(struct kin__os_image *image, const void *context,
                    bool (*found)(const struct kin__os_frame *frame, void *arg), void *arg)
{
    struct kin__os_registers registers;
    read_registers(context, &registers);
    struct kin__os_frame frame = {.called = false};
    for (;;) {
        frame.pc = registers.pc;
        frame.stack_pointer = registers.at[KIN__STACK_POINTER];
        frame.code = code_at(image, frame.pc);
        if (frame.pc == 0 && frame.called)
            return;
        if (!found(&frame, arg))
            return;
        uintptr_t before = registers.at[KIN__STACK_POINTER];
        enum kin__step step = KIN__STEP_NONE;
        if (!frame.code && !frame.called)
            step = step_from_nowhere(image, &registers);
        else if (frame.code)
            step = kin__os_cfi_step(image, frame.code, frame.pc - frame.called, &registers);
        if (step == KIN__STEP_NONE)
            step = step_by_pointer(image, &registers);
        if (step == KIN__STEP_LAST)
            return;
        frame.called = step == KIN__STEP_CALLER;
        if (!frame.called)
            follow_stack(image, registers.at[KIN__STACK_POINTER]);
        else if (registers.at[KIN__STACK_POINTER] < before)
            return; /* callers lie above */
    }
}
