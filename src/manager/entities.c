/* manager/entities.c - objects, who refers to them, and what they keep: see server.h. */
#include "manager/server.h"

#include "base/failure.h"
#include "container/cell.h"
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_ROOM 64u
#define OVERHEAD \
    64u /* of what is kept, for the memory limit: a guess that is rather too high for small items */

/* ---- objects ------------------------------------------------------------------------------------- */

static int more_entities(struct kin_server *server)
{
    uint32_t room = server->entities_room ? server->entities_room * 2 : FIRST_ROOM;
    struct kin__entity **entities =
        room > server->entities_room ? realloc(server->entities, room * sizeof *entities) : NULL;
    if (!entities)
        return kin__fail(KIN_ENOMEM, "cannot make an object: out of memory in the manager");
    server->entities = entities;
    uint32_t *generations = realloc(server->generations, room * sizeof *generations);
    if (!generations)
        return kin__fail(KIN_ENOMEM, "cannot make an object: out of memory in the manager");
    server->generations = generations;
    server->entities_room = room;
    return 0;
}

/* Free places are a list through the array: the next one's place, twice, plus 1. */
static bool take_place(struct kin_server *server, uint32_t *place)
{
    if (server->entities_free) {
        *place = server->entities_free;
        server->entities_free = (uint32_t)((uintptr_t)server->entities[*place] >> 1);
        return true;
    }
    if (server->entities_top == server->entities_room && more_entities(server))
        return false;
    *place = server->entities_top++;
    server->generations[*place] = *place ? 1 : 0; /* the root is object 0 */
    return true;
}

struct kin__entity *kin__entity_new(struct kin_server *server, const struct kin__kind *kind)
{
    struct kin__entity *entity = calloc(1, sizeof *entity);
    uint32_t place;
    if (!entity || !take_place(server, &place)) {
        if (!entity)
            kin__fail(KIN_ENOMEM, "cannot make an object: out of memory in the manager");
        free(entity);
        return NULL;
    }
    entity->kind = kind;
    entity->id = (uint64_t)server->generations[place] << 32 | place;
    entity->references = 1;
    for (unsigned i = 0; i < KIN__WAITING_LISTS; i++)
        kin__link_init(&entity->waiting[i]);
    kin__link_init(&entity->dirty);
    server->entities[place] = entity;
    server->entity_count++;
    return entity;
}

struct kin__entity *kin__entity_find(struct kin_server *server, uint64_t id)
{
    uint32_t place = (uint32_t)id;
    if (place >= server->entities_top || server->generations[place] != id >> 32 ||
        ((uintptr_t)server->entities[place] & 1))
        return NULL;
    return server->entities[place];
}

void kin__entity_hold(struct kin_server *server, struct kin__entity *entity)
{
    (void)server;
    entity->references++;
}

/* What it keeps may be the last to hold others, and so on: a list, not recursion, as chains are as long as clients please. */
void kin__entity_drop(struct kin_server *server, struct kin__entity *entity)
{
    if (--entity->references)
        return;
    kin__link_append(&server->dropped, &entity->dirty);
    if (server->dropping)
        return;
    server->dropping = true;
    while (!kin__link_alone(&server->dropped)) {
        struct kin__entity *last = KIN__OF(server->dropped.next, struct kin__entity, dirty);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it is out of the list before it is freed */
        uint32_t place = (uint32_t)last->id;
        kin__link_remove(&last->dirty);
        if (last->kind->end)
            last->kind->end(server, last);
        server->generations[place]++;
        server->entities[place] = (struct kin__entity *)(((uintptr_t)server->entities_free << 1) | 1);
        server->entities_free = place;
        server->entity_count--;
        free(last);
    }
    server->dropping = false;
}

/* All of them, whoever refers to them. */
void kin__entities_end(struct kin_server *server)
{
    for (uint32_t i = 0; i < server->entities_top; i++)
        if (!((uintptr_t)server->entities[i] & 1))
            server->entities[i]->references += SIZE_MAX / 4; /* so that none goes while others are ended */
    for (uint32_t i = 0; i < server->entities_top; i++) {
        struct kin__entity *entity = server->entities[i];
        if ((uintptr_t)entity & 1)
            continue;
        if (entity->kind->end)
            entity->kind->end(server, entity);
    }
    for (uint32_t i = 0; i < server->entities_top; i++)
        if (!((uintptr_t)server->entities[i] & 1))
            free(server->entities[i]);
    free(server->entities);
    free(server->generations);
    server->entities = NULL;
    server->generations = NULL;
    server->entities_top = server->entities_room = 0;
    server->entity_count = 0;
}

/* ---- holds --------------------------------------------------------------------------------------- */

struct hold {
    struct kin__timer timer;
    struct kin__link link;
    struct kin__entity *entity;
    uint64_t number;
};

static void end_hold(struct kin_server *server, struct kin__timer *timer)
{
    struct hold *hold = KIN__OF(timer, struct hold, timer);
    kin__link_remove(&hold->link);
    kin__entity_drop(server, hold->entity);
    free(hold);
}

int kin__entity_hold_for(struct kin_server *server, struct kin__entity *entity, double seconds,
                         uint64_t *number)
{
    struct hold *hold = malloc(sizeof *hold);
    if (!hold)
        return kin__fail(KIN_ENOMEM, "cannot hold an object: out of memory in the manager");
    *hold =
        (struct hold){.timer.fire = end_hold, .entity = entity, .number = number ? ++server->last_hold : 0};
    int error = kin__timer_set(&server->timers, &hold->timer, kin__os_now() + seconds);
    if (error) {
        free(hold);
        return error;
    }
    kin__link_append(&server->holds, &hold->link);
    kin__entity_hold(server, entity);
    if (number)
        *number = hold->number;
    return 0;
}

void kin__hold_end(struct kin_server *server, struct kin__entity *entity, uint64_t number)
{
    for (struct kin__link *link = server->holds.next; link != &server->holds; link = link->next) {
        struct hold *hold = KIN__OF(link, struct hold, link);
        if (hold->number == number && hold->entity == entity) {
            kin__timer_stop(&server->timers, &hold->timer);
            end_hold(server, &hold->timer);
            return;
        }
    }
}

/* ---- sessions ------------------------------------------------------------------------------------ */

struct kin__session *kin__session_get(struct kin_server *server, const uint8_t id[16], int pid)
{
    for (struct kin__link *link = server->sessions.next; link != &server->sessions; link = link->next) {
        struct kin__session *session = KIN__OF(link, struct kin__session, link);
        if (memcmp(session->id, id, 16) == 0) {
            session->connections++;
            return session;
        }
    }
    struct kin__session *session = calloc(1, sizeof *session);
    if (!session) {
        kin__fail(KIN_ENOMEM, "cannot accept a client: out of memory");
        return NULL;
    }
    memcpy(session->id, id, 16);
    session->pid = pid;
    session->connections = 1;
    kin__link_append(&server->sessions, &session->link);
    return session;
}

static const uint8_t *key_of(const uint64_t *id)
{
    return (const uint8_t *)id;
}

int kin__session_refer(struct kin_server *server, struct kin__session *session, struct kin__entity *entity)
{
    struct kin__entry *entry = kin__table_find(&session->references, key_of(&entity->id), 8);
    if (!entry) {
        struct kin__kept key = {.data = malloc(8), .size = 8};
        if (key.data)
            memcpy(key.data, &entity->id, 8);
        entry = key.data ? kin__table_add(&session->references, key) : NULL;
        if (!entry) {
            free(key.data);
            return kin__fail(KIN_ENOMEM, "cannot refer to an object: out of memory in the manager");
        }
    }
    entry->value.size++;
    server->reference_count++;
    kin__entity_hold(server, entity);
    return 0;
}

int kin__session_unrefer(struct kin_server *server, struct kin__session *session, struct kin__entity *entity)
{
    struct kin__entry *entry = kin__table_find(&session->references, key_of(&entity->id), 8);
    if (!entry)
        return kin__fail(KIN_ENOTFOUND, "the client has no reference to the object %#llx",
                         (unsigned long long)entity->id);
    server->reference_count--;
    if (--entry->value.size == 0) {
        free(entry->key.data);
        kin__table_remove(&session->references, entry);
    }
    kin__entity_drop(server, entity);
    return 0;
}

int kin__session_take(struct kin_server *server, struct kin__session *session, struct kin__entity *entity)
{
    if (session->held_count == session->held_room) {
        size_t room = session->held_room ? session->held_room * 2 : 8;
        struct kin__entity **held = realloc(session->held, room * sizeof(struct kin__entity *));
        if (!held)
            return kin__fail(KIN_ENOMEM, "cannot note who holds it: out of memory in the manager");
        session->held = held;
        session->held_room = room;
    }
    session->held[session->held_count++] = entity;
    server->held_count++;
    kin__entity_hold(server, entity);
    return 0;
}

void kin__session_give(struct kin_server *server, struct kin__session *session, struct kin__entity *entity)
{
    for (size_t i = session->held_count; i--;)
        if (session->held[i] == entity) {
            session->held[i] = session->held[--session->held_count];
            server->held_count--;
            kin__entity_drop(server, entity);
            return;
        }
}

void kin__session_leave(struct kin_server *server, struct kin__session *session)
{
    if (--session->connections)
        return;
    while (session->held_count) {
        struct kin__entity *entity = session->held[--session->held_count];
        server->held_count--;
        entity->kind->abandon(server, entity, session);
        kin__entity_drop(server, entity);
    }
    free(session->held);
    struct kin__entry *entry;
    while ((entry = kin__table_last(&session->references))) {
        uint64_t id;
        memcpy(&id, entry->key.data, 8);
        struct kin__entity *entity = kin__entity_find(server, id);
        uint32_t count = entry->value.size;
        free(entry->key.data);
        kin__table_remove(&session->references, entry);
        server->reference_count -= count;
        for (; entity && count; count--)
            kin__entity_drop(server, entity);
    }
    kin__table_free(&session->references);
    kin__link_remove(&session->link);
    free(session);
    kin__calls_settle(server);
}

/* ---- what is kept -------------------------------------------------------------------------------- */

void kin__put_entity(struct kin_server *server, struct kin__buffer *buffer, const struct kin__entity *entity)
{
    kin__put_head(buffer, KIN__TAG, KIN__OBJECT_TAG);
    kin__put_head(buffer, KIN__LIST, 3);
    kin__put_bytes(buffer, server->id, KIN__SERVER_ID);
    kin__put_head(buffer, KIN__UINT, entity->id);
    kin__put_text(buffer, entity->kind->name);
}

/* Behind the tag; the item has been checked. False: it is of another server. */
static bool read_object(struct kin_server *server, struct kin__reader *reader, uint64_t *id)
{
    struct kin__head head;
    const uint8_t *data;
    size_t size;
    return kin__read_head(reader, &head) && kin__read_span(reader, KIN__BYTES, &data, &size) &&
           size == KIN__SERVER_ID && memcmp(data, server->id, size) == 0 && kin__read_uint(reader, id);
}

struct kin__entity *kin__read_entity(struct kin_server *server, struct kin__reader *reader)
{
    struct kin__reader ahead = *reader;
    struct kin__head head;
    uint64_t id;
    if (!kin__read_head(&ahead, &head) || head.major != KIN__TAG || head.argument != KIN__OBJECT_TAG ||
        !read_object(server, &ahead, &id))
        return NULL;
    kin__skip(reader);
    return kin__entity_find(server, id);
}

enum what { HOLD, DROP, HOLD_FOR_A_WHILE };

/* For each object of this server in the item. KIN_ENOTFOUND: one is gone; *done were there before it. */
static int each_object(struct kin_server *server, struct kin__reader item, enum what what, size_t *done,
                       size_t most)
{
    struct kin__head head;
    while (item.at < item.end && *done < most && kin__read_head(&item, &head)) {
        if ((head.major == KIN__BYTES || head.major == KIN__TEXT) && head.info != 31)
            item.at += head.argument;
        if (head.major != KIN__TAG || head.argument != KIN__OBJECT_TAG)
            continue;
        struct kin__reader object = item;
        uint64_t id;
        if (!kin__skip(&item))
            return KIN_EINVAL;
        if (!read_object(server, &object, &id))
            continue;
        struct kin__entity *entity = kin__entity_find(server, id);
        if (!entity)
            return kin__fail(KIN_ENOTFOUND, "the object %#llx in the value is gone", (unsigned long long)id);
        if (what == HOLD)
            kin__entity_hold(server, entity);
        else if (what == DROP)
            kin__entity_drop(server, entity);
        else
            kin__entity_hold_for(server, entity, KIN__HANDED_OUT,
                                 NULL); /* without memory: it may be gone, then */
        ++*done;
    }
    return 0;
}

int kin__charge(struct kin_server *server, size_t bytes)
{
    if (server->memory_limit &&
        (server->bytes > server->memory_limit || bytes > server->memory_limit - server->bytes))
        return kin__fail(KIN_EMEMLIMIT, "the manager keeps %zu bytes, and may keep %zu", server->bytes,
                         server->memory_limit);
    server->bytes += bytes;
    return 0;
}

int kin__keep(struct kin_server *server, struct kin__reader item, struct kin__kept *out)
{
    struct kin__reader check = item;
    size_t size = (size_t)(item.end - item.at), held = 0, dropped = 0;
    *out = (struct kin__kept){0};
    bool objects = false;
    if (kin__check(&check, &objects))
        return kin__fail(KIN_EINVAL, "malformed value");
    int error = kin__charge(server, size + OVERHEAD);
    if (error)
        return error;
    uint8_t *data = malloc(size);
    if (!data) {
        kin__discharge(server, size + OVERHEAD);
        return kin__fail(KIN_ENOMEM, "cannot keep a value of %zu bytes: out of memory in the manager", size);
    }
    if (objects && each_object(server, item, HOLD, &held, SIZE_MAX)) {
        each_object(server, item, DROP, &dropped, held);
        kin__discharge(server, size + OVERHEAD);
        free(data);
        return KIN_ENOTFOUND;
    }
    memcpy(data, item.at, size);
    *out = (struct kin__kept){.data = data, .size = (uint32_t)size, .objects = objects};
    return 0;
}

void kin__let_go(struct kin_server *server, struct kin__kept *kept)
{
    if (!kept->data)
        return;
    size_t dropped = 0;
    kin__discharge(server, kept->size + OVERHEAD);
    if (kept->objects)
        each_object(server, kin__kept_reader(kept), DROP, &dropped, SIZE_MAX);
    free(kept->data);
    *kept = (struct kin__kept){0};
}

void kin__hand_out(struct kin_server *server, struct kin__kept *kept)
{
    size_t done = 0;
    if (kept->objects)
        each_object(server, kin__kept_reader(kept), HOLD_FOR_A_WHILE, &done, SIZE_MAX);
    kin__let_go(server, kept);
}

int kin__key(struct kin_server *server, struct kin__reader item, const uint8_t **data, size_t *size)
{
    struct kin__buffer *scratch = &server->scratch;
    uint8_t first = item.at < item.end ? *item.at >> 5 : 0;
    if (first == KIN__TEXT && (*item.at & 31) < 24) { /* short text has one form only */
        *data = item.at;
        *size = (size_t)(item.end - item.at);
        return 0;
    }
    scratch->size = 0;
    scratch->failed = false;
    kin__put_canonical(scratch, &item);
    if (scratch->failed)
        return kin__fail(KIN_ENOMEM, "cannot look for a key: out of memory in the manager");
    *data = scratch->data;
    *size = scratch->size;
    return 0;
}

int kin__same_items(struct kin_server *server, struct kin__reader one, struct kin__reader other, bool *out)
{
    struct kin__buffer first = {0};
    const uint8_t *data = (const uint8_t *)"";
    size_t size = 0;
    kin__put_canonical(&first, &one);
    int error = kin__key(server, other, &data, &size);
    if (!error && first.failed)
        error = kin__fail(KIN_ENOMEM, "cannot compare values: out of memory in the manager");
    if (!error)
        *out = first.size == size && memcmp(first.data, data, size) == 0;
    kin__buffer_free(&first);
    return error;
}

struct kin__reader kin__kept_reader(const struct kin__kept *kept)
{
    return (struct kin__reader){kept->data, kept->data + kept->size};
}

void kin__put_kept(struct kin__buffer *out, const struct kin__kept *kept)
{
    kin__buffer_add(out, kept->data, kept->size);
}

/* An integer, if both are and it fits; else a real. */
int kin__put_sum(struct kin__buffer *out, struct kin__reader one, struct kin__reader other)
{
    kin_any a, b, sum;
    kin__item_view(one.at, (size_t)(one.end - one.at), &a);
    kin__item_view(other.at, (size_t)(other.end - other.at), &b);
    int error = kin__any_add(&a, &b, &sum, "add");
    if (!error)
        error = kin__put_any(out, &sum);
    if (!error && out->failed)
        error = kin__fail(KIN_ENOMEM, "cannot add: out of memory in the manager");
    return error;
}
