/* manager/near.c - see near.h. */
#include "manager/near.h"

#include "base/failure.h"
#include "family/sealed.h"
#include "kin/process.h"
#include "manager/stream.h"
#include "message/gate.h"
#include "os/os.h"

#include <limits.h>
#include <math.h>
#include <poll.h>
#include <sys/epoll.h>

#define LOOKS_MOST 1500u /* some 25 us: what a wake costs */
#define TURN_CALLS 64u   /* calls from shared memory between two looks at sockets */
#define HOT_MOST 8u      /* calls of one slot, then others are looked for */
#define BITS_EVERY 16u   /* looks at the slot that was served last for each at the bits */
#define NAP 0.1

/* Closing. Initialised it would lie in .data, which shares a page with what each start by fork writes to (design, processes). */
static struct kin__connection burnt;

/* ---- the server ---------------------------------------------------------------------------------- */

int kin__near_join(struct kin_server *server, struct kin__connection *connection)
{
    if (!server->near || connection->slot >= 0)
        return -1;
    for (unsigned i = 0; i < KIN__NEAR_SLOTS; i++)
        if (!server->slots[i]) {
            server->slots[i] = connection;
            server->slot_count++;
            connection->slot = (int)i;
            atomic_store(&server->near->slot[i].turn, KIN__TURN_NOBODY);
            return (int)i;
        }
    return -1;
}

void kin__near_leave(struct kin_server *server, struct kin__connection *connection)
{
    if (connection->slot < 0)
        return;
    /* Who may be there still, as it was us who closed, could write into it: nobody else gets it. */
    burnt.closing = true;
    server->slots[connection->slot] = connection->gone ? NULL : &burnt;
    server->slot_count--;
    connection->slot = -1;
}

void kin__near_answer(struct kin_server *server, struct kin__connection *connection)
{
    struct kin__slot *slot = &server->near->slot[connection->slot];
    struct kin__buffer *out = &connection->out;
    connection->near_call = false;
    if (out->size <= KIN__NEAR_ROOM) {
        memcpy(slot->data, out->data, out->size);
        slot->size = (uint32_t)out->size;
        out->size = 0;
    } else {
        slot->size = 0;
        kin__connection_flush(server, connection);
    }
    /* Pairs with the acquire in kin__near_call. */
    if (atomic_exchange_explicit(&slot->turn, KIN__TURN_ANSWERED, memory_order_acq_rel) == KIN__TURN_ASLEEP)
        kin__os_futex_wake(&slot->turn, INT_MAX);
}

static void serve_slot(struct kin_server *server, unsigned index)
{
    struct kin__connection *connection = server->slots[index];
    struct kin__slot *slot = &server->near->slot[index];
    /* Pairs with the release of turn in kin__near_call. */
    uint32_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
    if (!connection || connection->closing || connection->near_call ||
        (turn != KIN__TURN_CALL && turn != KIN__TURN_ASLEEP))
        return;
    uint8_t copy[KIN__NEAR_ROOM];
    struct kin__frame frame;
    uint32_t size = __atomic_load_n(&slot->size, __ATOMIC_RELAXED);
    if (size >= KIN__FRAME_HEAD && size <= KIN__NEAR_ROOM)
        memcpy(copy, slot->data, size);
    if (size < KIN__FRAME_HEAD || size > KIN__NEAR_ROOM || !kin__frame_read(copy, &frame) ||
        frame.kind != KIN__FRAME_CALL || frame.size != size - KIN__FRAME_HEAD || connection->out.size) {
        kin__connection_close(server, connection);
        return;
    }
    connection->near_call = true;
    kin__call_run(server, connection, &frame, copy + KIN__FRAME_HEAD);
    if (connection->out.size && connection->near_call && !connection->closing)
        kin__near_answer(server, connection);
}

/* Whether the slot served last has a call again. Its bit may stay set: then it is looked at once more, in vain. So while one
 * client calls, one line goes to and fro, and the bits stay with who sets them. */
static bool is_hot(const struct kin_server *server)
{
    uint32_t turn = atomic_load_explicit(&server->near->slot[server->hot].turn, memory_order_relaxed);
    return (turn == KIN__TURN_CALL || turn == KIN__TURN_ASLEEP) && server->slots[server->hot] &&
           !server->slots[server->hot]->near_call;
}

static unsigned serve_pending(struct kin_server *server)
{
    unsigned served = 0;
    for (unsigned word = 0; word < KIN__NEAR_SLOTS / 64; word++) {
        _Atomic uint64_t *pending = &server->near->pending[word];
        if (!atomic_load_explicit(pending, memory_order_relaxed))
            continue;
        for (uint64_t bits = atomic_exchange(pending, 0); bits; bits &= bits - 1, served++)
            serve_slot(server, server->hot = word * 64 + (unsigned)__builtin_ctzll(bits));
    }
    return served;
}

bool kin__near_serve(struct kin_server *server)
{
    if (!server->near || !server->slot_count)
        return true;
    uint32_t most = kin__habit_looks(&server->habit, LOOKS_MOST), looks = 0;
    for (unsigned calls = 0, hot = 0; calls < TURN_CALLS && looks < most;) {
        unsigned served = 0;
        if (is_hot(server) && hot < HOT_MOST) {
            serve_slot(server, server->hot);
            served = 1;
            hot++;
        } else if (hot == HOT_MOST || looks % BITS_EVERY == BITS_EVERY - 1 || looks + 1 >= most) {
            served = serve_pending(server);
            hot = 0;
        }
        calls += served;
        if (served) {
            kin__habit_learn(&server->habit, LOOKS_MOST, looks + 1);
            looks = 0;
        } else {
            kin__os_pause();
            looks++;
        }
        if (calls >= TURN_CALLS || !kin__link_alone(&server->closing) || atomic_load(&server->stop))
            return false;
    }
    kin__habit_learn(&server->habit, LOOKS_MOST, 0);
    /* A client sets its bit, then looks at asleep; we set asleep, then look at the bits: one sees the other. */
    atomic_store(&server->near->asleep, 1);
    if (serve_pending(server)) {
        atomic_store_explicit(&server->near->asleep, 0, memory_order_relaxed);
        return false;
    }
    return true;
}

void kin__near_awake(struct kin_server *server)
{
    if (server->near)
        atomic_store_explicit(&server->near->asleep, 0, memory_order_relaxed);
}

double kin__near_nap(const struct kin_server *server)
{
    return server->near && server->slot_count ? NAP : (double)INFINITY;
}

/* ---- the client ---------------------------------------------------------------------------------- */

void kin__near_ask(struct kin__lane *lane, double limit)
{
    struct kin__near *near = lane->client->manager->near;
    struct kin__reader answer;
    uint64_t index;
    if (!near || kin__is_sealed())
        return;
    size_t at = kin__request_begin(&lane->out, &(struct kin__request){.method = "near"}, 0);
    kin__frame_end(&lane->out, at);
    if (kin__lane_call(lane, limit, &answer) == 0 && kin__read_uint(&answer, &index) &&
        index < KIN__NEAR_SLOTS) {
        lane->near = near;
        lane->slot = (unsigned)index;
    }
    lane->in.size = lane->out.size = 0;
}

static void ring(struct kin__lane *lane)
{
    uint8_t head[KIN__FRAME_HEAD];
    int before = kin__os_cancel_hold();
    kin__frame_write(head, &(struct kin__frame){.kind = KIN__FRAME_RING});
    kin__socket_send_all(&lane->stream, head, sizeof head, kin__os_deadline(1.0));
    kin__os_cancel_restore(&before);
}

static bool is_answered(const struct kin__slot *slot)
{
    /* Pairs with the exchange in kin__near_answer. */
    return atomic_load_explicit(&slot->turn, memory_order_acquire) == KIN__TURN_ANSWERED;
}

/* Until it is answered. The server's death wakes us, as it wakes all of the family that sleep (sync/wait.h). */
static int sleep_for(struct kin__lane *lane, struct kin__slot *slot, double deadline)
{
    struct kin__thread *me = kin__sync_thread();
    uint32_t turn = KIN__TURN_CALL;
    int error = 0;
    if (!me)
        return KIN_ENOMEM;
    if (!atomic_compare_exchange_strong(&slot->turn, &turn, KIN__TURN_ASLEEP))
        return 0;
    int before = kin__os_cancel_hold();
    kin__waits_begin(me, lane->client->manager, &slot->turn);
    while (!error && !is_answered(slot)) {
        kin__waits_sleep(&slot->turn, KIN__TURN_ASLEEP, deadline);
        /* Something to read is no end: a large answer comes there before the turn does. */
        struct pollfd one = {.fd = lane->stream.fd, .events = POLLRDHUP};
        if (is_answered(slot))
            break;
        if (kin__os_left(deadline) <= 0)
            error = KIN_ETIMEDOUT;
        else if (poll(&one, 1, 0) > 0 && !is_answered(slot))
            error = KIN_ECLOSED;
    }
    kin__waits_end(me);
    kin__os_cancel_restore(&before);
    return error;
}

static int await_answer(struct kin__lane *lane, struct kin__slot *slot, double deadline)
{
    uint32_t most = kin__habit_looks(&lane->habit, LOOKS_MOST), looks = 0;
    while (looks < most && !is_answered(slot)) {
        kin__os_pause();
        looks++;
    }
    if (is_answered(slot)) {
        kin__habit_learn(&lane->habit, LOOKS_MOST, looks + 1);
        return 0;
    }
    kin__habit_learn(&lane->habit, LOOKS_MOST, 0);
    return sleep_for(lane, slot, deadline);
}

int kin__near_call(struct kin__lane *lane, double deadline)
{
    struct kin__slot *slot = &lane->near->slot[lane->slot];
    size_t size = lane->out.size;
    if (size > KIN__NEAR_ROOM)
        return KIN__SEND_BY_SOCKET;
    memcpy(slot->data, lane->out.data, size);
    slot->size = (uint32_t)size;
    /* Pairs with the acquire in serve_slot. */
    atomic_store_explicit(&slot->turn, KIN__TURN_CALL, memory_order_release);
    atomic_fetch_or(&lane->near->pending[lane->slot / 64], UINT64_C(1) << lane->slot % 64);
    kin__os_fence_after_rmw();
    if (atomic_load_explicit(&lane->near->asleep, memory_order_relaxed) &&
        atomic_exchange(&lane->near->asleep, 0))
        ring(lane);
    int error = await_answer(lane, slot, deadline);
    if (error)
        return error;
    if (!slot->size)
        return KIN__COMES_BY_SOCKET;
    uint32_t whole = slot->size <= KIN__NEAR_ROOM ? slot->size : KIN__NEAR_ROOM;
    kin__buffer_add(&lane->in, slot->data, whole);
    return lane->in.failed ? KIN_ENOMEM : 0;
}
