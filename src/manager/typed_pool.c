/* manager/typed_pool.c - Pools of managers, by functions of their own: see kin/proxy.h. */
#include "kin/proxy.h"

#include "base/failure.h"
#include "manager/client.h"
#include "process/function.h"

#include <stdlib.h>

kin_any kin_any_function(kin_call_fn function)
{
    struct kin__function reference;
    if (kin__function_refer((void (*)(void))function, &reference, "the function for a Pool"))
        return kin_any_null();
    return (kin_any){.type = KIN_ANY_FUNCTION, .integer = reference.module, .natural = reference.offset};
}

/* The function's arguments behind it. NULL: out of memory. */
static kin_any *with_function(kin_any function, const kin_any *args, size_t count)
{
    kin_any *all = malloc((count + 1) * sizeof *all);
    if (!all || (count && !args)) {
        kin__fail(all ? KIN_EINVAL : KIN_ENOMEM, "cannot call a function in a Pool: %s",
                  all ? "arguments at NULL" : "out of memory");
        free(all);
        return NULL;
    }
    all[0] = function;
    if (count)
        memcpy(all + 1, args, count * sizeof *all);
    return all;
}

/* A call whose answer is an object, as a proxy. */
static kin_proxy *call_for_proxy(kin_proxy *pool, const char *method, const kin_any *args, size_t count)
{
    kin_any answer;
    if (kin_proxy_call(pool, method, args, count, &answer))
        return NULL;
    kin_proxy *proxy = kin_proxy_of(kin_proxy_manager(pool), &answer);
    kin_any_clear(&answer);
    return proxy;
}

int kin_proxy_apply(kin_proxy *pool, kin_any function, const kin_any *args, size_t count, kin_any *out)
{
    kin_any *all = with_function(function, args, count);
    if (!all)
        return kin_error_code();
    int error = kin_proxy_call(pool, "apply", all, count + 1, out);
    free(all);
    return error;
}

kin_proxy *kin_proxy_apply_async(kin_proxy *pool, kin_any function, const kin_any *args, size_t count)
{
    kin_any *all = with_function(function, args, count);
    kin_proxy *result = all ? call_for_proxy(pool, "apply_async", all, count + 1) : NULL;
    free(all);
    return result;
}

/* ---- lists ------------------------------------------------------------------------------------------- */

static int put_items(struct kin__buffer *list, const kin_any *items, size_t count)
{
    int error = count && !items ? kin__fail(KIN_EINVAL, "cannot map over %zu items at NULL", count) : 0;
    kin__put_head(list, KIN__LIST, count);
    for (size_t i = 0; i < count && !error; i++)
        error = kin__put_any(list, &items[i]);
    return !error && list->failed ? kin__fail(KIN_ENOMEM, "cannot send %zu items: out of memory", count)
                                  : error;
}

static int read_items(const kin_any *answer, kin_any *out, size_t count)
{
    struct kin__reader reader;
    int error = kin__client_list(answer, &reader);
    for (size_t i = 0; i < count && !error; i++) {
        const uint8_t *item = reader.at;
        if (reader.at == reader.end || !kin__skip(&reader))
            error = kin__fail(KIN_EMISMATCH, "a manager has answered %zu values, not %zu", i, count);
        else
            error = kin__item_own(item, (size_t)(reader.at - item), &out[i]);
    }
    for (size_t i = 0; error && i < count; i++)
        kin_any_clear(&out[i]);
    return error;
}

static void zero(kin_any *out, size_t count)
{
    for (size_t i = 0; out && i < count; i++)
        out[i] = kin_any_null();
}

int kin_proxy_map(kin_proxy *pool, kin_any function, const kin_any *items, size_t count, kin_any *out)
{
    struct kin__buffer list = {0};
    zero(out, count);
    int error = put_items(&list, items, count);
    if (!error) {
        kin_any args[] = {function, kin_any_packed(list.data, list.size)}, answer;
        error = kin_proxy_call(pool, "map", args, 2, &answer);
        if (!error && out)
            error = read_items(&answer, out, count);
        kin_any_clear(&answer);
    }
    kin__buffer_free(&list);
    return error;
}

static kin_proxy *over_items(kin_proxy *pool, const char *method, kin_any function, const kin_any *items,
                             size_t count)
{
    struct kin__buffer list = {0};
    kin_proxy *proxy = NULL;
    if (put_items(&list, items, count) == 0)
        proxy = call_for_proxy(pool, method, (kin_any[]){function, kin_any_packed(list.data, list.size)}, 2);
    kin__buffer_free(&list);
    return proxy;
}

kin_proxy *kin_proxy_map_async(kin_proxy *pool, kin_any function, const kin_any *items, size_t count)
{
    return over_items(pool, "map_async", function, items, count);
}

kin_proxy *kin_proxy_imap(kin_proxy *pool, kin_any function, const kin_any *items, size_t count,
                          bool unordered)
{
    return over_items(pool, unordered ? "imap_unordered" : "imap", function, items, count);
}

int kin_proxy_take_all(kin_proxy *result, kin_any *out, size_t count, double timeout)
{
    kin_any answer;
    zero(out, count);
    if (count && !out)
        return kin__fail(KIN_EINVAL, "cannot take %zu values: nowhere to put them", count);
    int error = kin_proxy_take(result, &answer, timeout);
    if (!error)
        error = read_items(&answer, out, count);
    kin_any_clear(&answer);
    return error;
}

/* ---- the rest ---------------------------------------------------------------------------------------- */

int kin_proxy_close(kin_proxy *pool)
{
    return kin_proxy_call(pool, "close", NULL, 0, NULL);
}

int kin_proxy_terminate(kin_proxy *pool)
{
    return kin_proxy_call(pool, "terminate", NULL, 0, NULL);
}
