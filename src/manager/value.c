/* manager/value.c - Value: one item. Who waits for a change is in list 0. */
#include "manager/server.h"

#include "base/failure.h"

#include <stdlib.h>

#define CHANGES 0u

static struct kin__kept *kept_of(struct kin__entity *entity)
{
    return entity->state;
}

static void end_value(struct kin_server *server, struct kin__entity *entity)
{
    kin__let_go(server, kept_of(entity));
    free(entity->state);
}

/* ([type code], [value]); the type code is looked at by nobody, as in Python. */
static int make_value(kin_call *call, struct kin__entity *entity)
{
    static const uint8_t null = 0xf6;
    struct kin__reader value = {&null, &null + 1}, code;
    int error = 0;
    if (call->rest.at < call->rest.end)
        error = kin__arg_item(call, "a value", &value);
    if (!error && call->rest.at < call->rest.end) {
        code = value;
        if (*code.at >> 5 != KIN__TEXT)
            return kin__fail(KIN_EINVAL, "argument 1 is not a type code, but there are two");
        error = kin__arg_item(call, "a value", &value);
    }
    if (error)
        return error;
    entity->state = calloc(1, sizeof(struct kin__kept));
    if (!entity->state)
        return kin__fail(KIN_ENOMEM, "cannot make a Value: out of memory in the manager");
    if ((error = kin__keep(call->server, value, kept_of(entity))))
        free(entity->state);
    return error;
}

static int replace(kin_call *call, struct kin__entity *entity, struct kin__reader value)
{
    struct kin__kept kept, old = *kept_of(entity);
    int error = kin__keep(call->server, value, &kept);
    if (error)
        return error;
    *kept_of(entity) = kept;
    kin__let_go(call->server, &old);
    kin__entity_wake(call->server, entity, CHANGES, true);
    return 0;
}

static int get(kin_call *call, struct kin__entity *entity)
{
    kin__buffer_add(call->answer, kept_of(entity)->data, kept_of(entity)->size);
    return 0;
}

static int set(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader value;
    int error = kin__arg_item(call, "a value", &value);
    return error ? error : replace(call, entity, value);
}

static int add(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader amount;
    struct kin__buffer sum = {0};
    int error = kin__arg_item(call, "a number", &amount);
    if (error)
        return error;
    error = kin__put_sum(&sum, kin__kept_reader(kept_of(entity)), amount);
    if (!error && !(error = replace(call, entity, (struct kin__reader){sum.data, sum.data + sum.size})))
        kin__buffer_add(call->answer, sum.data, sum.size);
    kin__buffer_free(&sum);
    return error;
}

static int compare_and_set(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader expected, value;
    bool same = false;
    int error = kin__arg_item(call, "a value", &expected);
    if (error || (error = kin__arg_item(call, "a value", &value)) ||
        (error = kin__same_items(call->server, kin__kept_reader(kept_of(entity)), expected, &same)))
        return error;
    if (same)
        error = replace(call, entity, value);
    kin__put_bool(call->answer, same);
    return error;
}

/* wait_change(seen, timeout) */
static int wait_change(kin_call *call, struct kin__entity *entity)
{
    struct kin__reader seen;
    double timeout;
    bool same = false;
    int error = kin__arg_item(call, "a value", &seen);
    if (error || (error = kin__arg_timeout(call, &timeout)) ||
        (error = kin__same_items(call->server, kin__kept_reader(kept_of(entity)), seen, &same)))
        return error;
    return same ? kin__call_park(call, entity, CHANGES, timeout) : get(call, entity);
}

static const struct kin__kind_method methods[] = {
    {"get", get},
    {"set", set},
    {"add", add},
    {"compare_and_set", compare_and_set},
    {"wait_change", wait_change},
};

const struct kin__kind kin__kind_value = {
    .name = "Value",
    .make = make_value,
    .end = end_value,
    .methods = methods,
    .method_count = sizeof methods / sizeof *methods,
};
