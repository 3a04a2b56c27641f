/* manager_tls_test.c - managers by TLS 1.3: who is let in, who is not, and what of broken handshakes. Certificates are made here. */
#include "manager_common.h"

#include "manager/stream.h"
#include "os/os.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char key[] = "a key that nobody knows";
#define KEY .key = key, .key_size = sizeof key - 1
#define LOOPBACK .address = "127.0.0.1:0"

/* ---- certificates -------------------------------------------------------------------------------------- */

static char directory[] = "/tmp/kin-tls-test-XXXXXX";

/* A file of the directory. */
static const char *in(const char *name)
{
    static char paths[16][300];
    static size_t next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void remove_directory(void)
{
    DIR *all = opendir(directory);
    for (struct dirent *one; all && (one = readdir(all));)
        unlink(in(one->d_name));
    if (all)
        closedir(all);
    rmdir(directory);
}

static void shell(const char *form, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *form, ...)
{
    char command[1024];
    va_list list;
    va_start(list, form);
    vsnprintf(command, sizeof command, form, list);
    va_end(list);
    ck_assert_msg(system(command) == 0, "failed: %s", command);
}

#define REQUEST                                                                                              \
    "cd %s && openssl req -x509 -config plain.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days " \
    "2 "                                                                                                     \
    "-keyout %s.key -out %s.pem -subj /CN=%s "

static void make_authority(const char *name)
{
    shell(REQUEST "-addext basicConstraints=critical,CA:TRUE 2>>log", directory, name, name, name);
}

static void make_certificate(const char *name, const char *authority, const char *names)
{
    shell(REQUEST
          "-CA %s.pem -CAkey %s.key -addext basicConstraints=CA:FALSE -addext subjectAltName=%s 2>>log",
          directory, name, name, name, authority, authority, names);
}

static void make_certificates(void)
{
    ck_assert_ptr_nonnull(mkdtemp(directory));
    atexit(remove_directory);
    shell("printf '[req]\\ndistinguished_name=dn\\n[dn]\\n' >%s/plain.cnf", directory);
    make_authority("authority");
    make_authority("stranger");
    make_certificate("server", "authority", "IP:127.0.0.1,DNS:mill.example");
    make_certificate("client", "authority", "DNS:client.example");
    make_certificate("strange", "stranger", "IP:127.0.0.1");
}

#define CERTIFICATES .tls = KIN_TLS_CERTIFICATES, .authority = in("authority.pem")
#define SERVER .certificate = in("server.pem"), .private_key = in("server.key")

/* ---- servers ----------------------------------------------------------------------------------------------- */

static void *serve(void *server)
{
    return kin_server_serve(server) ? NULL : server;
}

static kin_server *start_server(const kin_manager_options *options, pthread_t *thread)
{
    test_init();
    kin_server *server = kin_server_new(options);
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

static void is_refused(const kin_manager_options *options, int code, const char *text)
{
    ck_assert_ptr_null(kin_manager_connect(options));
    ck_assert_msg(kin_error_code() == code && strstr(kin_error_message(), text), "%d: %s", kin_error_code(),
                  kin_error_message());
}

static kin_manager *let_in(const kin_manager_options *options)
{
    kin_manager *manager = kin_manager_connect(options);
    ck_assert_msg(manager != NULL, "%s", kin_error_message());
    return manager;
}

/* Somebody from 127.a.b.c, so that his failures are not others'. */
static int raw_connect(const char *address, unsigned from)
{
    struct kin__os_address to;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001u + from)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    OK(kin__address_read(address, false, &to));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&source, sizeof source), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&to.storage, to.length), 0);
    return fd;
}

static void is_closed(int fd)
{
    char byte[256];
    ssize_t got;
    while ((got = recv(fd, byte, sizeof byte, 0)) > 0) /* an alert */
        ;
    ck_assert(got == 0 || errno == ECONNRESET);
    close(fd);
}

static void works(kin_manager *manager)
{
    kin_proxy *dict = make(manager, "dict");
    kin_any value;
    OK(kin_proxy_set(dict, KIN_ANY("mill"), KIN_ANY(3)));
    OK(kin_proxy_get(dict, KIN_ANY("mill"), &value));
    ck_assert_int_eq(value.integer, 3);
    kin_proxy_free(dict);
}

/* ---- let in ------------------------------------------------------------------------------------------------ */

static int work_in_child(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 100; i++) {
        int error = kin_proxy_add(shared->proxy, KIN_ANY("sum"), KIN_ANY(1), NULL);
        child_assert(error == 0);
    }
    return 0;
}

static int work_from_afar(void *arg)
{
    const struct shared *shared = arg;
    kin_manager *manager = kin_manager_connect(
        KIN_MANAGER_OPTIONS(KEY, .address = kin_manager_address(shared->manager), .tls = KIN_TLS_KEY));
    child_assert(manager != NULL);
    kin_proxy *dict = kin_proxy_open(manager, &shared->token);
    child_assert(dict != NULL);
    int error = kin_proxy_add(dict, KIN_ANY("sum"), KIN_ANY(1), NULL);
    child_assert(error == 0);
    kin_proxy_free(dict);
    kin_manager_free(manager);
    return 0;
}

static void use(const kin_manager_options *options, kin_process_fn afar)
{
    kin_any value;
    struct shared *shared = kin_calloc(1, sizeof *shared);
    shared->manager = start_manager(options);
    shared->proxy = make(shared->manager, "dict");
    OK(kin_proxy_set(shared->proxy, KIN_ANY("sum"), KIN_ANY(0)));
    OK(kin_proxy_token(shared->proxy, 0, &shared->token));
    run_child(work_in_child, shared);
    if (afar)
        run_child(afar, shared);
    OK(kin_proxy_get(shared->proxy, KIN_ANY("sum"), &value));
    ck_assert_int_eq(value.integer, afar ? 101 : 100);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static void key_lets_in(void)
{
    test_init();
    use(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY), work_from_afar);
    use(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = KIN_TLS_KEY), NULL); /* by a key that it makes */
}

static void certificates_let_in(void)
{
    make_certificates();
    test_init();
    use(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, SERVER), NULL);
}

static void certificate_of_clients_lets_in(void)
{
    pthread_t thread;
    make_certificates();
    kin_server *server = start_server(
        KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, SERVER, .client_certificates = true), &thread);
    const char *address = kin_server_address(server);
    kin_manager *manager =
        let_in(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES, .certificate = in("client.pem"),
                                   .private_key = in("client.key")));
    works(manager);
    kin_manager_free(manager);
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES), KIN_EPERM, "certificate required");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES, .certificate = in("strange.pem"),
                                   .private_key = in("strange.key")),
               KIN_EPERM, "alert");
    end_server(server, thread);
}

static void large_values_and_batches_go_through(void)
{
    test_init();
    kin_manager *manager = start_manager(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = KIN_TLS_KEY));
    kin_proxy *dict = make(manager, "dict");
    size_t sizes[] = {1, 5000, 10000, 16383, 16384, 16385, 5000000, 30000000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t *bytes = malloc(sizes[i]);
        kin_any value;
        for (size_t at = 0; at < sizes[i]; at++)
            bytes[at] = (uint8_t)(at * 2654435761u >> 13);
        OK(kin_proxy_set(dict, KIN_ANY((int)i), kin_any_bytes(bytes, sizes[i])));
        OK(kin_proxy_get(dict, KIN_ANY((int)i), &value));
        ck_assert_uint_eq(value.size, sizes[i]);
        ck_assert_mem_eq(value.data, bytes, sizes[i]);
        kin_any_clear(&value);
        free(bytes);
    }
    /* More, of calls and of answers, than both sockets hold. */
    kin_batch *batch = kin_batch_new(manager);
    static char text[20000];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 1000; i++)
        OK(kin_batch_add(batch, dict, "setdefault", (kin_any[]){KIN_ANY(1000 + i), KIN_ANY(text)}, 2));
    for (int round = 0; round < 2; round++) {
        OK(kin_batch_run(batch, test_time_left()));
        for (size_t i = 0; i < 1000; i++) {
            kin_any value;
            OK(kin_batch_result(batch, i, &value));
            ck_assert_uint_eq(value.size, sizeof text - 1);
            kin_any_clear(&value);
        }
    }
    kin_batch_free(batch);
    kin_proxy_free(dict);
    expect_nothing_left(manager);
    kin_manager_free(manager);
}

#define AT_ONCE 50

static int come_at_once(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->count, 1);
    while (!atomic_load(&shared->step))
        poll(NULL, 0, 1);
    kin_manager *manager = kin_manager_connect(
        KIN_MANAGER_OPTIONS(KEY, .address = kin_manager_address(shared->manager), .tls = KIN_TLS_KEY));
    child_assert(manager != NULL);
    kin_proxy *dict = kin_proxy_open(manager, &shared->token);
    child_assert(dict != NULL);
    for (int i = 0; i < 20; i++) {
        int error = kin_proxy_add(dict, KIN_ANY("sum"), KIN_ANY(1), NULL);
        child_assert(error == 0);
    }
    kin_proxy_free(dict);
    kin_manager_free(manager);
    return 0;
}

static void fifty_clients_come_at_once(void)
{
    kin_any value;
    test_init();
    struct shared *shared = kin_calloc(1, sizeof *shared);
    shared->manager = start_manager(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY));
    shared->proxy = make(shared->manager, "dict");
    OK(kin_proxy_set(shared->proxy, KIN_ANY("sum"), KIN_ANY(0)));
    OK(kin_proxy_token(shared->proxy, 0, &shared->token));
    kin_process *clients[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        clients[i] = kin_process_start_shared(come_at_once, shared, NULL);
    while (atomic_load(&shared->count) < AT_ONCE && test_time_left() > 1)
        poll(NULL, 0, 1);
    atomic_store(&shared->step, 1);
    for (int i = 0; i < AT_ONCE; i++)
        join_child(clients[i]);
    OK(kin_proxy_get(shared->proxy, KIN_ANY("sum"), &value));
    ck_assert_int_eq(value.integer, AT_ONCE * 20);
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

static int die_with_a_lock(void *arg)
{
    struct shared *shared = arg;
    kin_manager *manager = kin_manager_connect(
        KIN_MANAGER_OPTIONS(KEY, .address = kin_manager_address(shared->manager), .tls = KIN_TLS_KEY));
    child_assert(manager != NULL);
    kin_proxy *lock = kin_proxy_open(manager, &shared->token);
    child_assert(lock != NULL);
    int error = kin_proxy_acquire(lock, 0);
    child_assert(error == 0);
    raise(SIGKILL);
    return 0;
}

static void dead_clients_give_back(void)
{
    test_init();
    struct shared *shared = kin_calloc(1, sizeof *shared);
    shared->manager = start_manager(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY));
    shared->proxy = make(shared->manager, "Lock");
    OK(kin_proxy_token(shared->proxy, 0, &shared->token));
    kin_process *child = kin_process_start_shared(die_with_a_lock, shared, NULL);
    OK(kin_process_join(child, test_time_left()));
    kin_process_free(child);
    ck_assert_int_eq(kin_proxy_acquire(shared->proxy, test_time_left()), KIN_EOWNERDIED);
    OK(kin_proxy_release(shared->proxy));
    kin_proxy_free(shared->proxy);
    expect_nothing_left(shared->manager);
    free_shared(shared);
}

/* ---- not let in -------------------------------------------------------------------------------------------- */

static void wrong_certificates_are_refused(void)
{
    pthread_t thread, strange_thread;
    make_certificates();
    kin_server *server = start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, SERVER), &thread);
    kin_server *strange =
        start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, .certificate = in("strange.pem"),
                                         .private_key = in("strange.key")),
                     &strange_thread);
    const char *address = kin_server_address(server);
    kin_log_set_level(KIN_LOG_ERROR);
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = kin_server_address(strange), CERTIFICATES), KIN_EPERM,
               "certificate: unable to get local issuer certificate");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES, .tls_host = "lathe.example"),
               KIN_EPERM, "certificate: hostname mismatch");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES, .tls_host = "127.0.0.2"), KIN_EPERM,
               "certificate: IP address mismatch");
    kin_manager *manager =
        let_in(KIN_MANAGER_OPTIONS(KEY, .address = address, CERTIFICATES, .tls_host = "mill.example"));
    works(manager);
    kin_manager_free(manager);
    /* The certificate is right, the key is not: both are asked for. */
    is_refused(KIN_MANAGER_OPTIONS(.key = "another key of 16 bytes", .key_size = 23, .address = address,
                                   CERTIFICATES),
               KIN_EPERM, "another key");
    end_server(server, thread);
    end_server(strange, strange_thread);
}

static void wrong_keys_are_refused_and_their_senders_kept_out(void)
{
    pthread_t thread;
    kin_server *server = start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY), &thread);
    kin_log_set_level(KIN_LOG_ERROR);
    for (int i = 0; i < 8; i++)
        is_refused(KIN_MANAGER_OPTIONS(.key = "another key of 16 bytes", .key_size = 23, .tls = KIN_TLS_KEY,
                                       .address = kin_server_address(server)),
                   KIN_EPERM, "TLS: ");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = kin_server_address(server)), KIN_EDIED,
               "closed the connection");
    end_server(server, thread);
}

static void kinds_do_not_mix(void)
{
    pthread_t threads[3];
    make_certificates();
    kin_server *servers[] = {
        start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK), &threads[0]),
        start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY), &threads[1]),
        start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, SERVER), &threads[2])};
    kin_log_set_level(KIN_LOG_ERROR);
    is_refused(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = kin_server_address(servers[0])),
               KIN_EMISMATCH, "does not speak TLS 1.3");
    is_refused(KIN_MANAGER_OPTIONS(KEY, CERTIFICATES, .address = kin_server_address(servers[0])),
               KIN_EMISMATCH, "does not speak TLS 1.3");
    is_refused(KIN_MANAGER_OPTIONS(KEY, CERTIFICATES, .address = kin_server_address(servers[1])), KIN_EPERM,
               "TLS: ");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = kin_server_address(servers[2])),
               KIN_EPERM, "or uses certificates");
    /* Who begins without TLS is not answered in plain. */
    for (int i = 1; i < 3; i++) {
        char answer[256] = "";
        int fd = raw_connect(kin_server_address(servers[i]), 1);
        ck_assert_int_eq(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
        ck_assert_int_le(recv(fd, answer, sizeof answer - 1, 0), 7); /* an alert */
        ck_assert_ptr_null(strstr(answer, "kin"));
        is_closed(fd);
    }
    for (int i = 0; i < 3; i++)
        end_server(servers[i], threads[i]);
}

/* What OpenSSL's own program comes to with the server, when it is told to speak that version. */
static int s_client(const char *address, const char *version)
{
    char command[512];
    snprintf(command, sizeof command,
             "openssl s_client -%s -CAfile %s -verify_return_error -connect %s </dev/null >%s 2>&1", version,
             in("authority.pem"), strchr(address, ':') + 1, in("log"));
    return system(command);
}

/* The other way: a server that speaks nothing newer, and we come. */
static void come_to_s_server(const char *version, int code, const char *text)
{
    int ends[2], input[2]; /* it ends with its input */
    char command[512], line[256], address[64];
    snprintf(command, sizeof command,
             "exec openssl s_server -%s -accept 127.0.0.1:0 -naccept 1 -cert %s -key %s 2>&1", version,
             in("server.pem"), in("server.key"));
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(input, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(input[0], 0);
        dup2(ends[1], 1);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    close(input[0]);
    FILE *output = fdopen(ends[0], "r");
    int port = 0;
    while (!port && fgets(line, sizeof line, output))
        sscanf(line, "ACCEPT 127.0.0.1:%d", &port);
    ck_assert_int_gt(port, 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    is_refused(KIN_MANAGER_OPTIONS(KEY, CERTIFICATES, .address = address), code, text);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    fclose(output);
    close(input[1]);
}

static void older_versions_are_refused(void)
{
    pthread_t thread;
    make_certificates();
    kin_server *server = start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, CERTIFICATES, SERVER), &thread);
    kin_log_set_level(KIN_LOG_ERROR);
    ck_assert_int_eq(s_client(kin_server_address(server), "tls1_3"), 0);
    ck_assert_int_ne(s_client(kin_server_address(server), "tls1_2"), 0);
    ck_assert_int_ne(s_client(kin_server_address(server), "no_tls1_3"), 0);
    ck_assert_int_eq(s_client(kin_server_address(server), "tls1_3"), 0);
    come_to_s_server("tls1_2", KIN_EMISMATCH, "does not speak TLS 1.3");
    end_server(server, thread);
}

/* ---- broken handshakes --------------------------------------------------------------------------------------- */

/* A false server: takes what a client says first, answers with `answer`, and closes. */
struct false_server {
    int listener;
    const void *answer;
    size_t answer_size;
    uint8_t hello[4096];
    size_t size;
};

static void *serve_falsely(void *arg)
{
    struct false_server *it = arg;
    int fd = accept(it->listener, NULL, NULL);
    ssize_t got = recv(fd, it->hello, sizeof it->hello, 0);
    it->size = got > 0 ? (size_t)got : 0;
    (void)!send(fd, it->answer, it->answer_size, MSG_NOSIGNAL);
    close(fd);
    return arg;
}

static void come_to_false_server(struct false_server *it, const char *form)
{
    struct kin__os_address address;
    char text[KIN__ADDRESS_MOST], message[256];
    pthread_t thread;
    OK(kin__address_read("127.0.0.1:0", true, &address));
    OK(kin__os_listen(&address, 0, 5, &it->listener));
    fcntl(it->listener, F_SETFL, 0);
    kin__os_socket_name(it->listener, &address);
    kin__address_write(&address, text);
    ck_assert_int_eq(pthread_create(&thread, NULL, serve_falsely, it), 0);
    ck_assert_ptr_null(kin_manager_connect(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = text)));
    snprintf(message, sizeof message, "%s", kin_error_message());
    ck_assert_msg(strstr(message, form) != NULL, "%s", message);
    pthread_join(thread, NULL);
    close(it->listener);
}

static void broken_handshakes_hurt_nobody(void)
{
    pthread_t thread;
    kin_server *server = start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY), &thread);
    const char *address = kin_server_address(server);
    struct false_server false_one = {.answer = ""};
    kin_log_set_level(KIN_LOG_ERROR);
    come_to_false_server(&false_one, "closed the connection within TLS's handshake");
    ck_assert_uint_gt(false_one.size, 100);
    /* What a client says first, cut off everywhere; then with one byte changed; then twice. */
    for (size_t i = 0; i < 2 * false_one.size + 1; i++) {
        uint8_t hello[2 * sizeof false_one.hello];
        size_t size = false_one.size;
        memcpy(hello, false_one.hello, size);
        if (i < size)
            size = i;
        else if (i < 2 * size)
            hello[i - size] ^= (uint8_t)(1u << i % 8);
        else
            memcpy(hello + size, hello, size), size *= 2;
        int fd = raw_connect(address, 256 + (unsigned)i);
        ck_assert_int_eq(send(fd, hello, size, MSG_NOSIGNAL), (ssize_t)size);
        shutdown(fd, SHUT_WR);
        is_closed(fd);
    }
    /* The same for the client: an answer that is cut off, and one that is none. */
    int fd = raw_connect(address, 1);
    static uint8_t answer[4096];
    ck_assert_int_eq(send(fd, false_one.hello, false_one.size, MSG_NOSIGNAL), (ssize_t)false_one.size);
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    ck_assert_int_gt(got, 100);
    close(fd);
    for (ssize_t size = 0; size < got; size += 7) {
        struct false_server again = {.answer = answer, .answer_size = (size_t)size};
        come_to_false_server(&again, "cannot connect to");
    }
    struct false_server replay = {.answer = answer, .answer_size = (size_t)got};
    come_to_false_server(&replay, "cannot connect to");
    kin_manager *manager = let_in(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = address));
    works(manager);
    expect_nothing_left(manager);
    kin_manager_free(manager);
    end_server(server, thread);
}

static void silent_peers_have_ten_seconds(void)
{
    pthread_t thread;
    kin_server *server = start_server(KIN_MANAGER_OPTIONS(KEY, LOOPBACK, .tls = KIN_TLS_KEY), &thread);
    const char *address = kin_server_address(server);
    struct false_server false_one = {.answer = ""};
    come_to_false_server(&false_one, "closed the connection");
    int silent[3];
    double start = kin__os_now();
    for (unsigned i = 0; i < 3; i++) { /* before, within and after the first message */
        silent[i] = raw_connect(address, i);
        size_t size = false_one.size * i / 2;
        ck_assert_int_eq(send(silent[i], false_one.hello, size, MSG_NOSIGNAL), (ssize_t)size);
    }
    kin_manager *manager = let_in(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY, .address = address));
    works(manager);
    ck_assert_double_lt(kin__os_now() - start, 5); /* nobody waits for them */
    for (int i = 0; i < 3; i++)
        is_closed(silent[i]);
    ck_assert_double_gt(kin__os_now() - start, 9);
    works(manager);
    kin_manager_free(manager);
    end_server(server, thread);
}

/* ---- mistakes -------------------------------------------------------------------------------------------------- */

static void cannot_start(const kin_manager_options *options, int code, const char *text)
{
    ck_assert_ptr_null(kin_manager_start(options));
    ck_assert_msg(kin_error_code() == code && strstr(kin_error_message(), text), "%d: %s", kin_error_code(),
                  kin_error_message());
}

static void mistakes_are_told(void)
{
    make_certificates();
    test_init();
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = 3), KIN_EINVAL, "TLS 3: there is no such kind");
    cannot_start(KIN_MANAGER_OPTIONS(.tls = KIN_TLS_KEY), KIN_EINVAL, "over TCP only");
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, .certificate = "x"), KIN_EINVAL, ".tls is not");
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = KIN_TLS_CERTIFICATES), KIN_EINVAL,
                 ".certificate is not given");
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, CERTIFICATES, .certificate = in("server.pem")), KIN_EINVAL,
                 ".private_key is not given");
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = KIN_TLS_CERTIFICATES, SERVER), KIN_EINVAL,
                 ".authority is not given");
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, CERTIFICATES, .certificate = in("server.pem"),
                                     .private_key = in("strange.key")),
                 KIN_EINVAL, "strange.key\": key values mismatch");
    cannot_start(
        KIN_MANAGER_OPTIONS(LOOPBACK, CERTIFICATES, .certificate = in("none"), .private_key = in("none")),
        KIN_EINVAL, "none\"");
    cannot_start(KIN_MANAGER_OPTIONS(.address = "0.0.0.0:0"), KIN_EPERM, "set .tls");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = "192.0.2.1:5"), KIN_EPERM, "set .tls");
    is_refused(KIN_MANAGER_OPTIONS(KEY, .address = "@nobody", .tls = KIN_TLS_KEY), KIN_EINVAL,
               "over TCP only");
    ck_assert_ptr_null(kin_server_new(KIN_MANAGER_OPTIONS(KEY, .tls = KIN_TLS_KEY)));
    ck_assert_ptr_nonnull(strstr(kin_error_message(), "with TLS: it goes over TCP only"));
}

static void tls_is_served_beyond_this_machine(void)
{
    test_init();
    kin_manager *manager = start_manager(KIN_MANAGER_OPTIONS(.address = "0.0.0.0:0", .tls = KIN_TLS_KEY));
    works(manager);
    kin_manager_free(manager);
}

/* In a place where its file is another: nothing but TLS needs it. */
static void missing_openssl_is_told(void)
{
    static const char *const paths[] = {"/lib/x86_64-linux-gnu/libssl.so.3", "/usr/lib/libssl.so.3",
                                        "/usr/lib64/libssl.so.3", "/usr/lib/aarch64-linux-gnu/libssl.so.3"};
    if (geteuid() != 0 || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
        printf("# left out: only root can hide a file\n");
        return;
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], F_OK) == 0)
            ck_assert_int_eq(mount("/dev/null", paths[i], NULL, MS_BIND, NULL), 0);
    test_init();
    cannot_start(KIN_MANAGER_OPTIONS(LOOPBACK, .tls = KIN_TLS_KEY), KIN_ENOTSUP, "install OpenSSL 3");
    kin_manager *manager = start_manager(KIN_MANAGER_OPTIONS(LOOPBACK));
    works(manager);
    kin_manager_free(manager);
}

static const struct test tests[] = {
    {"key_lets_in", key_lets_in, 20, TEST_EACH_METHOD},
    {"certificates_let_in", certificates_let_in, 20, TEST_EACH_METHOD},
    {"certificate_of_clients_lets_in", certificate_of_clients_lets_in, 20, TEST_NOT_VALGRIND},
    {"large_values_and_batches_go_through", large_values_and_batches_go_through, 30, TEST_NOT_VALGRIND},
    {"fifty_clients_come_at_once", fifty_clients_come_at_once, 30, TEST_NOT_VALGRIND},
    {"dead_clients_give_back", dead_clients_give_back, 20, TEST_NOT_VALGRIND},
    {"wrong_certificates_are_refused", wrong_certificates_are_refused, 20, TEST_NOT_VALGRIND},
    {"wrong_keys_are_refused_and_their_senders_kept_out", wrong_keys_are_refused_and_their_senders_kept_out,
     20, TEST_NOT_VALGRIND},
    {"kinds_do_not_mix", kinds_do_not_mix, 20, TEST_NOT_VALGRIND},
    {"older_versions_are_refused", older_versions_are_refused, 20, TEST_NOT_VALGRIND},
    {"broken_handshakes_hurt_nobody", broken_handshakes_hurt_nobody, 40, TEST_NOT_VALGRIND},
    {"silent_peers_have_ten_seconds", silent_peers_have_ten_seconds, 30, TEST_NOT_VALGRIND},
    {"mistakes_are_told", mistakes_are_told, 20, TEST_NOT_VALGRIND},
    {"tls_is_served_beyond_this_machine", tls_is_served_beyond_this_machine, 20, TEST_NOT_VALGRIND},
    {"missing_openssl_is_told", missing_openssl_is_told, 20, TEST_NOT_VALGRIND},
};

TEST_MAIN("manager_tls", tests)
