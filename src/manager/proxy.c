/* manager/proxy.c - proxies come, call, and go: see kin/proxy.h. */
#include "kin/proxy.h"

#include "base/failure.h"
#include "base/log.h"
#include "manager/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(const kin_proxy *proxy, const char *what)
{
    int error = kin__object_check(proxy, KIN__PROXY_MAGIC, what);
    if (!error &&
        (!kin__object_is(proxy->manager, KIN__MANAGER_MAGIC) || proxy->manager->number != proxy->number))
        error = kin__fail(KIN_EINVAL, "cannot %s a proxy: its manager has been freed", what);
    return error;
}

/* ---- made ------------------------------------------------------------------------------------------------ */

static kin_proxy *take_block(struct kin__connected *client)
{
    pthread_mutex_lock(&client->lock);
    kin_proxy *proxy = client->free_proxies;
    if (proxy)
        client->free_proxies = proxy->next;
    else if (client->arena || (client->arena = kin_arena_new()))
        proxy = kin_arena_malloc(client->arena, sizeof *proxy);
    pthread_mutex_unlock(&client->lock);
    return proxy;
}

static int unrefer(kin_manager *manager, uint64_t object)
{
    kin_any id = kin_any_uint(object);
    return kin__client_call(
        manager,
        &(struct kin__request){.method = "unrefer", .args = &id, .count = 1, .timeout = KIN__UNTIMED}, NULL);
}

/* [server, object, type], behind the tag. False: it is none. */
static bool read_item(struct kin__reader reader, const uint8_t **server, uint64_t *object, char type[32])
{
    struct kin__head head;
    const uint8_t *name;
    size_t size;
    if (!kin__read_head(&reader, &head) || head.major != KIN__TAG || head.argument != KIN__OBJECT_TAG ||
        !kin__read_head(&reader, &head) || !kin__read_span(&reader, KIN__BYTES, server, &size) ||
        size != KIN__SERVER_ID || !kin__read_uint(&reader, object) ||
        !kin__read_span(&reader, KIN__TEXT, &name, &size) || size > 31)
        return false;
    memset(type, 0, 32);
    memcpy(type, name, size);
    return true;
}

kin_proxy *kin__proxy_from(struct kin__connected *client, const uint8_t *item, size_t size)
{
    const uint8_t *server;
    uint64_t object;
    char type[32];
    if (!read_item((struct kin__reader){item, item + size}, &server, &object, type)) {
        kin__fail(KIN_EMISMATCH, "manager \"%s\" sent what is no object", client->manager->sync.name);
        return NULL;
    }
    kin_proxy *proxy = take_block(client);
    if (!proxy) {
        kin_error error;
        kin_error_get(&error);
        unrefer(client->manager, object);
        kin__fail_with(&error);
        return NULL;
    }
    memset(proxy, 0, sizeof *proxy);
    proxy->manager = client->manager;
    proxy->number = client->number;
    proxy->object = object;
    proxy->maker = kin__self_id();
    memcpy(proxy->type, type, sizeof type);
    if (size <= sizeof proxy->item) {
        memcpy(proxy->item, item, size);
        proxy->item_size = size;
    }
    snprintf(proxy->sync.name, sizeof proxy->sync.name, "%.23s", type);
    return kin__sync_publish(proxy, KIN__PROXY_MAGIC);
}

static kin_proxy *from_call(kin_manager *manager, const struct kin__request *request)
{
    kin_any item;
    struct kin__connected *client;
    if (kin__client(manager, &client) || kin__client_call(manager, request, &item))
        return NULL;
    kin_proxy *proxy = kin__proxy_from(client, item.data, item.size);
    kin_any_clear(&item);
    return proxy;
}

kin_proxy *kin_proxy_new(kin_manager *manager, const char *type, const kin_any *args, size_t count)
{
    if (!type || (count && !args)) {
        kin__fail(KIN_EINVAL, "cannot make an object in a manager: no %s",
                  type ? "arguments at NULL" : "type is named");
        return NULL;
    }
    kin_any *all = malloc((count + 1) * sizeof *all);
    if (!all) {
        kin__fail(KIN_ENOMEM, "cannot make an object in a manager: out of memory");
        return NULL;
    }
    all[0] = kin_any_text(type);
    if (count)
        memcpy(all + 1, args, count * sizeof *all);
    kin_proxy *proxy = from_call(
        manager,
        &(struct kin__request){.method = "create", .args = all, .count = count + 1, .timeout = KIN__UNTIMED});
    free(all);
    return proxy;
}

void kin_proxy_free(kin_proxy *proxy)
{
    struct kin__connected *client;
    if (!proxy)
        return;
    if (check(proxy, "free") || proxy->maker != kin__self_id()) {
        kin_log(KIN_LOG_ERROR, "kin_proxy_free: %s: ignored",
                kin__object_is(proxy, KIN__PROXY_MAGIC) && proxy->maker != kin__self_id()
                    ? "another process has made it"
                    : kin_error_message());
        return;
    }
    kin_error error;
    kin_error_get(&error);
    unrefer(proxy->manager, proxy->object); /* a server that is gone has no references */
    atomic_store(&proxy->sync.head.magic, 0);
    if (kin__client(proxy->manager, &client) == 0) {
        pthread_mutex_lock(&client->lock);
        proxy->next = client->free_proxies;
        client->free_proxies = proxy;
        pthread_mutex_unlock(&client->lock);
    }
    kin__fail_with(&error);
}

/* ---- used ------------------------------------------------------------------------------------------------ */

int kin_proxy_call(kin_proxy *proxy, const char *method, const kin_any *args, size_t count, kin_any *out)
{
    if (out)
        *out = (kin_any){0};
    int error = check(proxy, "call");
    if (error)
        return error;
    if (!method)
        return kin__fail(KIN_EINVAL, "cannot call a proxy: no method is named");
    return kin__client_call(
        proxy->manager,
        &(struct kin__request){
            .object = proxy->object, .method = method, .args = args, .count = count, .timeout = KIN__UNTIMED},
        out);
}

const char *kin_proxy_type(const kin_proxy *proxy)
{
    return check(proxy, "ask for the type of") ? "" : proxy->type;
}

kin_manager *kin_proxy_manager(const kin_proxy *proxy)
{
    return check(proxy, "ask for the manager of") ? NULL : proxy->manager;
}

/* ---- tokens ---------------------------------------------------------------------------------------------- */

int kin_proxy_token(kin_proxy *proxy, double hold, kin_token *out)
{
    int error = check(proxy, "take a token of");
    if (error)
        return error;
    if (!out || !(hold >= 0) || isinf(hold))
        return kin__fail(KIN_EINVAL, "cannot take a token: %s",
                         out ? "it is held for a number of seconds" : "nowhere to put it");
    uint64_t number = 0;
    if (hold > 0) {
        kin_any answer, args[] = {kin_any_uint(proxy->object), kin_any_real(hold)};
        error = kin__client_call(
            proxy->manager,
            &(struct kin__request){.method = "hold", .args = args, .count = 2, .timeout = KIN__UNTIMED},
            &answer);
        if (error)
            return error;
        number = answer.natural;
    }
    memset(out, 0, sizeof *out);
    memcpy(out->type, proxy->type, sizeof out->type);
    memcpy(out->server, proxy->manager->server, sizeof out->server);
    out->object = proxy->object;
    out->hold = number;
    snprintf(out->address, sizeof out->address, "%s", proxy->manager->address);
    return 0;
}

static kin_proxy *open_object(kin_manager *manager, const uint8_t *server, uint64_t object, uint64_t hold)
{
    if (kin__object_check(manager, KIN__MANAGER_MAGIC, "make a proxy"))
        return NULL;
    if (memcmp(server, manager->server, KIN__SERVER_ID) != 0) {
        kin__fail(KIN_EMISMATCH, "cannot make a proxy: the object is not of manager \"%s\"",
                  manager->sync.name);
        return NULL;
    }
    kin_any args[] = {kin_any_uint(object), kin_any_uint(hold)};
    return from_call(manager,
                     &(struct kin__request){
                         .method = "refer", .args = args, .count = hold ? 2 : 1, .timeout = KIN__UNTIMED});
}

kin_proxy *kin_proxy_open(kin_manager *manager, const kin_token *token)
{
    if (token)
        return open_object(manager, token->server, token->object, token->hold);
    kin__fail(KIN_EINVAL, "cannot make a proxy: no token");
    return NULL;
}

kin_any kin_any_object(const kin_proxy *proxy)
{
    if (check(proxy, "pass"))
        return kin_any_null();
    return (kin_any){.type = KIN_ANY_OBJECT, .data = proxy->item, .size = proxy->item_size};
}

kin_proxy *kin_proxy_of(kin_manager *manager, const kin_any *value)
{
    const uint8_t *server;
    uint64_t object;
    char type[32];
    if (!value || value->type != KIN_ANY_OBJECT ||
        !read_item((struct kin__reader){value->data, (const uint8_t *)value->data + value->size}, &server,
                   &object, type)) {
        kin__fail(KIN_EINVAL, "cannot make a proxy: the value is no object");
        return NULL;
    }
    return open_object(manager, server, object, 0);
}
