/* listener_test.c - kin/listener.h, beside Debian's Python. */
#include "connection_common.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message/digest.h"
#include "message/handshake.h"

#define KEY "a key of some length"
#define KEYED .key = KEY, .key_size = sizeof KEY - 1
#define PYTHON "/usr/bin/python3"
#define PYTHONS_MOST 16
#define SOCKET_PATH own("/tmp/kin-test-*.sock")

static kin_listener *listen_at(const char *address, const kin_listener_options *options)
{
    kin_listener *listener = kin_listener_new(address, options);
    ck_assert_msg(listener != NULL, "%s", kin_error_message());
    return listener;
}

static kin_connection *accept_one(kin_listener *listener)
{
    kin_connection *connection = kin_listener_accept(listener, TOP);
    ck_assert_msg(connection != NULL, "%s", kin_error_message());
    return connection;
}

/* ---- digests --------------------------------------------------------------------------------- */

static void hex_is(const unsigned char *bytes, size_t size, const char *hex)
{
    char text[2 * KIN__DIGEST_MOST + 1];
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    ck_assert_str_eq(text, hex);
}

/* RFC 1321, A.5; FIPS 180-4's examples. */
static void digests_are_those_of_the_standards(void)
{
    unsigned char out[KIN__DIGEST_MOST];
    char long_one[1000];
    memset(long_one, 'a', sizeof long_one);
    kin__digest(KIN__MD5, "", 0, out);
    hex_is(out, 16, "d41d8cd98f00b204e9800998ecf8427e");
    kin__digest(KIN__MD5, "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                80, out);
    hex_is(out, 16, "57edf4a22be3c955ac49da2e2107b67a");
    kin__digest(KIN__SHA256, "abc", 3, out);
    hex_is(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    kin__digest(KIN__SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, out);
    hex_is(out, 32, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    kin__digest(KIN__SHA256, long_one, sizeof long_one, out);
    hex_is(out, 32, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

/* RFC 2202 (MD5) and RFC 4231 (SHA-256). */
static void hmacs_are_those_of_the_standards(void)
{
    unsigned char out[KIN__DIGEST_MOST], key[131];
    kin__hmac(KIN__MD5, "Jefe", 4, "what do ya want for nothing?", 28, out);
    hex_is(out, 16, "750c783e6ab0b503eaa86e310a5db738");
    memset(key, 0xaa, sizeof key);
    kin__hmac(KIN__MD5, key, 80, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
    hex_is(out, 16, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd");
    kin__hmac(KIN__SHA256, "Jefe", 4, "what do ya want for nothing?", 28, out);
    hex_is(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    kin__hmac(KIN__SHA256, key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
    hex_is(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* ---- the parts of a handshake ---------------------------------------------------------------- */

static void answers_are_checked_to_the_last_bit(void)
{
    struct kin__key key, other;
    unsigned char challenge[64], answer[KIN__CHALLENGE_MOST];
    ck_assert_int_eq(kin__key_copy(KEY, sizeof KEY - 1, false, &key), 0);
    ck_assert_int_eq(kin__key_copy(KEY, sizeof KEY - 2, false, &other), 0);
    size_t size = kin__challenge_make(challenge);
    ck_assert_uint_eq(size, 48);
    ck_assert_mem_eq(challenge, "{sha256}", 8);
    size_t length = kin__challenge_answer(&key, challenge, size, answer);
    ck_assert_uint_eq(length, 40);
    ck_assert(kin__challenge_check(&key, challenge, size, answer, length));
    ck_assert(!kin__challenge_check(&other, challenge, size, answer, length));
    for (size_t cut = 0; cut < length; cut++)
        ck_assert(!kin__challenge_check(&key, challenge, size, answer, cut));
    ck_assert(!kin__challenge_check(&key, challenge, size, answer, length + 1));
    for (size_t bit = 0; bit < 8 * length; bit++) {
        answer[bit / 8] ^= (unsigned char)(1u << bit % 8);
        ck_assert(!kin__challenge_check(&key, challenge, size, answer, length));
        answer[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    /* As Python before 3.12 answers. */
    kin__hmac(KIN__MD5, KEY, sizeof KEY - 1, challenge, size, answer);
    ck_assert(kin__challenge_check(&key, challenge, size, answer, 16));
    ck_assert(!kin__challenge_check(&other, challenge, size, answer, 16));
    key.no_md5 = true;
    ck_assert(!kin__challenge_check(&key, challenge, size, answer, 16));
    ck_assert_uint_eq(kin__challenge_answer(&key, challenge, 20, answer), 0);
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    kin__key_free(&key);
    kin__key_free(&other);
}

static void challenges_that_are_none_are_not_answered(void)
{
    struct kin__key key;
    unsigned char challenge[KIN__CHALLENGE_MOST + 1] = {0}, answer[KIN__CHALLENGE_MOST];
    ck_assert_int_eq(kin__key_copy(KEY, sizeof KEY - 1, false, &key), 0);
    for (size_t size = 0; size <= sizeof challenge; size++)
        ck_assert_uint_eq(kin__challenge_answer(&key, challenge, size, answer), size == 20 ? 16 : 0);
    memcpy(challenge, "{sha1}", sizeof "{sha1}");
    ck_assert_uint_eq(kin__challenge_answer(&key, challenge, 46, answer), 0);
    ck_assert_int_eq(kin_error_code(), KIN_EMISMATCH);
    kin__key_free(&key);
}

/* ---- listeners and clients ------------------------------------------------------------------- */

struct client {
    const char *address;
    const kin_client_options *options;
    kin_connection *connection;
    int code;
    char message[200];
};

static void *connect_in_thread(void *arg)
{
    struct client *client = arg;
    client->connection = kin_client(client->address, client->options, TOP);
    client->code = client->connection ? 0 : kin_error_code();
    snprintf(client->message, sizeof client->message, "%s", client->connection ? "" : kin_error_message());
    return NULL;
}

static pthread_t start_client(struct client *client)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, connect_in_thread, client), 0);
    return thread;
}

static void exchange(kin_connection *one, kin_connection *other)
{
    char buffer[16];
    size_t size;
    ck_assert_int_eq(kin_connection_send(one, "hello", 5, TOP), 0);
    ck_assert_int_eq(kin_connection_recv(other, buffer, sizeof buffer, &size, TOP), 0);
    ck_assert_uint_eq(size, 5);
    ck_assert_mem_eq(buffer, "hello", 5);
}

static void talk(const char *address, const kin_listener_options *options,
                 const kin_client_options *client_options)
{
    kin_listener *listener = listen_at(address, options);
    struct client client = {.address = kin_listener_address(listener), .options = client_options};
    pthread_t thread = start_client(&client);
    kin_connection *connection = accept_one(listener);
    pthread_join(thread, NULL);
    ck_assert_msg(client.connection != NULL, "%s", client.message);
    exchange(connection, client.connection);
    exchange(client.connection, connection);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    ck_assert_int_eq(kin_connection_close(client.connection), 0);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void clients_talk_by_each_kind_of_address(void)
{
    static const char *const addresses[] = {
        NULL,          "@kin-test-*",     "unix:@kin-test-*", "/tmp/kin-test-*.sock",
        "127.0.0.1:0", "tcp:localhost:0", "[::1]:0"};
    test_init();
    unlink(SOCKET_PATH);
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        talk(own(addresses[i]), KIN_LISTENER_OPTIONS(KEYED), KIN_CLIENT_OPTIONS(KEYED));
        talk(own(addresses[i]), KIN_LISTENER_OPTIONS(.no_key = true), NULL);
    }
    ck_assert_int_eq(access(SOCKET_PATH, F_OK), -1);
}

static void address_tells_what_clients_need(void)
{
    char peer[100];
    struct stat there;
    test_init();
    kin_listener *listener = listen_at("127.0.0.1:0", KIN_LISTENER_OPTIONS(.no_key = true));
    ck_assert_int_eq(strncmp(kin_listener_address(listener), "tcp:127.0.0.1:", 14), 0);
    ck_assert_int_gt(atoi(kin_listener_address(listener) + 14), 1023);
    kin_connection *client = kin_client(kin_listener_address(listener), NULL, TOP);
    ck_assert_str_eq(kin_connection_peer(client, peer, sizeof peer), kin_listener_address(listener));
    kin_connection_close(client);
    kin_listener_close(listener);
    unlink(SOCKET_PATH);
    listener = listen_at(own("unix:/tmp/kin-test-*.sock"), NULL);
    ck_assert_str_eq(kin_listener_address(listener), own("unix:/tmp/kin-test-*.sock"));
    ck_assert_int_eq(lstat(SOCKET_PATH, &there), 0);
    ck_assert_int_eq(there.st_mode & 0777, 0600);
    client = kin_client(SOCKET_PATH, NULL, TOP);
    snprintf(peer, sizeof peer, "pid %d, uid %u", getpid(), getuid());
    char got[100];
    ck_assert_str_eq(kin_connection_peer(client, got, sizeof got), peer);
    kin_connection_close(client);
    kin_listener_close(listener);
}

static void refused(const char *address, const kin_listener_options *options, int code)
{
    ck_assert_ptr_null(kin_listener_new(address, options));
    ck_assert_msg(kin_error_code() == code, "%s: %s", address, kin_error_message());
}

static void bad_addresses_and_keys_are_refused(void)
{
    char path[200];
    refused("@x", NULL, KIN_ENOINIT);
    test_init();
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    refused(path, NULL, KIN_EINVAL);
    refused("", NULL, KIN_EINVAL);
    refused("@", NULL, KIN_EINVAL);
    refused("unix:", NULL, KIN_EINVAL);
    refused("host", NULL, KIN_EINVAL);
    refused("127.0.0.1:", NULL, KIN_EINVAL);
    refused("127.0.0.1:65536", NULL, KIN_EINVAL);
    refused("127.0.0.1:1x", NULL, KIN_EINVAL);
    refused("::1:80", NULL, KIN_EINVAL);
    refused("127.0.0.1:0", NULL, KIN_EINVAL);
    refused("127.0.0.1:0", KIN_LISTENER_OPTIONS(.key = "short", .key_size = 5), KIN_EINVAL);
    refused("@x", KIN_LISTENER_OPTIONS(.key_size = 5), KIN_EINVAL);
    refused("@x", KIN_LISTENER_OPTIONS(.backlog = -1), KIN_EINVAL);
    refused("@x", KIN_LISTENER_OPTIONS(.patience = -1), KIN_EINVAL);
    refused("/nowhere/at/all", NULL, KIN_ESYSTEM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "No such file or directory"));
    ck_assert_ptr_null(kin_client("127.0.0.1", NULL, 0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_client(NULL, NULL, 0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_ptr_null(kin_client("@nobody-is-here", NULL, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
    ck_assert_ptr_null(kin_client("/nowhere/at/all", NULL, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_ENOTFOUND);
    ck_assert_ptr_null(kin_listener_accept(NULL, 0));
    ck_assert_int_eq(kin_error_code(), KIN_EINVAL);
    ck_assert_int_eq(kin_listener_close(NULL), 0);
    ck_assert_str_eq(kin_listener_address(NULL), "");
}

static void wrong_key_is_told_to_both(void)
{
    test_init();
    kin_listener *listener = listen_at(NULL, KIN_LISTENER_OPTIONS(KEYED));
    struct client client = {.address = kin_listener_address(listener),
                            .options = KIN_CLIENT_OPTIONS(.key = "another", .key_size = 7)};
    pthread_t thread = start_client(&client);
    ck_assert_ptr_null(kin_listener_accept(listener, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "another key"));
    pthread_join(thread, NULL);
    ck_assert_ptr_null(client.connection);
    ck_assert_int_eq(client.code, KIN_EPERM);
    ck_assert_str_eq(client.message, "could not shake hands: the other side has refused the key");
    /* Others can be accepted. */
    client.options = KIN_CLIENT_OPTIONS(KEYED);
    thread = start_client(&client);
    kin_connection *connection = accept_one(listener);
    pthread_join(thread, NULL);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    ck_assert_int_eq(kin_connection_close(client.connection), 0);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static int raw_client(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    memcpy(address.sun_path + 1, name + 1, length - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static void silent_peers_keep_nobody_from_accept(void)
{
    int silent[70];
    test_init();
    kin_listener *listener = listen_at(own("@kin-silent-*"), KIN_LISTENER_OPTIONS(KEYED));
    for (int i = 0; i < 70; i++)
        silent[i] = raw_client(own("@kin-silent-*"));
    struct client client = {.address = own("@kin-silent-*"), .options = KIN_CLIENT_OPTIONS(KEYED)};
    pthread_t thread = start_client(&client);
    kin_connection *connection = accept_one(listener);
    pthread_join(thread, NULL);
    ck_assert_ptr_nonnull(client.connection);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    ck_assert_int_eq(kin_connection_close(client.connection), 0);
    for (int i = 0; i < 70; i++)
        close(silent[i]);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void silent_peer_is_dropped_in_time(void)
{
    char bytes[100];
    test_init();
    kin_listener *listener = listen_at(own("@kin-silent-*"), KIN_LISTENER_OPTIONS(KEYED, .patience = 0.05));
    int fd = raw_client(own("@kin-silent-*"));
    struct pollfd hung_up = {.fd = fd, .events = POLLRDHUP};
    while (poll(&hung_up, 1, 0) == 0) {
        ck_assert_ptr_null(kin_listener_accept(listener, 0.1));
        ck_assert_int_eq(kin_error_code(), KIN_ETIMEDOUT);
    }
    ck_assert_int_eq(read(fd, bytes, sizeof bytes), 4 + 11 + 48);
    ck_assert_int_eq(read(fd, bytes, sizeof bytes), 0);
    close(fd);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void silent_listener_does_not_keep_a_client(void)
{
    test_init();
    kin_listener *listener = listen_at(own("@kin-silent-*"), NULL);
    ck_assert_ptr_null(kin_client(own("@kin-silent-*"), KIN_CLIENT_OPTIONS(KEYED), 0.05));
    ck_assert_int_eq(kin_error_code(), KIN_ETIMEDOUT);
    kin_connection_close(accept_one(listener));
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

/* Its queue is full: a Unix socket says EAGAIN then. */
static void client_of_a_full_listener_waits_its_time(void)
{
    kin_connection *clients[8];
    int count = 0;
    test_init();
    kin_listener *listener = listen_at(own("@kin-full-*"), KIN_LISTENER_OPTIONS(.backlog = 1));
    while (count < 8 && (clients[count] = kin_client(own("@kin-full-*"), NULL, 0.02)))
        count++;
    ck_assert_int_lt(count, 8);
    ck_assert_int_eq(kin_error_code(), KIN_ETIMEDOUT);
    while (count)
        kin_connection_close(clients[--count]);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void one_address_has_one_listener(void)
{
    test_init();
    unlink(SOCKET_PATH);
    static const char *const addresses[] = {"@kin-one-*", "/tmp/kin-test-*.sock"};
    for (int i = 0; i < 2; i++) {
        kin_listener *listener = listen_at(own(addresses[i]), NULL);
        refused(own(addresses[i]), NULL, KIN_EBUSY);
        ck_assert_ptr_nonnull(strstr(kin_error_message(), "somebody listens there"));
        ck_assert_int_eq(kin_listener_close(listener), 0);
        ck_assert_int_eq(kin_listener_close(listen_at(own(addresses[i]), NULL)), 0);
    }
    kin_listener *listener = listen_at("127.0.0.1:0", KIN_LISTENER_OPTIONS(.no_key = true));
    refused(kin_listener_address(listener), KIN_LISTENER_OPTIONS(.no_key = true), KIN_EBUSY);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static int listen_and_die(void *arg)
{
    if (!kin_listener_new(arg, NULL))
        return 1;
    kill(getpid(), SIGKILL);
    return 0;
}

static void path_of_a_dead_listener_is_taken_over(void)
{
    test_init();
    unlink(SOCKET_PATH);
    kin_process *process = kin_process_start(listen_and_die, SOCKET_PATH, 100,
                                             KIN_PROCESS_OPTIONS(.start_method = test_method()));
    ck_assert_ptr_nonnull(process);
    ck_assert_int_eq(kin_process_join(process, TOP), 0);
    kin_process_free(process);
    ck_assert_int_eq(access(SOCKET_PATH, F_OK), 0);
    talk(SOCKET_PATH, NULL, NULL);
    int fd = open(SOCKET_PATH, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* what is no socket stays */
    close(fd);
    refused(SOCKET_PATH, NULL, KIN_EBUSY);
    ck_assert_int_eq(unlink(SOCKET_PATH), 0);
}

static void accept_by_an_event_loop(void)
{
    test_init();
    kin_listener *listener = listen_at(NULL, KIN_LISTENER_OPTIONS(KEYED));
    struct client client = {.address = kin_listener_address(listener), .options = KIN_CLIENT_OPTIONS(KEYED)};
    struct pollfd one = {.fd = kin_listener_fd(listener), .events = POLLIN};
    ck_assert_int_eq(poll(&one, 1, 0), 0);
    pthread_t thread = start_client(&client);
    kin_connection *connection = NULL;
    while (!connection) {
        ck_assert_int_eq(poll(&one, 1, (int)(TOP * 1000)), 1);
        connection = kin_listener_accept(listener, 0);
        ck_assert(connection || kin_error_code() == KIN_ETIMEDOUT);
    }
    pthread_join(thread, NULL);
    exchange(connection, client.connection);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    ck_assert_int_eq(kin_connection_close(client.connection), 0);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

/* ---- Python ---------------------------------------------------------------------------------- */

static int python_says; /* its standard output */
static const char *python_program = PYTHON;

/* Debian's, and newer ones that are at hand: by name on the path, or in KIN_TEST_PYTHONS, with colons between. */
static size_t pythons(const char *out[PYTHONS_MOST])
{
    static char listed[4096];
    static const char *const names[] = {"python3.12", "python3.13", "python3.14"};
    size_t count = 0;
    out[count++] = PYTHON;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char line[100];
        snprintf(line, sizeof line, "%s -c 'import hmac, socket' >/dev/null 2>&1", names[i]);
        if (system(line) == 0)
            out[count++] = names[i];
    }
    const char *more = getenv("KIN_TEST_PYTHONS");
    snprintf(listed, sizeof listed, "%s", more ? more : "");
    for (char *name = strtok(listed, ":"); name && count < PYTHONS_MOST; name = strtok(NULL, ":"))
        out[count++] = name;
    return count;
}

/* A body for each of them. */
static void each_python(void (*body)(void))
{
    const char *programs[PYTHONS_MOST];
    size_t count = pythons(programs);
    test_init();
    for (size_t i = 0; i < count; i++) {
        python_program = programs[i];
        body();
    }
}

static pid_t python(const char *script, const char *address)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        execlp(python_program, python_program, "-c", script, address, NULL);
        _exit(127);
    }
    close(fds[1]);
    python_says = fds[0];
    return pid;
}

static void python_ends(pid_t pid, int code)
{
    int status;
    close(python_says);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), code);
}

#define CLIENT_SCRIPT                                                                  \
    "import sys\n"                                                                     \
    "from multiprocessing.connection import Client\n"                                  \
    "from multiprocessing import AuthenticationError\n"                                \
    "a = sys.argv[1]\n"                                                                \
    "key = b'" KEY "'\n"                                                               \
    "a = '\\0' + a[6:] if a.startswith('unix:@') else a[5:] if a.startswith('unix:') " \
    "else (a[4:].rsplit(':', 1)[0], int(a.rsplit(':', 1)[1]))\n"

static const char client_script[] = CLIENT_SCRIPT "with Client(a, authkey=key) as c:\n"
                                                  "    c.send_bytes(b'from Python')\n"
                                                  "    m = c.recv_bytes()\n"
                                                  "    c.send_bytes(m[::-1])\n"
                                                  "    c.send_bytes(b'')\n";

static const char wrong_client_script[] = CLIENT_SCRIPT "try: Client(a, authkey=b'no')\n"
                                                        "except AuthenticationError: sys.exit(5)\n";

static void is_text(kin_connection *connection, const char *text)
{
    kin_message message;
    ck_assert_msg(kin_connection_take(connection, &message, TOP) == 0, "%s", kin_error_message());
    ck_assert_uint_eq(message.size, strlen(text));
    ck_assert_mem_eq(message.data, text, message.size);
    kin_free(message.data);
}

static void large_is_reversed(kin_connection *connection)
{
    size_t size = 3000000;
    unsigned char *large = malloc(size);
    kin_message back;
    for (size_t i = 0; i < size; i++)
        large[i] = (unsigned char)(i >> 3);
    ck_assert_int_eq(kin_connection_send(connection, large, size, TOP), 0);
    ck_assert_int_eq(kin_connection_take(connection, &back, TOP), 0);
    ck_assert_uint_eq(back.size, size);
    const unsigned char *reversed = back.data;
    size_t same = 0;
    while (same < size && reversed[size - 1 - same] == large[same])
        same++;
    ck_assert_uint_eq(same, size);
    kin_free(back.data);
    free(large);
}

static void accept_clients(void)
{
    static const char *const addresses[] = {"@kin-python-*", "/tmp/kin-test-*.sock", "127.0.0.1:0"};
    unlink(SOCKET_PATH);
    for (int i = 0; i < 3; i++) {
        kin_listener *listener = listen_at(own(addresses[i]), KIN_LISTENER_OPTIONS(KEYED));
        pid_t pid = python(client_script, kin_listener_address(listener));
        kin_connection *connection = accept_one(listener);
        is_text(connection, "from Python");
        large_is_reversed(connection);
        is_text(connection, "");
        char byte;
        ck_assert_int_eq(kin_connection_recv(connection, &byte, 1, NULL, TOP), KIN_ECLOSED);
        python_ends(pid, 0);
        ck_assert_int_eq(kin_connection_close(connection), 0);
        ck_assert_int_eq(kin_listener_close(listener), 0);
    }
}

static void clients_of_python_are_accepted(void)
{
    each_python(accept_clients);
}

static void refuse_client(void)
{
    kin_listener *listener = listen_at(own("@kin-python-*"), KIN_LISTENER_OPTIONS(KEYED));
    pid_t pid = python(wrong_client_script, own("unix:@kin-python-*"));
    ck_assert_ptr_null(kin_listener_accept(listener, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    python_ends(pid, 5);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void client_of_python_with_another_key_is_refused(void)
{
    each_python(refuse_client);
}

static const char listener_script[] =
    "import sys\n"
    "from multiprocessing.connection import Listener\n"
    "from multiprocessing import AuthenticationError\n"
    "a = sys.argv[1]\n"
    "with Listener('\\0' + a[1:] if a[0] == '@' else (a, 0), authkey=b'" KEY "') as l:\n"
    "    print(a if a[0] == '@' else '%s:%d' % l.address, flush=True)\n"
    "    try: l.accept()\n"
    "    except AuthenticationError: pass\n"
    "    else: sys.exit(1)\n"
    "    with l.accept() as c:\n"
    "        c.send_bytes(b'from Python')\n"
    "        c.send_bytes(c.recv_bytes()[::-1])\n";

/* It says where it listens as soon as it does. */
static void read_address(char *address, size_t size)
{
    size_t got = 0;
    while (got < size - 1 && (got == 0 || address[got - 1] != '\n'))
        ck_assert_int_eq(read(python_says, address + got++, 1), 1);
    address[got - 1] = '\0';
}

static void connect_to_listeners(void)
{
    static const char *const addresses[] = {"@kin-python-*", "127.0.0.1"};
    char address[64];
    for (int i = 0; i < 2; i++) {
        pid_t pid = python(listener_script, own(addresses[i]));
        read_address(address, sizeof address);
        ck_assert_ptr_null(kin_client(address, KIN_CLIENT_OPTIONS(.key = "wrong one", .key_size = 9), TOP));
        ck_assert_msg(kin_error_code() == KIN_EPERM, "%s", kin_error_message());
        kin_connection *connection = kin_client(address, KIN_CLIENT_OPTIONS(KEYED), TOP);
        ck_assert_msg(connection != NULL, "%s", kin_error_message());
        is_text(connection, "from Python");
        large_is_reversed(connection);
        python_ends(pid, 0);
        ck_assert_int_eq(kin_connection_close(connection), 0);
    }
}

static void listeners_of_python_accept_with_the_right_key_only(void)
{
    each_python(connect_to_listeners);
}

/* Python 3.12's side of the handshake, as Lib/multiprocessing/connection.py has it, told again for older ones. */
#define MODERN                                                                            \
    "import hmac, os, socket, struct, sys\n"                                              \
    "role, name, key = sys.argv[1].split(' ')\n"                                          \
    "key = key.encode()\n"                                                                \
    "def send(s, b): s.sendall(struct.pack('!i', len(b)) + b)\n"                          \
    "def recv(s):\n"                                                                      \
    "    n, = struct.unpack('!i', s.recv(4, socket.MSG_WAITALL))\n"                       \
    "    return s.recv(n, socket.MSG_WAITALL)\n"                                          \
    "def deliver(s):\n"                                                                   \
    "    message = b'{sha256}' + os.urandom(40)\n"                                        \
    "    send(s, b'#CHALLENGE#' + message)\n"                                             \
    "    answer = recv(s)\n"                                                              \
    "    right = b'{sha256}' + hmac.new(key, message, 'sha256').digest()\n"               \
    "    send(s, b'#WELCOME#' if answer == right else b'#FAILURE#')\n"                    \
    "    if answer != right: sys.exit(5)\n"                                               \
    "def answer(s):\n"                                                                    \
    "    message = recv(s)\n"                                                             \
    "    assert message[:19] == b'#CHALLENGE#{sha256}' and len(message) == 59, message\n" \
    "    send(s, b'{sha256}' + hmac.new(key, message[11:], 'sha256').digest())\n"         \
    "    if recv(s) != b'#WELCOME#': sys.exit(5)\n"                                       \
    "s = socket.socket(socket.AF_UNIX)\n"                                                 \
    "if role == 'client':\n"                                                              \
    "    s.connect('\\0' + name); answer(s); deliver(s)\n"                                \
    "else:\n"                                                                             \
    "    s.bind('\\0' + name); s.listen(); print(flush=True)\n"                           \
    "    s = s.accept()[0]; deliver(s); answer(s)\n"                                      \
    "send(s, recv(s)[::-1])\n"

static void modern_client_shakes_hands_by_sha256(void)
{
    test_init();
    kin_listener *listener = listen_at(
        own("@kin-modern-*"), KIN_LISTENER_OPTIONS(.key = "sesame-open", .key_size = 11, .no_md5 = true));
    pid_t pid = python(MODERN, own("client kin-modern-* sesame-open"));
    kin_connection *connection = accept_one(listener);
    large_is_reversed(connection);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    python_ends(pid, 0);
    pid = python(MODERN, own("client kin-modern-* sesame-shut"));
    ck_assert_ptr_null(kin_listener_accept(listener, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    python_ends(pid, 5);
    /* Debian's own can only do HMAC-MD5. */
    pid = python(wrong_client_script, own("unix:@kin-modern-*"));
    ck_assert_ptr_null(kin_listener_accept(listener, TOP));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    python_ends(pid, 5);
    ck_assert_int_eq(kin_listener_close(listener), 0);
}

static void modern_listener_shakes_hands_by_sha256(void)
{
    char byte;
    test_init();
    pid_t pid = python(MODERN, own("listener kin-modern-* sesame-open"));
    ck_assert_int_eq(read(python_says, &byte, 1), 1);
    kin_connection *connection = kin_client(
        own("@kin-modern-*"), KIN_CLIENT_OPTIONS(.key = "sesame-open", .key_size = 11, .no_md5 = true), TOP);
    ck_assert_msg(connection != NULL, "%s", kin_error_message());
    large_is_reversed(connection);
    ck_assert_int_eq(kin_connection_close(connection), 0);
    python_ends(pid, 0);
    pid = python(MODERN, own("listener kin-modern-* sesame-shut"));
    ck_assert_int_eq(read(python_says, &byte, 1), 1);
    ck_assert_ptr_null(
        kin_client(own("@kin-modern-*"), KIN_CLIENT_OPTIONS(.key = "sesame-open", .key_size = 11), TOP));
    ck_assert_int_eq(kin_error_code(), KIN_EPERM);
    python_ends(pid, 5);
}

static const struct test tests[] = {
    {"digests_are_those_of_the_standards", digests_are_those_of_the_standards, 5, 0},
    {"hmacs_are_those_of_the_standards", hmacs_are_those_of_the_standards, 5, 0},
    {"answers_are_checked_to_the_last_bit", answers_are_checked_to_the_last_bit, 5, 0},
    {"challenges_that_are_none_are_not_answered", challenges_that_are_none_are_not_answered, 5, 0},
    {"clients_talk_by_each_kind_of_address", clients_talk_by_each_kind_of_address, 10, 0},
    {"address_tells_what_clients_need", address_tells_what_clients_need, 5, 0},
    {"bad_addresses_and_keys_are_refused", bad_addresses_and_keys_are_refused, 10, 0},
    {"wrong_key_is_told_to_both", wrong_key_is_told_to_both, 5, 0},
    {"silent_peers_keep_nobody_from_accept", silent_peers_keep_nobody_from_accept, 5, 0},
    {"silent_peer_is_dropped_in_time", silent_peer_is_dropped_in_time, 5, 0},
    {"silent_listener_does_not_keep_a_client", silent_listener_does_not_keep_a_client, 5, 0},
    {"client_of_a_full_listener_waits_its_time", client_of_a_full_listener_waits_its_time, 5, 0},
    {"one_address_has_one_listener", one_address_has_one_listener, 5, 0},
    {"path_of_a_dead_listener_is_taken_over", path_of_a_dead_listener_is_taken_over, 10, TEST_EACH_METHOD},
    {"accept_by_an_event_loop", accept_by_an_event_loop, 5, 0},
    {"clients_of_python_are_accepted", clients_of_python_are_accepted, 20, TEST_NOT_ASAN},
    {"client_of_python_with_another_key_is_refused", client_of_python_with_another_key_is_refused, 10,
     TEST_NOT_ASAN},
    {"modern_client_shakes_hands_by_sha256", modern_client_shakes_hands_by_sha256, 20, TEST_NOT_ASAN},
    {"modern_listener_shakes_hands_by_sha256", modern_listener_shakes_hands_by_sha256, 20, TEST_NOT_ASAN},
    {"listeners_of_python_accept_with_the_right_key_only", listeners_of_python_accept_with_the_right_key_only,
     20, TEST_NOT_ASAN},
};
TEST_MAIN("listener", tests)
