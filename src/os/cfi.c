/*
 * os/cfi.c - see cfi.h.
 *
 * A module's .eh_frame_hdr is a table of functions, sorted by address; each entry leads to a description (FDE) of
 * how the caller's registers are found at each instruction: a small program, begun by a part common to many (CIE).
 * Running both up to the place gives one rule a register. All reading is bounded by the module or the stack.
 */
#include "os/cfi.h"

#include <string.h>

#define DEPTH 8   /* of remembered rows */
#define VALUES 16 /* on an expression's stack */

/* What a pointer of these sections looks like (LSB 5.0, 10.5.1). */
enum { ABSOLUTE = 0, UDATA2 = 2, UDATA4 = 3, UDATA8 = 4, SDATA2 = 10, SDATA4 = 11, SDATA8 = 12 };
enum {
    FORMAT = 0x0f,
    RELATIVE = 0x70,
    TO_PLACE = 0x10,
    OMITTED = 0xff,
    TABLE = 0x3b /* to the header, 4 bytes */
};

struct reader {
    const unsigned char *at, *end;
    bool bad;
};

/* Not memcpy of a constant size through a checked libc, and not looked at by AddressSanitizer: what is read is not
 * what a program may touch by its own names. */
__attribute__((no_sanitize("address", "undefined"))) static uint64_t take(struct reader *reader, size_t size)
{
    uint64_t value = 0;
    if ((size_t)(reader->end - reader->at) < size) {
        reader->bad = true;
        reader->at = reader->end;
        return 0;
    }
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)reader->at[i] << 8 * i; /* both machines are little-endian */
    reader->at += size;
    return value;
}

static int64_t take_signed(struct reader *reader, size_t size)
{
    uint64_t sign = UINT64_C(1) << (8 * size - 1);
    return (int64_t)((take(reader, size) ^ sign) - sign);
}

static uint64_t take_leb(struct reader *reader, bool is_signed)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint64_t byte;
    do {
        byte = take(reader, 1);
        if (shift < 64)
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (is_signed && (byte & 0x40) && shift < 64)
        value |= ~UINT64_C(0) << shift;
    return value;
}

static uint64_t take_uleb(struct reader *reader)
{
    return take_leb(reader, false);
}

static int64_t take_sleb(struct reader *reader)
{
    return (int64_t)take_leb(reader, true);
}

static uint64_t take_encoded(struct reader *reader, unsigned encoding)
{
    uintptr_t place = (uintptr_t)reader->at;
    uint64_t value = 0;
    switch (encoding & FORMAT) {
    case ABSOLUTE:
    case UDATA8:
    case SDATA8:
        value = take(reader, 8);
        break;
    case UDATA2:
        value = take(reader, 2);
        break;
    case UDATA4:
        value = take(reader, 4);
        break;
    case SDATA2:
        value = (uint64_t)take_signed(reader, 2);
        break;
    case SDATA4:
        value = (uint64_t)take_signed(reader, 4);
        break;
    default:
        reader->bad = true;
    }
    return (encoding & RELATIVE) == TO_PLACE ? value + place : value;
}

__attribute__((no_sanitize("address"))) bool kin__os_stack_word(const struct kin__os_image *image,
                                                                uintptr_t address, uintptr_t *out)
{
    if (!address || address < image->stack_start || address >= image->stack_end ||
        image->stack_end - address < sizeof *out || address % sizeof *out)
        return false;
    *out = *(const volatile uintptr_t *)address;
    return true;
}

/* ---- finding the description ------------------------------------------------------------------- */

struct description {
    struct reader common, own; /* the programs */
    uintptr_t start;           /* of the function */
    uint64_t code_step;
    int64_t data_step;
    uint64_t return_register;
    bool is_signal;
};

static struct reader read_module(const struct kin__os_code *code, uintptr_t address)
{
    struct reader reader = {(const unsigned char *)address, (const unsigned char *)code->end, false};
    if (address < code->start || address >= code->end) {
        reader.at = reader.end;
        reader.bad = true;
    }
    return reader;
}

/* The description of the last function that begins at or before the place. */
static uintptr_t look_up(const struct kin__os_code *code, uintptr_t place)
{
    struct reader reader = read_module(code, code->frames);
    uint64_t version = take(&reader, 1);
    unsigned frame_encoding = (unsigned)take(&reader, 1), count_encoding = (unsigned)take(&reader, 1);
    unsigned table_encoding = (unsigned)take(&reader, 1);
    if (version != 1 || count_encoding == OMITTED || table_encoding != TABLE)
        return 0;
    take_encoded(&reader, frame_encoding);
    uint64_t count = take_encoded(&reader, count_encoding);
    if (reader.bad || count > (size_t)(reader.end - reader.at) / 8)
        return 0;
    uintptr_t table = (uintptr_t)reader.at;
    uint64_t low = 0, high = count; /* the last entry at or before it is in [low, high) */
    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        struct reader entry = read_module(code, table + middle * 8);
        if (code->frames + (uintptr_t)take_signed(&entry, 4) <= place)
            low = middle;
        else
            high = middle;
    }
    struct reader entry = read_module(code, table + low * 8);
    uintptr_t start = code->frames + (uintptr_t)take_signed(&entry, 4);
    uintptr_t description = code->frames + (uintptr_t)take_signed(&entry, 4);
    return count == 0 || entry.bad || start > place ? 0 : description;
}

/* The bytes of an entry of .eh_frame, without its length. */
static struct reader read_entry(const struct kin__os_code *code, uintptr_t address)
{
    struct reader reader = read_module(code, address);
    uint64_t length = take(&reader, 4);
    if (length == 0xffffffff)
        length = take(&reader, 8);
    if (length > (uint64_t)(reader.end - reader.at))
        reader.bad = true;
    else
        reader.end = reader.at + length;
    return reader;
}

static bool read_common(const struct kin__os_code *code, uintptr_t address, struct description *out,
                        unsigned *encoding, bool *augmented)
{
    struct reader reader = read_entry(code, address);
    uint64_t id = take(&reader, 4), version = take(&reader, 1);
    if (reader.bad || id != 0 || (version != 1 && version != 3))
        return false;
    char kinds[8];
    size_t count = 0;
    for (uint64_t c; (c = take(&reader, 1)) && count < sizeof kinds;)
        kinds[count++] = (char)c;
    out->code_step = take_uleb(&reader);
    out->data_step = take_sleb(&reader);
    out->return_register = version == 1 ? take(&reader, 1) : take_uleb(&reader);
    *encoding = ABSOLUTE;
    *augmented = count > 0 && kinds[0] == 'z';
    uint64_t size = *augmented ? take_uleb(&reader) : 0;
    struct reader more = reader;
    for (size_t i = 1; *augmented && i < count; i++) {
        if (kinds[i] == 'R')
            *encoding = (unsigned)take(&more, 1);
        else if (kinds[i] == 'L')
            take(&more, 1);
        else if (kinds[i] == 'P')
            take_encoded(&more, (unsigned)take(&more, 1));
        else if (kinds[i] == 'S')
            out->is_signal = true;
    }
    if (reader.bad || more.bad || size > (uint64_t)(reader.end - reader.at) || (count && !*augmented))
        return false;
    reader.at += size;
    out->common = reader;
    return true;
}

static bool describe(const struct kin__os_code *code, uintptr_t place, struct description *out)
{
    uintptr_t address = look_up(code, place);
    if (!address)
        return false;
    memset(out, 0, sizeof *out);
    struct reader reader = read_entry(code, address);
    uintptr_t at = (uintptr_t)reader.at;
    uint64_t back = take(&reader, 4);
    unsigned encoding;
    bool augmented;
    if (reader.bad || back == 0 || !read_common(code, at - (uintptr_t)back, out, &encoding, &augmented))
        return false;
    out->start = (uintptr_t)take_encoded(&reader, encoding);
    uint64_t length = take_encoded(&reader, encoding & FORMAT);
    uint64_t size = augmented ? take_uleb(&reader) : 0;
    if (reader.bad || place - out->start >= length || size > (uint64_t)(reader.end - reader.at))
        return false;
    reader.at += size;
    out->own = reader;
    return true;
}

/* ---- running it -------------------------------------------------------------------------------- */

enum rule_kind {
    SAME = 0, /* in the caller as here */
    UNDEFINED,
    AT_OFFSET, /* stored that far from the frame's address (CFA) */
    IS_OFFSET, /* the CFA plus that */
    IN_REGISTER,
    AT_EXPRESSION,
    IS_EXPRESSION
};

struct rule {
    enum rule_kind kind;
    union {
        int64_t offset;
        uint64_t number;
        const unsigned char *expression; /* its length first */
    } of;
};

struct row {
    struct rule registers[KIN__REGISTERS];
    struct rule cfa; /* IN_REGISTER plus offset, or IS_EXPRESSION */
    int64_t cfa_offset;
};

struct machine {
    struct row now, first, remembered[DEPTH];
    size_t depth;
};

static void set_rule(struct row *row, uint64_t number, enum rule_kind kind, int64_t value)
{
    if (number < KIN__REGISTERS)
        row->registers[number] = (struct rule){.kind = kind, .of.offset = value};
}

static struct rule take_expression(struct reader *reader, enum rule_kind kind)
{
    struct rule rule = {.kind = kind, .of.expression = reader->at};
    uint64_t size = take_uleb(reader);
    if (size > (uint64_t)(reader->end - reader->at))
        reader->bad = true;
    else
        reader->at += size;
    return rule;
}

static void restore(struct machine *machine, uint64_t number)
{
    if (number < KIN__REGISTERS)
        machine->now.registers[number] = machine->first.registers[number];
}

static void define_cfa(struct row *row, uint64_t number, int64_t offset)
{
    row->cfa = (struct rule){.kind = IN_REGISTER, .of.number = number};
    row->cfa_offset = offset;
}

/* DW_CFA_..., those with all of the byte for themselves; advances are done by run(). */
static void run_one(struct machine *machine, struct reader *reader, const struct description *about,
                    uint64_t op)
{
    struct row *row = &machine->now;
    uint64_t number;
    switch (op) {
    case 0x00: /* nop */
    case 0x2d: /* negate_ra_state: signed return addresses are seen by themselves */
        return;
    case 0x2e: /* GNU_args_size */
        take_uleb(reader);
        return;
    case 0x05: /* offset_extended, and its signed form */
        number = take_uleb(reader);
        set_rule(row, number, AT_OFFSET, (int64_t)take_uleb(reader) * about->data_step);
        return;
    case 0x11:
        number = take_uleb(reader);
        set_rule(row, number, AT_OFFSET, take_sleb(reader) * about->data_step);
        return;
    case 0x14: /* val_offset, and its signed form */
        number = take_uleb(reader);
        set_rule(row, number, IS_OFFSET, (int64_t)take_uleb(reader) * about->data_step);
        return;
    case 0x15:
        number = take_uleb(reader);
        set_rule(row, number, IS_OFFSET, take_sleb(reader) * about->data_step);
        return;
    case 0x06: /* restore_extended */
        restore(machine, take_uleb(reader));
        return;
    case 0x07: /* undefined */
        set_rule(row, take_uleb(reader), UNDEFINED, 0);
        return;
    case 0x08: /* same_value */
        set_rule(row, take_uleb(reader), SAME, 0);
        return;
    case 0x09: /* register */
        number = take_uleb(reader);
        set_rule(row, number, IN_REGISTER, (int64_t)take_uleb(reader));
        return;
    case 0x0a: /* remember_state */
        if (machine->depth < DEPTH)
            machine->remembered[machine->depth++] = *row;
        else
            reader->bad = true;
        return;
    case 0x0b: /* restore_state */
        if (machine->depth > 0)
            *row = machine->remembered[--machine->depth];
        else
            reader->bad = true;
        return;
    case 0x0c: /* def_cfa, and its signed form */
        number = take_uleb(reader);
        define_cfa(row, number, (int64_t)take_uleb(reader));
        return;
    case 0x12:
        number = take_uleb(reader);
        define_cfa(row, number, take_sleb(reader) * about->data_step);
        return;
    case 0x0d: /* def_cfa_register */
        define_cfa(row, take_uleb(reader), row->cfa_offset);
        return;
    case 0x0e: /* def_cfa_offset, and its signed form */
        row->cfa_offset = (int64_t)take_uleb(reader);
        return;
    case 0x13:
        row->cfa_offset = take_sleb(reader) * about->data_step;
        return;
    case 0x0f: /* def_cfa_expression */
        row->cfa = take_expression(reader, IS_EXPRESSION);
        return;
    case 0x10: /* expression */
    case 0x16: /* val_expression */
        number = take_uleb(reader);
        struct rule rule = take_expression(reader, op == 0x10 ? AT_EXPRESSION : IS_EXPRESSION);
        if (number < KIN__REGISTERS)
            row->registers[number] = rule;
        return;
    default:
        reader->bad = true;
    }
}

/* Up to the row that holds at the place. */
static bool run(struct machine *machine, struct reader reader, const struct description *about,
                uintptr_t place)
{
    uintptr_t at = about->start;
    while (reader.at < reader.end && !reader.bad) {
        uint64_t op = take(&reader, 1), low = op & 0x3f, step = 0;
        if (op >> 6 == 1) /* advance_loc */
            step = low;
        else if (op >> 6 == 2) /* offset */
            set_rule(&machine->now, low, AT_OFFSET, (int64_t)take_uleb(&reader) * about->data_step);
        else if (op >> 6 == 3) /* restore */
            restore(machine, low);
        else if (op == 0x01) /* set_loc: not in .eh_frame of these machines */
            return false;
        else if (op >= 0x02 && op <= 0x04) /* advance_loc1, 2, 4 */
            step = take(&reader, (size_t)1 << (op - 2));
        else
            run_one(machine, &reader, about, op);
        at += step * about->code_step;
        if (at > place)
            break;
    }
    return !reader.bad;
}

/* ---- expressions: what procedure linkage tables and signal frames need ----------------------------- */

struct stack {
    uint64_t at[VALUES];
    size_t count;
    bool bad;
};

static void push(struct stack *stack, uint64_t value)
{
    if (stack->count < VALUES)
        stack->at[stack->count++] = value;
    else
        stack->bad = true;
}

static uint64_t pop(struct stack *stack)
{
    if (stack->count > 0)
        return stack->at[--stack->count];
    stack->bad = true;
    return 0;
}

/* DW_OP_... of two operands. */
static bool combine(struct stack *stack, uint64_t op)
{
    uint64_t right = pop(stack), left = pop(stack);
    switch (op) {
    case 0x1a: /* and */
        push(stack, left & right);
        return true;
    case 0x1c: /* minus */
        push(stack, left - right);
        return true;
    case 0x21: /* or */
        push(stack, left | right);
        return true;
    case 0x22: /* plus */
        push(stack, left + right);
        return true;
    case 0x24: /* shl */
        push(stack, right < 64 ? left << right : 0);
        return true;
    case 0x2a: /* ge */
        push(stack, (int64_t)left >= (int64_t)right);
        return true;
    default:
        return false;
    }
}

static void evaluate_one(struct stack *stack, struct reader *reader, uint64_t op,
                         const struct kin__os_image *image, const struct kin__os_registers *registers)
{
    uintptr_t word;
    if (op >= 0x30 && op <= 0x4f) { /* lit0 to lit31 */
        push(stack, op - 0x30);
    } else if (op >= 0x70 && op <= 0x8f) { /* breg0 to breg31 */
        int64_t offset = take_sleb(reader);
        if (op - 0x70 >= KIN__REGISTERS)
            stack->bad = true;
        else
            push(stack, registers->at[op - 0x70] + (uint64_t)offset);
    } else if (op >= 0x08 && op <= 0x0f) { /* const1u, const1s, const2u, ... */
        size_t size = (size_t)1 << (op - 8) / 2;
        push(stack, op & 1 ? (uint64_t)take_signed(reader, size) : take(reader, size));
    } else if (op == 0x10) { /* constu, consts */
        push(stack, take_uleb(reader));
    } else if (op == 0x11) {
        push(stack, (uint64_t)take_sleb(reader));
    } else if (op == 0x23) { /* plus_uconst */
        push(stack, pop(stack) + take_uleb(reader));
    } else if (op == 0x06) { /* deref */
        if (kin__os_stack_word(image, (uintptr_t)pop(stack), &word))
            push(stack, word);
        else
            stack->bad = true;
    } else if (!combine(stack, op)) {
        stack->bad = true;
    }
}

static bool evaluate(const unsigned char *expression, const struct kin__os_code *code,
                     const struct kin__os_image *image, const struct kin__os_registers *registers,
                     const uintptr_t *begin, uintptr_t *out)
{
    struct reader reader = read_module(code, (uintptr_t)expression);
    uint64_t size = take_uleb(&reader);
    if (reader.bad || size > (uint64_t)(reader.end - reader.at))
        return false;
    reader.end = reader.at + size;
    struct stack stack = {.count = 0};
    if (begin)
        push(&stack, *begin);
    while (reader.at < reader.end && !reader.bad && !stack.bad)
        evaluate_one(&stack, &reader, take(&reader, 1), image, registers);
    *out = (uintptr_t)pop(&stack);
    return !reader.bad && !stack.bad;
}

/* ---- the step ---------------------------------------------------------------------------------- */

struct place {
    const struct kin__os_image *image;
    const struct kin__os_code *code;
    const struct kin__os_registers *registers;
    uintptr_t cfa;
};

static bool find_register(const struct place *place, uint64_t number, const struct rule *rule, uintptr_t *out)
{
    switch (rule->kind) {
    case SAME:
        *out = place->registers->at[number];
        return true;
    case AT_OFFSET:
        return kin__os_stack_word(place->image, place->cfa + (uintptr_t)rule->of.offset, out);
    case IS_OFFSET:
        *out = place->cfa + (uintptr_t)rule->of.offset;
        return true;
    case IN_REGISTER:
        if (rule->of.number >= KIN__REGISTERS)
            return false;
        *out = place->registers->at[rule->of.number];
        return true;
    case AT_EXPRESSION:
    case IS_EXPRESSION:
        if (!evaluate(rule->of.expression, place->code, place->image, place->registers, &place->cfa, out))
            return false;
        return rule->kind == IS_EXPRESSION || kin__os_stack_word(place->image, *out, out);
    default:
        return false;
    }
}

static bool find_cfa(struct place *place, const struct row *row)
{
    if (row->cfa.kind == IS_EXPRESSION)
        return evaluate(row->cfa.of.expression, place->code, place->image, place->registers, NULL,
                        &place->cfa);
    if (row->cfa.kind != IN_REGISTER || row->cfa.of.number >= KIN__REGISTERS)
        return false;
    place->cfa = place->registers->at[row->cfa.of.number] + (uintptr_t)row->cfa_offset;
    return true;
}

enum kin__step kin__os_cfi_step(const struct kin__os_image *image, const struct kin__os_code *code,
                                uintptr_t where, struct kin__os_registers *registers)
{
    struct description about;
    struct machine machine;
    if (!code->frames || !describe(code, where, &about))
        return KIN__STEP_NONE;
    memset(&machine, 0, sizeof machine);
    if (!run(&machine, about.common, &about, UINTPTR_MAX))
        return KIN__STEP_NONE;
    machine.first = machine.now;
    if (!run(&machine, about.own, &about, where))
        return KIN__STEP_NONE;
    const struct row *row = &machine.now;
    struct place place = {.image = image, .code = code, .registers = registers};
    if (!find_cfa(&place, row))
        return KIN__STEP_NONE;
    uint64_t back = about.return_register;
    if (back >= KIN__REGISTERS || row->registers[back].kind == UNDEFINED)
        return KIN__STEP_LAST;
    struct kin__os_registers caller = *registers;
    for (uint64_t i = 0; i < KIN__REGISTERS; i++)
        if (!find_register(&place, i, &row->registers[i], &caller.at[i]) && i == back)
            return KIN__STEP_LAST;
    if (row->registers[KIN__STACK_POINTER].kind == SAME)
        caller.at[KIN__STACK_POINTER] = place.cfa;
    caller.pc = kin__os_unsigned_address(caller.at[back]);
    *registers = caller;
    return about.is_signal ? KIN__STEP_INTERRUPTED : KIN__STEP_CALLER;
}
