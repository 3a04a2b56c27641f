/* manager_own_test.c - types of programs' own, servers in this process, and who is let in. */
#include "manager_common.h"

#include "manager/hello.h"
#include "manager/stream.h"
#include "os/os.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

static const char key[] = "a key that nobody knows";
#define KEY .key = key, .key_size = sizeof key - 1

/* ---- a type ------------------------------------------------------------------------------------------- */

struct tally {
    _Atomic int *alive; /* in shared memory */
    int64_t sum;
};

static _Atomic int *alive_here; /* the server's: where objects are counted */

static int construct_tally(kin_call *call, void **object)
{
    int64_t first = 0;
    int error = kin_call_count(call) ? kin_call_int(call, 0, &first) : 0;
    if (error)
        return error;
    if (first < 0)
        return kin_error_set(KIN_EINVAL, "a tally begins at 0 or more, not at %d", (int)first);
    struct tally *tally = malloc(sizeof *tally);
    if (!tally)
        return KIN_ENOMEM;
    *tally = (struct tally){alive_here, first};
    atomic_fetch_add(alive_here, 1);
    *object = tally;
    return 0;
}

static void destruct_tally(void *object)
{
    struct tally *tally = object;
    atomic_fetch_sub(tally->alive, 1);
    free(tally);
}

static int tally_add(kin_call *call, void *object)
{
    struct tally *tally = object;
    int64_t amount;
    int error = kin_call_int(call, 0, &amount);
    if (error)
        return error;
    tally->sum += amount;
    return kin_call_return(call, kin_any_int(tally->sum));
}

static int tally_fail(kin_call *call, void *object)
{
    const char *text;
    (void)object;
    int error = kin_call_text(call, 0, &text);
    return error ? error : kin_error_set(-2001, "no tally today: %s", text);
}

static int tally_return_three(kin_call *call, void *object)
{
    (void)call;
    (void)object;
    return 3;
}

static int tally_half(kin_call *call, void *object)
{
    struct tally *tally = object, *half = malloc(sizeof *half);
    if (!half)
        return KIN_ENOMEM;
    *half = (struct tally){tally->alive, tally->sum / 2};
    atomic_fetch_add(half->alive, 1);
    tally->sum -= half->sum;
    return kin_call_return_object(call, "Tally", half);
}

static int tally_sleep(kin_call *call, void *object)
{
    struct tally *tally = object;
    double seconds;
    int error = kin_call_real(call, 0, &seconds);
    if (error)
        return error;
    poll(NULL, 0, (int)(seconds * 1e3));
    return kin_call_return(call, kin_any_int(tally->sum));
}

static const kin_method tally_methods[] = {
    {.name = "add", .function = tally_add},
    {.name = "fail", .function = tally_fail},
    {.name = "three", .function = tally_return_three},
    {.name = "half", .function = tally_half},
    {.name = "slow_half", .function = tally_half, .blocking = true},
    {.name = "slow_fail", .function = tally_fail, .blocking = true},
    {.name = "sleep", .function = tally_sleep, .blocking = true},
};

static const kin_manager_type tally_type = {
    .size = sizeof(kin_manager_type),
    .name = "Tally",
    .construct = construct_tally,
    .destruct = destruct_tally,
    .methods = tally_methods,
    .method_count = sizeof tally_methods / sizeof *tally_methods,
};

static int set_up(kin_server *server, void *alive)
{
    alive_here = alive;
    return kin_server_register(server, &tally_type);
}

static kin_manager *start_with_tally(_Atomic int **alive)
{
    test_init();
    *alive = kin_calloc(1, sizeof **alive);
    kin_manager *manager = kin_manager_start(KIN_MANAGER_OPTIONS(.setup = set_up, .setup_arg = *alive));
    ck_assert_msg(manager != NULL, "%s", kin_error_message());
    return manager;
}

/* test_mymanager, test_mymanager_context, test_mymanager_context_prestarted */
static void own_types_are_constructed_called_and_destructed(void)
{
    _Atomic int *alive;
    kin_manager *manager = start_with_tally(&alive);
    kin_any value;
    kin_error error;
    kin_proxy *tally = kin_proxy_new(manager, "Tally", (kin_any[]){KIN_ANY(40)}, 1);
    ck_assert_msg(tally != NULL, "%s", kin_error_message());
    ck_assert_int_eq(atomic_load(alive), 1);
    OK(kin_proxy_call(tally, "add", (kin_any[]){KIN_ANY(2)}, 1, &value));
    ck_assert_int_eq(value.integer, 42);
    for (int i = 0; i < 2; i++) {
        FAILS(-2001, "Tally.",
              kin_proxy_call(tally, i ? "slow_fail" : "fail", (kin_any[]){KIN_ANY("rain")}, 1, NULL));
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "no tally today: rain"));
        kin_error_get(&error);
        ck_assert_int_eq(error.pid, kin_process_pid(kin_manager_process(manager)));
    }
    FAILS(KIN_EFAILED, "the method returned 3", kin_proxy_call(tally, "three", NULL, 0, NULL));
    FAILS(KIN_EINVAL, "argument 1 is not an integer",
          kin_proxy_call(tally, "add", (kin_any[]){KIN_ANY("x")}, 1, NULL));
    FAILS(KIN_ENOTFOUND, "Tally has no method \"divide\"", kin_proxy_call(tally, "divide", NULL, 0, NULL));
    ck_assert_ptr_null(kin_proxy_new(manager, "Tally", (kin_any[]){KIN_ANY(-1)}, 1));
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "a tally begins at 0 or more, not at -1"));
    for (int i = 0; i < 2; i++) {
        OK(kin_proxy_call(tally, i ? "slow_half" : "half", NULL, 0, &value));
        ck_assert_int_eq(atomic_load(alive), 2);
        kin_proxy *half = kin_proxy_of(manager, &value);
        ck_assert_msg(half != NULL, "%s", kin_error_message());
        kin_any_clear(&value);
        OK(kin_proxy_call(half, "add", (kin_any[]){KIN_ANY(0)}, 1, &value));
        ck_assert_int_eq(value.integer, i ? 10 : 21);
        kin_proxy_free(half);
        ck_assert_int_eq(atomic_load(alive), 1);
    }
    kin_proxy_free(tally);
    ck_assert_int_eq(atomic_load(alive), 0);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    kin_free((void *)alive);
}

static void *sleep_in_thread(void *arg)
{
    return kin_proxy_call(arg, "sleep", (kin_any[]){kin_any_real(0.3)}, 1, NULL) ? NULL : arg;
}

static void slow_methods_stall_nobody_else(void)
{
    _Atomic int *alive;
    kin_manager *manager = start_with_tally(&alive);
    kin_proxy *slow = make(manager, "Tally"), *quick = make(manager, "Tally");
    pthread_t thread;
    void *result;
    kin_any value;
    kin_manager_counts counts;
    ck_assert_int_eq(pthread_create(&thread, NULL, sleep_in_thread, slow), 0);
    await_waiting(manager, 1);
    for (int i = 1; i < 100; i++) {
        OK(kin_proxy_call(quick, "add", (kin_any[]){KIN_ANY(1)}, 1, &value));
        ck_assert_int_eq(value.integer, i);
    }
    OK(kin_manager_counts_get(manager, &counts));
    ck_assert_uint_eq(counts.waiting, 1);                                /* it is at it still */
    OK(kin_proxy_call(slow, "add", (kin_any[]){KIN_ANY(1)}, 1, &value)); /* waits its turn */
    OK(kin_manager_counts_get(manager, &counts));
    ck_assert_uint_eq(counts.waiting, 0);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    kin_proxy_free(slow);
    kin_proxy_free(quick);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    ck_assert_int_eq(atomic_load(alive), 0);
    kin_free((void *)alive);
}

static int fail_set_up(kin_server *server, void *arg)
{
    (void)server;
    (void)arg;
    return kin_error_set(-2002, "not on a Sunday");
}

static void failing_setup_fails_the_start(void)
{
    test_init();
    ck_assert_ptr_null(kin_manager_start(KIN_MANAGER_OPTIONS(.setup = fail_set_up)));
    ck_assert_int_eq(kin_error_code(), -2002);
    ck_assert_str_eq(kin_error_message(), "not on a Sunday");
}

/* ---- servers in this process ------------------------------------------------------------------------------ */

static void *serve(void *server)
{
    return kin_server_serve(server) ? NULL : server;
}

static kin_server *start_server(const char *address, pthread_t *thread)
{
    test_init();
    kin_server *server =
        kin_server_new(KIN_MANAGER_OPTIONS(KEY, .address = address, .message_limit = 1 << 20));
    ck_assert_msg(server != NULL, "%s", kin_error_message());
    ck_assert_int_eq(pthread_create(thread, NULL, serve, server), 0);
    return server;
}

static void end_server(kin_server *server, pthread_t thread)
{
    void *result;
    kin_server_stop(server);
    pthread_join(thread, &result);
    ck_assert_ptr_nonnull(result);
    kin_server_free(server);
}

static kin_manager *connect_to(const kin_server *server)
{
    kin_manager *manager =
        kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .address = kin_server_address(server)));
    ck_assert_msg(manager != NULL, "%s", kin_error_message());
    return manager;
}

struct remote {
    char address[KIN_ADDRESS_MAX];
    kin_token token;
};

/* Another program: all it has is bytes. */
static int put_from_afar(void *arg)
{
    const struct remote *remote = arg;
    kin_manager *manager = kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .address = remote->token.address));
    child_assert(manager != NULL);
    kin_proxy *queue = kin_proxy_open(manager, &remote->token);
    child_assert(queue != NULL);
    kin_any values[] = {kin_any_text("hello world"), kin_any_null(),        kin_any_bool(true),
                        kin_any_real(2.25),          kin_any_text("hallå"), kin_any_bytes("hall\xe5", 5)};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        int error = kin_proxy_put(queue, values[i], 10);
        child_assert(error == 0);
    }
    kin_proxy_free(queue);
    kin_manager_free(manager);
    return 0;
}

static void use_remotely(const char *address)
{
    pthread_t thread;
    kin_server *server = start_server(address, &thread);
    kin_manager *manager = connect_to(server);
    kin_proxy *queue = make(manager, "Queue");
    struct remote remote;
    OK(kin_proxy_token(queue, 0, &remote.token));
    kin_process *child = kin_process_start(put_from_afar, &remote, sizeof remote, NULL);
    kin_any expected[] = {KIN_ANY("hello world"), kin_any_null(),   kin_any_bool(true),
                          KIN_ANY(2.25),          KIN_ANY("hallå"), kin_any_bytes("hall\xe5", 5)};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        kin_any value;
        OK(kin_proxy_take(queue, &value, test_time_left()));
        ck_assert_int_eq(value.type, expected[i].type);
        ck_assert(kin_any_equal(value, expected[i]));
        kin_any_clear(&value);
    }
    join_child(child);
    kin_proxy_free(queue);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    end_server(server, thread);
}

/* test_remote */
static void managers_are_used_from_afar(void)
{
    use_remotely("127.0.0.1:0");
}

static void managers_are_used_from_afar_by_ipv6(void)
{
    use_remotely("[::1]:0");
}

static void managers_are_used_at_a_path(void)
{
    char path[] = "/tmp/kin-manager-test-XXXXXX", address[64];
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(address, sizeof address, "%s/socket", path);
    use_remotely(address);
    ck_assert_int_ne(access(address, F_OK), 0);
    rmdir(path);
}

/* test_rapid_restart */
static void managers_start_again_at_the_same_address(void)
{
    test_init();
    char address[KIN_ADDRESS_MAX] = "127.0.0.1:0";
    for (int i = 0; i < 5; i++) {
        kin_manager *manager = kin_manager_start(KIN_MANAGER_OPTIONS(KEY, .address = address));
        ck_assert_msg(manager != NULL, "%s", kin_error_message());
        kin_proxy *queue = make(manager, "Queue");
        OK(kin_proxy_put(queue, KIN_ANY("hello"), 0));
        snprintf(address, sizeof address, "%s", kin_manager_address(manager));
        if (i % 2)
            OK(kin_manager_shutdown(manager, test_time_left()));
        kin_proxy_free(queue);
        kin_manager_free(manager);
    }
}

static void another_server_at_the_address_is_told(void)
{
    test_init();
    kin_manager *first = kin_manager_start(KIN_MANAGER_OPTIONS(KEY, .address = "127.0.0.1:0"));
    kin_manager *far = kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .address = kin_manager_address(first)));
    kin_proxy *dict = make(far, "dict");
    char address[KIN_ADDRESS_MAX];
    snprintf(address, sizeof address, "%s", kin_manager_address(first));
    OK(kin_proxy_set(dict, KIN_ANY(1), KIN_ANY(1)));
    kin_manager_free(first);
    kin_manager *second = kin_manager_start(KIN_MANAGER_OPTIONS(KEY, .address = address));
    ck_assert_msg(second != NULL, "%s", kin_error_message());
    FAILS(KIN_EDIED, "has ended", kin_proxy_set(dict, KIN_ANY(1), KIN_ANY(1)));
    FAILS(KIN_EDIED, "another one is at", kin_proxy_set(dict, KIN_ANY(1), KIN_ANY(1)));
    kin_proxy_free(dict);
    kin_manager_free(far);
    kin_manager_free(second);
}

/* ---- who is let in -------------------------------------------------------------------------------------- */

static int raw_connect(const kin_server *server)
{
    struct kin__os_address address;
    int fd;
    OK(kin__address_read(kin_server_address(server), false, &address));
    OK(kin__os_connect(&address, "", kin__os_deadline(5), &fd));
    return fd;
}

static void wrong_keys_are_refused_and_their_senders_kept_out(void)
{
    pthread_t thread;
    kin_server *server = start_server(NULL, &thread);
    for (int i = 0; i < 8; i++) {
        ck_assert_ptr_null(
            kin_manager_connect(KIN_MANAGER_OPTIONS(.key = "another key of 16 bytes", .key_size = 23,
                                                    .address = kin_server_address(server))));
        ck_assert_int_eq(kin_error_code(), KIN_EPERM);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "another key"));
    }
    ck_assert_ptr_null(kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .address = kin_server_address(server))));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "lets nobody in from here for a minute"));
    end_server(server, thread);
}

static void replayed_and_changed_handshakes_are_refused(void)
{
    pthread_t thread;
    kin_server *server = start_server(NULL, &thread);
    struct kin__hello theirs, mine, last, recorded;
    static const uint8_t id[16] = {1};
    for (int i = 0; i < 4; i++) {
        int fd = raw_connect(server);
        OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &theirs, sizeof theirs,
                                   kin__os_deadline(5)));
        ck_assert(kin__hello_client(&mine, &theirs, id, key, sizeof key - 1));
        if (i == 0)
            recorded = mine;
        else if (i == 1)
            mine = recorded; /* what was good a moment ago */
        else if (i == 2)
            mine.version[0] = 0; /* talked down */
        else
            mine.id[0] ^= 1;
        OK(kin__socket_send_all(&(struct kin__socket){.fd = fd}, &mine, sizeof mine, kin__os_deadline(5)));
        OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &last, sizeof last, kin__os_deadline(5)));
        static const enum kin__verdict verdicts[] = {KIN__VERDICT_WELCOME, KIN__VERDICT_KEY,
                                                     KIN__VERDICT_VERSION, KIN__VERDICT_KEY};
        ck_assert_int_eq(last.verdict, verdicts[i]);
        char byte;
        if (i)
            ck_assert_int_eq(
                kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &byte, 1, kin__os_deadline(5)),
                KIN_ECLOSED);
        close(fd);
    }
    end_server(server, thread);
}

static void *false_server(void *arg)
{
    int fd, listener = *(int *)arg;
    struct kin__hello hello, last;
    static const uint8_t id[16] = {7};
    fd = accept(listener, NULL, NULL);
    kin__hello_server(&hello, id);
    kin__socket_send_all(&(struct kin__socket){.fd = fd}, &hello, sizeof hello, kin__os_deadline(5));
    kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &last, sizeof last, kin__os_deadline(5));
    kin__hello_refuse(KIN__VERDICT_WELCOME, &last); /* "welcome", without a proof */
    kin__socket_send_all(&(struct kin__socket){.fd = fd}, &last, sizeof last, kin__os_deadline(5));
    close(fd);
    return arg;
}

static void servers_without_the_key_are_not_believed(void)
{
    test_init();
    struct kin__os_address address;
    char text[KIN__ADDRESS_MOST];
    int listener;
    pthread_t thread;
    OK(kin__address_make_up(&address));
    OK(kin__os_listen(&address, 0, 5, &listener));
    fcntl(listener, F_SETFL, 0);
    kin__os_socket_name(listener, &address);
    kin__address_write(&address, text);
    ck_assert_int_eq(pthread_create(&thread, NULL, false_server, &listener), 0);
    ck_assert_ptr_null(kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .address = text)));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "has not proven that it has the key"));
    pthread_join(thread, NULL);
    close(listener);
}

static int shake_hands(const kin_server *server)
{
    struct kin__hello theirs, mine, last;
    static uint8_t id[16] = {9};
    int fd = raw_connect(server);
    id[1]++;
    OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &theirs, sizeof theirs, kin__os_deadline(5)));
    ck_assert(kin__hello_client(&mine, &theirs, id, key, sizeof key - 1));
    OK(kin__socket_send_all(&(struct kin__socket){.fd = fd}, &mine, sizeof mine, kin__os_deadline(5)));
    OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &last, sizeof last, kin__os_deadline(5)));
    ck_assert_int_eq(last.verdict, KIN__VERDICT_WELCOME);
    return fd;
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* One frame or several, of which some bytes are changed. */
static size_t malformed(uint32_t *state, uint8_t *bytes, size_t room)
{
#define BODY(text)              \
    {                           \
        text, sizeof(text) - 1, \
    }
    static const struct {
        const char *text;
        size_t size;
    } bodies[] = {
        BODY("\x00\x66"
             "create\x64"
             "dict"),
        BODY("\x00\x66"
             "create\x64"
             "list\x83\x01\x02\x03"),
        BODY("\x1b\x00\x00\x00\x01\x00\x00\x00\x01\x63set\x61k\x9f\x01\xa1\x01\x02\xff"),
        BODY("\x00\x66"
             "counts"),
        BODY("\x1b\x00\x00\x00\x01\x00\x00\x00\x01\x64page\x00\x18\x64"),
        BODY("\x00\x65refer\xda\x6b\x69\x6e\x01\x83\x50"),
    };
#undef BODY
    size_t size = 0, count = 1 + next_random(state) % 4;
    while (count-- && size + 64 < room) {
        size_t i = next_random(state) % 6;
        kin__frame_write(bytes + size,
                         &(struct kin__frame){.kind = KIN__FRAME_CALL, .size = (uint32_t)bodies[i].size});
        memcpy(bytes + size + KIN__FRAME_HEAD, bodies[i].text, bodies[i].size);
        size += KIN__FRAME_HEAD + bodies[i].size;
    }
    for (size_t changes = next_random(state) % 6; changes--;) {
        size_t at = next_random(state) % size;
        bytes[at] = next_random(state) % 4 ? (uint8_t)next_random(state)
                                           : (uint8_t)(bytes[at] ^ 0x80 >> next_random(state) % 8);
    }
    return next_random(state) % 3 ? size : next_random(state) % size;
}

/* "ping", a NUL, and more: no name of a method, however much more it is. */
static void names_with_a_nul_are_none(void)
{
    pthread_t thread;
    kin_server *server = start_server(NULL, &thread);
    struct kin__socket stream = {.fd = shake_hands(server)};
    for (size_t size = 5; size < 200; size++) {
        char name[200] = "ping";
        struct kin__buffer call = {0};
        struct kin__frame frame;
        uint8_t answer[4096];
        size_t at = kin__frame_begin(&call, &(struct kin__frame){.kind = KIN__FRAME_CALL});
        kin__put_head(&call, KIN__UINT, 0);
        kin__put_head(&call, KIN__TEXT, size);
        kin__buffer_add(&call, name, size);
        kin__frame_end(&call, at);
        OK(kin__socket_send_all(&stream, call.data, call.size, kin__os_deadline(5)));
        OK(kin__socket_receive_all(&stream, answer, KIN__FRAME_HEAD, kin__os_deadline(5)));
        ck_assert(kin__frame_read(answer, &frame) && frame.size <= sizeof answer);
        ck_assert_msg(frame.kind == KIN__FRAME_FAILURE, "a name of %zu bytes", size);
        OK(kin__socket_receive_all(&stream, answer, frame.size, kin__os_deadline(5)));
        kin__buffer_free(&call);
    }
    close(stream.fd);
    end_server(server, thread);
}

static void malformed_frames_hurt_nobody(void)
{
    pthread_t thread;
    kin_server *server = start_server(NULL, &thread);
    uint32_t state = 12345;
    double end = kin__os_now() + 1.0;
    size_t count = 0;
    kin_log_set_level(KIN_LOG_ERROR);
    for (; kin__os_now() < end; count++) {
        uint8_t bytes[512];
        int fd = shake_hands(server);
        for (int i = 0; i < 20; i++) {
            size_t size = malformed(&state, bytes, sizeof bytes);
            if (kin__socket_send_all(&(struct kin__socket){.fd = fd}, bytes, size, kin__os_deadline(5)))
                break;
            char answers[4096];
            (void)!recv(fd, answers, sizeof answers, MSG_DONTWAIT);
        }
        close(fd);
    }
    printf("# %zu connections\n", count);
    kin_manager *manager = connect_to(server);
    kin_proxy *dict = make(manager, "dict");
    OK(kin_proxy_set(dict, KIN_ANY("x"), KIN_ANY(1)));
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    end_server(server, thread);
}

static void too_large_frames_end_the_connection(void)
{
    pthread_t thread;
    kin_server *server = start_server(NULL, &thread);
    uint8_t head[KIN__FRAME_HEAD];
    char byte;
    int fd = shake_hands(server);
    kin_log_set_level(KIN_LOG_ERROR);
    kin__frame_write(head, &(struct kin__frame){.kind = KIN__FRAME_CALL, .size = UINT32_MAX});
    OK(kin__socket_send_all(&(struct kin__socket){.fd = fd}, head, sizeof head, kin__os_deadline(5)));
    ck_assert_int_eq(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, &byte, 1, kin__os_deadline(5)),
                     KIN_ECLOSED);
    close(fd);
    end_server(server, thread);
}

/* Answers of 100 MB, of which no byte is read. */
static void clients_that_do_not_read_stall_nobody(void)
{
    pthread_t thread;
    kin_server *server = start_server("127.0.0.1:0", &thread);
    static uint8_t call[KIN__FRAME_HEAD + 100000];
    int fd = shake_hands(server);
    size_t size = KIN__FRAME_HEAD;
    /* A list with bytes in it, of which copies are asked for then. */
    memcpy(call + size,
           "\x00\x66"
           "create\x64"
           "list\x81\x5a\x00\x01\x86\x00",
           19);
    size += 19 + 0x18600;
    kin__frame_write(
        call, &(struct kin__frame){.kind = KIN__FRAME_CALL, .size = (uint32_t)(size - KIN__FRAME_HEAD)});
    OK(kin__socket_send_all(&(struct kin__socket){.fd = fd}, call, size, kin__os_deadline(5)));
    struct kin__frame frame;
    uint8_t head[KIN__FRAME_HEAD], answer[256];
    OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, head, sizeof head, kin__os_deadline(5)));
    ck_assert(kin__frame_read(head, &frame));
    ck_assert_int_eq(frame.kind, KIN__FRAME_ANSWER);
    OK(kin__socket_receive_all(&(struct kin__socket){.fd = fd}, answer, frame.size, kin__os_deadline(5)));
    struct kin__reader reader = {answer, answer + frame.size};
    struct kin__head item;
    const uint8_t *id;
    size_t id_size;
    uint64_t number;
    ck_assert(kin__read_head(&reader, &item) && kin__read_head(&reader, &item) &&
              kin__read_span(&reader, KIN__BYTES, &id, &id_size) && kin__read_uint(&reader, &number));
    struct kin__buffer calls = {0};
    for (int i = 0; i < 1000; i++) {
        size_t at = kin__frame_begin(&calls, &(struct kin__frame){.kind = KIN__FRAME_CALL});
        kin__put_head(&calls, KIN__UINT, number);
        kin__put_text(&calls, "copy");
        kin__frame_end(&calls, at);
    }
    kin__socket_send_all(&(struct kin__socket){.fd = fd}, calls.data, calls.size, kin__os_deadline(0.5));
    kin__buffer_free(&calls);
    kin_manager *manager = connect_to(server);
    kin_proxy *dict = make(manager, "dict");
    for (int i = 0; i < 100; i++)
        OK(kin_proxy_set(dict, KIN_ANY(i), KIN_ANY(i)));
    close(fd);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    end_server(server, thread);
}

static const struct test tests[] = {
    {"own_types_are_constructed_called_and_destructed", own_types_are_constructed_called_and_destructed, 20,
     TEST_EACH_METHOD},
    {"slow_methods_stall_nobody_else", slow_methods_stall_nobody_else, 20, TEST_NOT_VALGRIND},
    {"failing_setup_fails_the_start", failing_setup_fails_the_start, 20, TEST_EACH_METHOD},
    {"managers_are_used_from_afar", managers_are_used_from_afar, 20, TEST_EACH_METHOD},
    {"managers_are_used_from_afar_by_ipv6", managers_are_used_from_afar_by_ipv6, 20, TEST_NOT_VALGRIND},
    {"managers_are_used_at_a_path", managers_are_used_at_a_path, 20, TEST_NOT_VALGRIND},
    {"managers_start_again_at_the_same_address", managers_start_again_at_the_same_address, 20,
     TEST_EACH_METHOD},
    {"another_server_at_the_address_is_told", another_server_at_the_address_is_told, 20, TEST_NOT_VALGRIND},
    {"wrong_keys_are_refused_and_their_senders_kept_out", wrong_keys_are_refused_and_their_senders_kept_out,
     20, TEST_NOT_VALGRIND},
    {"replayed_and_changed_handshakes_are_refused", replayed_and_changed_handshakes_are_refused, 20,
     TEST_NOT_VALGRIND},
    {"servers_without_the_key_are_not_believed", servers_without_the_key_are_not_believed, 20,
     TEST_NOT_VALGRIND},
    {"clients_that_do_not_read_stall_nobody", clients_that_do_not_read_stall_nobody, 20, TEST_NOT_VALGRIND},
    {"too_large_frames_end_the_connection", too_large_frames_end_the_connection, 20, TEST_NOT_VALGRIND},
    {"names_with_a_nul_are_none", names_with_a_nul_are_none, 20, TEST_NOT_VALGRIND},
    {"malformed_frames_hurt_nobody", malformed_frames_hurt_nobody, 20, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager_own", tests)
