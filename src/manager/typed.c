/* manager/typed.c - what is called most, by functions of its own: see kin/proxy.h. */
#include "kin/proxy.h"

#include "base/failure.h"
#include "manager/client.h"

#include <stdlib.h>

static int call(kin_proxy *proxy, const char *method, const kin_any *args, size_t count, double timeout,
                kin_any *out)
{
    if (out)
        *out = (kin_any){0};
    int error = kin__object_check(proxy, KIN__PROXY_MAGIC, "call");
    if (error || (timeout != KIN__UNTIMED && (error = kin__timeout_check(timeout))))
        return error;
    if (!kin__object_is(proxy->manager, KIN__MANAGER_MAGIC) || proxy->manager->number != proxy->number)
        return kin__fail(KIN_EINVAL, "cannot call a proxy: its manager has been freed");
    return kin__client_call(
        proxy->manager,
        &(struct kin__request){
            .object = proxy->object, .method = method, .args = args, .count = count, .timeout = timeout},
        out);
}

static kin_any seconds(double timeout)
{
    return isinf(timeout) ? kin_any_null() : kin_any_real(timeout);
}

/* A call whose answer is of that type. */
static int call_for(kin_proxy *proxy, const char *method, const kin_any *args, size_t count,
                    kin_any_type type, kin_any *out)
{
    int error = call(proxy, method, args, count, KIN__UNTIMED, out);
    if (error || out->type == type)
        return error;
    kin_any_clear(out);
    return kin__fail(KIN_EMISMATCH, "%s.%s has answered something else than was asked for", proxy->type,
                     method);
}

/* ---- dict, list, set, Namespace, Value, Array -------------------------------------------------------- */

int kin_proxy_get(kin_proxy *proxy, kin_any key, kin_any *out)
{
    return call(proxy, "get", &key, 1, KIN__UNTIMED, out);
}

int kin_proxy_set(kin_proxy *proxy, kin_any key, kin_any value)
{
    kin_any args[] = {key, value};
    return call(proxy, "set", args, 2, KIN__UNTIMED, NULL);
}

int kin_proxy_value(kin_proxy *proxy, kin_any *out)
{
    return call(proxy, "get", NULL, 0, KIN__UNTIMED, out);
}

int kin_proxy_set_value(kin_proxy *proxy, kin_any value)
{
    return call(proxy, "set", &value, 1, KIN__UNTIMED, NULL);
}

int kin_proxy_delete(kin_proxy *proxy, kin_any key)
{
    return call(proxy, "delete", &key, 1, KIN__UNTIMED, NULL);
}

int kin_proxy_contains(kin_proxy *proxy, kin_any key, bool *out)
{
    kin_any answer;
    int error = call_for(proxy, "contains", &key, 1, KIN_ANY_BOOL, &answer);
    if (!error && out)
        *out = answer.truth;
    return error;
}

int kin_proxy_length(kin_proxy *proxy, size_t *out)
{
    kin_any answer;
    int error = call_for(proxy, "length", NULL, 0, KIN_ANY_INT, &answer);
    if (!error && out)
        *out = (size_t)answer.integer;
    return error;
}

int kin_proxy_append(kin_proxy *proxy, kin_any value)
{
    return call(proxy, "append", &value, 1, KIN__UNTIMED, NULL);
}

int kin_proxy_clear(kin_proxy *proxy)
{
    return call(proxy, "clear", NULL, 0, KIN__UNTIMED, NULL);
}

int kin_proxy_add(kin_proxy *proxy, kin_any key, kin_any amount, kin_any *out)
{
    kin_any args[] = {key, amount};
    return call(proxy, "add", args, 2, KIN__UNTIMED, out);
}

int kin_proxy_compare_and_set(kin_proxy *proxy, kin_any key, kin_any expected, kin_any value, bool *done)
{
    kin_any args[] = {key, expected, value}, answer;
    int error = call_for(proxy, "compare_and_set", args, 3, KIN_ANY_BOOL, &answer);
    if (!error && done)
        *done = answer.truth;
    return error;
}

/* A list that is written for an argument, which was checked as it was written. */
static int put_list(struct kin__buffer *list, const kin_any *keys, const kin_any *values, size_t count)
{
    int error = 0;
    kin__put_head(list, KIN__LIST, values ? 2 * count : count);
    for (size_t i = 0; i < count && !error; i++) {
        error = kin__put_any(list, &keys[i]);
        if (!error && values)
            error = kin__put_any(list, &values[i]);
    }
    return !error && list->failed ? kin__fail(KIN_ENOMEM, "cannot send %zu values: out of memory", count)
                                  : error;
}

int kin_proxy_set_many(kin_proxy *proxy, const kin_any *keys, const kin_any *values, size_t count)
{
    struct kin__buffer list = {0};
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot set %zu values: no %s", count, keys ? "values" : "keys");
    int error = put_list(&list, keys, values, count);
    if (!error) {
        kin_any packed = kin_any_packed(list.data, list.size);
        error = call(proxy, "set_many", &packed, 1, KIN__UNTIMED, NULL);
    }
    kin__buffer_free(&list);
    return error;
}

int kin__client_list(const kin_any *answer, struct kin__reader *items)
{
    struct kin__head head;
    *items = (struct kin__reader){answer->data, (const uint8_t *)answer->data + answer->size};
    if (!answer->data || !kin__read_head(items, &head) || head.major != KIN__LIST)
        return kin__fail(KIN_EMISMATCH, "a manager has answered something else than a list");
    return 0;
}

static int next_any(struct kin__reader *reader, kin_any *out)
{
    const uint8_t *item = reader->at;
    if (!kin__skip(reader))
        return kin__fail(KIN_EMISMATCH, "a manager has answered fewer values than were asked for");
    return kin__item_own(item, (size_t)(reader->at - item), out);
}

static int read_many(const kin_any *answer, size_t count, kin_any *values, bool *found)
{
    struct kin__reader reader;
    int error = kin__client_list(answer, &reader);
    for (size_t i = 0; i < count && !error; i++) {
        bool there;
        if (!kin__read_bool(&reader, &there))
            return kin__fail(KIN_EMISMATCH, "a manager has answered fewer values than were asked for");
        if (found)
            found[i] = there;
        error = next_any(&reader, &values[i]);
    }
    return error;
}

int kin_proxy_get_many(kin_proxy *proxy, const kin_any *keys, size_t count, kin_any *values, bool *found)
{
    struct kin__buffer list = {0};
    if (count && (!keys || !values))
        return kin__fail(KIN_EINVAL, "cannot get %zu values: no %s", count,
                         keys ? "room for values" : "keys");
    for (size_t i = 0; i < count; i++)
        values[i] = (kin_any){0};
    int error = put_list(&list, keys, NULL, count);
    if (!error) {
        kin_any packed = kin_any_packed(list.data, list.size), answer;
        error = call(proxy, "get_many", &packed, 1, KIN__UNTIMED, &answer);
        if (!error)
            error = read_many(&answer, count, values, found);
        kin_any_clear(&answer);
    }
    for (size_t i = 0; error && i < count; i++)
        kin_any_clear(&values[i]);
    kin__buffer_free(&list);
    return error;
}

/* ---- pages ----------------------------------------------------------------------------------------------- */

void kin_page_clear(kin_page *page)
{
    if (!page)
        return;
    free(page->memory);
    *page = (kin_page){.next = page->next};
}

/* One block: the values, then the answer that they point into. Text in it has no room for a NUL, so each gets a copy behind. */
static int read_page(const kin_any *answer, bool keyed, bool valued, kin_page *page)
{
    struct kin__reader reader = {answer->data, (const uint8_t *)answer->data + answer->size}, count_all;
    struct kin__head head;
    uint64_t next = 0;
    size_t items = 0;
    if (!answer->data || !kin__read_head(&reader, &head) || head.major != KIN__LIST ||
        !kin__read_uint(&reader, &next))
        return kin__fail(KIN_EMISMATCH, "a manager has answered something else than a page");
    for (count_all = reader; count_all.at < count_all.end && kin__skip(&count_all); items++)
        ;
    size_t each = keyed && valued ? 2 : 1, count = items / each;
    size_t room = items * sizeof(kin_any) + answer->size + items;
    kin_any *all = malloc(room ? room : 1);
    if (!all)
        return kin__fail(KIN_ENOMEM, "cannot take a page of %zu entries: out of memory", count);
    char *text = (char *)(all + items);
    for (size_t i = 0; i < count * each; i++) {
        const uint8_t *item = reader.at;
        kin_any *any = keyed && valued ? &all[i / 2 + (i % 2 ? count : 0)] : &all[i];
        kin__skip(&reader);
        kin__item_view(item, (size_t)(reader.at - item), any);
        if (any->data) {
            any->data = memcpy(text, any->data, any->size);
            text += any->size;
            *text++ = '\0';
        }
    }
    *page = (kin_page){.next = next,
                       .count = count,
                       .keys = keyed ? all : NULL,
                       .values = valued ? (keyed ? all + count : all) : NULL,
                       .memory = all};
    return 0;
}

int kin_proxy_page(kin_proxy *proxy, size_t most, kin_page *page)
{
    if (!page || !most)
        return kin__fail(KIN_EINVAL, "cannot take a page: %s", page ? "of 0 entries" : "nowhere to put it");
    bool first = !page->memory && !page->next;
    if (!first && !page->next) { /* that was the last one */
        kin_page_clear(page);
        return 0;
    }
    kin_any args[] = {kin_any_uint(page->next), kin_any_uint(most)}, answer;
    int error = call(proxy, "page", args, 2, KIN__UNTIMED, &answer);
    if (error)
        return error;
    kin_page_clear(page);
    bool is_set = strcmp(proxy->type, "set") == 0;
    bool is_list = strcmp(proxy->type, "list") == 0 || strcmp(proxy->type, "Array") == 0;
    error = read_page(&answer, !is_list, !is_set, page);
    kin_any_clear(&answer);
    return error;
}

int kin_proxy_wait_change(kin_proxy *proxy, kin_any key, const kin_any *seen, kin_any *out, double timeout)
{
    struct kin__buffer list = {0};
    int error = put_list(&list, seen, NULL, seen ? 1 : 0);
    if (!error) {
        kin_any args[] = {key, kin_any_packed(list.data, list.size), seconds(timeout)};
        error = call(proxy, "wait_change", args, 3, timeout, out);
    }
    kin__buffer_free(&list);
    return error;
}

/* ---- Queue, JoinableQueue ----------------------------------------------------------------------------------- */

int kin_proxy_put(kin_proxy *proxy, kin_any value, double timeout)
{
    kin_any args[] = {value, seconds(timeout)};
    return call(proxy, "put", args, 2, timeout, NULL);
}

int kin_proxy_take(kin_proxy *proxy, kin_any *out, double timeout)
{
    kin_any wait = seconds(timeout);
    return call(proxy, "get", &wait, 1, timeout, out);
}

int kin_proxy_next(kin_proxy *iterator, kin_any *out, double timeout)
{
    kin_any wait = seconds(timeout);
    return call(iterator, "next", &wait, 1, timeout, out);
}

int kin_proxy_task_done(kin_proxy *proxy)
{
    return call(proxy, "task_done", NULL, 0, KIN__UNTIMED, NULL);
}

int kin_proxy_join(kin_proxy *proxy, double timeout)
{
    kin_any wait = seconds(timeout);
    return call(proxy, "join", &wait, 1, timeout, NULL);
}

/* ---- Lock, RLock, Semaphore, Condition, Event, Barrier -------------------------------------------------- */

int kin_proxy_acquire(kin_proxy *proxy, double timeout)
{
    kin_any wait = seconds(timeout), answer;
    int error = call(proxy, "acquire", &wait, 1, timeout, &answer);
    bool orphaned = !error && answer.type == KIN_ANY_BOOL && !answer.truth;
    kin_any_clear(&answer);
    if (orphaned)
        return kin__fail(KIN_EOWNERDIED, "%s of manager \"%s\" is acquired, and its last owner died with it",
                         proxy->type, proxy->manager->sync.name);
    return error;
}

int kin_proxy_release(kin_proxy *proxy)
{
    return call(proxy, "release", NULL, 0, KIN__UNTIMED, NULL);
}

int kin_proxy_wait(kin_proxy *proxy, double timeout)
{
    kin_any wait = seconds(timeout);
    return call(proxy, "wait", &wait, 1, timeout, NULL);
}

int kin_proxy_notify(kin_proxy *proxy, size_t count)
{
    kin_any number = kin_any_uint(count);
    return call(proxy, "notify", &number, 1, KIN__UNTIMED, NULL);
}

int kin_proxy_notify_all(kin_proxy *proxy)
{
    return call(proxy, "notify_all", NULL, 0, KIN__UNTIMED, NULL);
}

int kin_proxy_event_set(kin_proxy *proxy)
{
    return call(proxy, "set", NULL, 0, KIN__UNTIMED, NULL);
}

int kin_proxy_event_clear(kin_proxy *proxy)
{
    return call(proxy, "clear", NULL, 0, KIN__UNTIMED, NULL);
}
