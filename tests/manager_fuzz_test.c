/*
 * manager_fuzz_test.c - what a hostile client may send: handshakes, frames, slots of shared memory, and calls of every method of every type with
 * arguments of all kinds, right, wrong and malformed. Who has the key may change all objects; but the server goes on, under
 * AddressSanitizer too, and has nothing left when all are gone.
 *
 * The short form takes 2 s; the long one ten minutes of CPU time (scripts/check --only fuzz). KIN_FUZZ_SEED begins elsewhere; each round
 * has a seed of its own, which a failure tells.
 */
#include "manager_common.h"

#include "manager/hello.h"
#include "manager/near.h"
#include "os/os.h"

#include <stdlib.h>
#include <time.h>

static const char key[] = "a key that nobody knows";

/* ---- random numbers, and what is made of them ------------------------------------------------------------ */

static uint64_t state;

static uint32_t below(uint32_t end)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return end ? (uint32_t)(state >> 24) % end : 0;
}

static uint64_t any_number(void)
{
    static const uint64_t special[] = {0,          1,         2,          23,         24,
                                       255,        256,       65535,      65536,      UINT32_MAX,
                                       1ull << 32, INT64_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 1,
                                       100000};
    if (below(3))
        return below(10);
    return below(4) ? special[below(sizeof special / sizeof *special)]
                    : (uint64_t)below(1 << 24) << below(40);
}

static const struct kin__kind *const kinds[] = {&kin__kind_root,
                                                &kin__kind_dict,
                                                &kin__kind_namespace,
                                                &kin__kind_set,
                                                &kin__kind_list,
                                                &kin__kind_array,
                                                &kin__kind_value,
                                                &kin__kind_queue,
                                                &kin__kind_joinable_queue,
                                                &kin__kind_lock,
                                                &kin__kind_rlock,
                                                &kin__kind_semaphore,
                                                &kin__kind_bounded_semaphore,
                                                &kin__kind_condition,
                                                &kin__kind_event,
                                                &kin__kind_barrier,
                                                &kin__kind_pool,
                                                &kin__kind_async_result,
                                                &kin__kind_iterator};
#define KINDS (sizeof kinds / sizeof *kinds)
#define MAKEABLE 16u /* without Pools: they start processes. One is there, which has a registered function */

static const uint8_t *server_id;

static void put_object(struct kin__buffer *out)
{
    kin__put_head(out, KIN__TAG, KIN__OBJECT_TAG);
    kin__put_head(out, KIN__LIST, below(20) ? 3 : below(5));
    kin__put_bytes(out, server_id, below(20) ? KIN__SERVER_ID : below(KIN__SERVER_ID));
    kin__put_head(out, KIN__UINT, (uint64_t)(1 + below(4)) << 32 | below(12));
    kin__put_text(out, kinds[below(KINDS)]->name);
}

static void put_item(struct kin__buffer *out, unsigned depth)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "i",
                                        "d",
                                        "key",
                                        "square",
                                        "gr\xc3\xbcn",
                                        "\xff\xfe",
                                        "a text that is longer than others are"};
    uint8_t bytes[64];
    uint32_t count = below(4);
    switch (below(depth ? 14 : 9)) {
    case 0:
        return kin__put_head(out, KIN__UINT, any_number());
    case 1:
        return kin__put_head(out, KIN__NEGINT, any_number());
    case 2:
        return kin__put_text(out, texts[below(sizeof texts / sizeof *texts)]);
    case 3:
        memset(bytes, (int)below(256), sizeof bytes);
        return kin__put_bytes(out, bytes, below(sizeof bytes));
    case 4:
        return kin__put_real(out, below(2)   ? (double)any_number() / 3
                                  : below(2) ? (double)INFINITY
                                             : (double)NAN);
    case 5:
        return kin__put_bool(out, below(2));
    case 6:
        return kin__put_null(out);
    case 7:
        return put_object(out);
    case 8:
        return kin__put_real(out, below(20) * 1e-4); /* a timeout, perhaps */
    case 9:
    case 10:
    case 11:
        if (below(5)) {
            kin__put_head(out, KIN__LIST, below(30) ? count : any_number());
        } else {
            kin__buffer_add(out, "\x9f", 1);
        }
        while (count--)
            put_item(out, depth - 1);
        if (!below(4))
            kin__buffer_add(out, "\xff", 1);
        return;
    case 12:
        kin__put_head(out, KIN__MAP, below(30) ? count : any_number());
        for (count *= 2; count--;)
            put_item(out, depth - 1);
        return;
    default:
        kin__put_head(out, KIN__TAG, below(2) ? any_number() : 64 + below(24)); /* typed arrays, and more */
        return put_item(out, depth - 1);
    }
}

/* A call: of a method of its object's type mostly, though numbers are guessed. */
static void put_call(struct kin__buffer *out)
{
    const struct kin__kind *kind = kinds[below(4) ? below(KINDS) : 0];
    size_t at = kin__frame_begin(
        out, &(struct kin__frame){.kind = KIN__FRAME_CALL, .number = any_number(), .thread = below(3)});
    if (kind == &kin__kind_root && below(2)) {
        kin__put_head(out, KIN__UINT, 0);
        kin__put_text(out, "create");
        kin__put_text(out, below(30) ? kinds[1 + below(MAKEABLE - 1)]->name : "nothing");
    } else {
        kin__put_head(out, KIN__UINT,
                      kind == &kin__kind_root ? 0 : (uint64_t)(1 + below(4)) << 32 | (1 + below(12)));
        const char *name = kind->methods[below((uint32_t)kind->method_count)].name;
        /* (the server is not to end before the test does) */
        kin__put_text(out, strcmp(name, "shutdown") ? name : "ping");
        if (kind == &kin__kind_root && below(2)) /* refer, unrefer, hold */
            kin__put_head(out, KIN__UINT, (uint64_t)(1 + below(4)) << 32 | below(12));
        if (kind == &kin__kind_pool)
            kin__put_text(out, "square");
    }
    for (uint32_t count = below(4); count--;)
        put_item(out, below(6) ? 2 : 66);
    kin__frame_end(out, at);
}

static void spoil(struct kin__buffer *bytes, size_t from)
{
    for (uint32_t changes = 1 + below(4); changes-- && bytes->size > from;) {
        size_t at = from + below((uint32_t)(bytes->size - from));
        bytes->data[at] = below(4) ? (uint8_t)below(256) : (uint8_t)(bytes->data[at] ^ 0x80 >> below(8));
    }
}

/* ---- a client ---------------------------------------------------------------------------------------------- */

static int connect_raw(const kin_server *server)
{
    struct kin__os_address address;
    int fd;
    OK(kin__address_read(kin_server_address(server), false, &address));
    OK(kin__os_connect(&address, "", kin__os_deadline(30), &fd));
    return fd;
}

static bool send_all(int fd, const void *data, size_t size)
{
    return kin__socket_send_all(&(struct kin__socket){.fd = fd}, data, size, kin__os_deadline(30)) == 0;
}

static bool receive_all(int fd, void *data, size_t size)
{
    return kin__socket_receive_all(&(struct kin__socket){.fd = fd}, data, size, kin__os_deadline(30)) == 0;
}

static int shake_hands(const kin_server *server)
{
    struct kin__hello theirs, mine, last;
    uint8_t id[16] = {9, (uint8_t)below(3)}; /* sessions of one connection, or of several */
    int fd = connect_raw(server);
    ck_assert(receive_all(fd, &theirs, sizeof theirs));
    ck_assert(kin__hello_client(&mine, &theirs, id, key, sizeof key - 1));
    ck_assert(send_all(fd, &mine, sizeof mine));
    ck_assert(receive_all(fd, &last, sizeof last));
    ck_assert_int_eq(last.verdict, KIN__VERDICT_WELCOME);
    return fd;
}

static void drain(int fd)
{
    static char answers[65536];
    while (recv(fd, answers, sizeof answers, MSG_DONTWAIT) > 0)
        ;
}

/* ---- rounds -------------------------------------------------------------------------------------------------- */

/* Calls that are well-formed, of which some are then changed, or cut. */
static void send_calls(kin_server *server, int fd)
{
    struct kin__buffer bytes = {0};
    for (uint32_t turns = 1 + below(30); turns--;) {
        bytes.size = 0;
        for (uint32_t count = 1 + below(6); count--;) {
            size_t from = bytes.size;
            put_call(&bytes);
            if (!below(8))
                spoil(&bytes, from + (below(4) ? KIN__FRAME_HEAD : 0));
        }
        if (!send_all(fd, bytes.data, below(20) ? bytes.size : below((uint32_t)bytes.size)))
            break;
        if (below(2))
            drain(fd);
    }
    (void)server;
    kin__buffer_free(&bytes);
}

/* The same by a slot, with lengths that are right, or not. */
static void write_slots(kin_server *server, int fd)
{
    struct kin__buffer bytes = {0};
    uint8_t head[KIN__FRAME_HEAD], answer[64];
    struct kin__frame frame;
    uint64_t index = 0;
    size_t at = kin__frame_begin(&bytes, &(struct kin__frame){.kind = KIN__FRAME_CALL});
    kin__put_head(&bytes, KIN__UINT, 0);
    kin__put_text(&bytes, "near");
    kin__frame_end(&bytes, at);
    bool there = send_all(fd, bytes.data, bytes.size) && receive_all(fd, head, sizeof head) &&
                 kin__frame_read(head, &frame) && frame.size <= sizeof answer &&
                 receive_all(fd, answer, frame.size) &&
                 kin__read_uint(&(struct kin__reader){answer, answer + frame.size}, &index);
    for (uint32_t turns = below(20); there && turns--;) {
        struct kin__slot *slot = &server->near->slot[index];
        bytes.size = 0;
        put_call(&bytes);
        if (!below(4))
            spoil(&bytes, 0);
        size_t size = bytes.size < KIN__NEAR_ROOM ? bytes.size : KIN__NEAR_ROOM;
        memcpy(slot->data, bytes.data, size);
        slot->size = below(10) ? (uint32_t)size : (uint32_t)any_number();
        atomic_store(&slot->turn, below(20) ? KIN__TURN_CALL : below(6));
        atomic_fetch_or(&server->near->pending[index / 64], UINT64_C(1) << index % 64);
        kin__frame_write(head, &(struct kin__frame){.kind = KIN__FRAME_RING});
        there = send_all(fd, head, sizeof head);
        for (int i = 0; i < 20 && atomic_load(&slot->turn) != KIN__TURN_ANSWERED; i++)
            poll(NULL, 0, i / 10);
    }
    kin__buffer_free(&bytes);
}

/* A handshake that is wrong somewhere, or too short. What is no key counts, so these servers let their clients in for ever: see the test. */
static void send_handshake(const kin_server *server)
{
    struct kin__hello theirs, mine;
    uint8_t id[16] = {9};
    int fd = connect_raw(server);
    if (receive_all(fd, &theirs, sizeof theirs) && !theirs.verdict &&
        kin__hello_client(&mine, &theirs, id, key, sizeof key - 1)) {
        struct kin__buffer bytes = {0};
        kin__buffer_add(&bytes, &mine, sizeof mine);
        put_call(&bytes);
        spoil(&bytes, 0);
        send_all(fd, bytes.data, below((uint32_t)bytes.size + 1));
        kin__buffer_free(&bytes);
    }
    close(fd);
}

static int square(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    return error ? error : kin_call_return(call, kin_any_int(number * (number & 0xff)));
}

static int set_up(kin_server *server, void *arg)
{
    (void)arg;
    return kin_server_register_function(server, "square", square);
}

static void *serve(void *server)
{
    return kin_server_serve(server) ? NULL : server;
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec * 1e-9;
}

static kin_manager *connect_to(const kin_server *server)
{
    kin_manager *manager = kin_manager_connect(
        KIN_MANAGER_OPTIONS(.key = key, .key_size = sizeof key - 1, .address = kin_server_address(server)));
    ck_assert_msg(manager != NULL, "%s", kin_error_message());
    return manager;
}

static void expect_in_order(kin_server *server)
{
    kin_manager *manager = connect_to(server);
    kin_proxy *dict = make(manager, "dict");
    OK(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(1)));
    kin_proxy_free(dict);
    kin_manager_counts counts;
    do {
        OK(kin_manager_counts_get(manager, &counts));
        if (counts.clients > 1 || counts.waiting)
            poll(NULL, 0, 1);
    } while ((counts.clients > 1 || counts.waiting) && test_time_left() > 1);
    ck_assert_uint_eq(counts.waiting, 0);
    ck_assert_uint_eq(counts.references, 0);
    ck_assert_uint_eq(counts.held, 0);
    kin_manager_free(manager);
}

/* A server for some rounds, whose objects are few, so that numbers are guessed. It ends with whatever is left: objects that hold each other. */
static void run_server(uint64_t seed, unsigned rounds)
{
    pthread_t thread;
    void *result;
    kin_server *server =
        kin_server_new(KIN_MANAGER_OPTIONS(.key = key, .key_size = sizeof key - 1, .message_limit = 1 << 20,
                                           .memory_limit = 1 << 22, .setup = set_up));
    ck_assert_msg(server != NULL, "%s", kin_error_message());
    struct kin__near *near = kin_aligned_alloc(128, sizeof *near);
    ck_assert_ptr_nonnull(near);
    memset(near, 0, sizeof *near);
    OK(kin__server_set_near(server, near));
    server_id = server->id;
    state = seed;
    ck_assert_int_eq(pthread_create(&thread, NULL, serve, server), 0);
    bool pooled = !below(20);
    kin_manager *maker = pooled ? connect_to(server) : NULL;
    kin_proxy *pool = pooled ? kin_proxy_new(maker, "Pool", (kin_any[]){KIN_ANY(1)}, 1) : NULL;
    int other = -1;
    for (unsigned round = 0; round < rounds; round++) {
        int fd = shake_hands(server);
        below(4) ? send_calls(server, fd) : write_slots(server, fd);
        if (other >= 0 && below(3)) {
            close(other);
            other = fd;
        } else {
            close(fd);
        }
        if (!below(4))
            send_handshake(server);
        memset(server->failures, 0, sizeof server->failures); /* else nobody would be let in any more */
    }
    if (other >= 0)
        close(other);
    kin_proxy_free(pool);
    kin_manager_free(maker);
    expect_in_order(server);
    kin_server_stop(server);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    kin_server_free(server);
    kin_free(near);
}

static void whatever_a_client_sends_hurts_nobody(void)
{
    const char *given = getenv("KIN_FUZZ_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 1;
    double began = cpu_seconds(), most = test_long() ? 600 : 2;
    size_t servers = 0;
    test_init();
    kin_log_set_level(KIN_LOG_ERROR);
    for (; cpu_seconds() - began < most; servers++, seed++) {
        if (given)
            fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
        run_server(seed * 0x9e3779b97f4a7c15u, 20);
    }
    printf("# %zu servers, %.0f s of CPU time\n", servers, cpu_seconds() - began);
}

static const struct test tests[] = {
    {"whatever_a_client_sends_hurts_nobody", whatever_a_client_sends_hurts_nobody, 3000, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager_fuzz", tests)
