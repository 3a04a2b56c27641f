/* run_openssl.c - the least that a call by TLS can cost: 32 bytes there and back over loopback, by OpenSSL, to another process that
 * does nothing with them. TLS 1.3 by key, and the cipher that managers use. */
#include "runner.h"
#include "work.h"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 32 };

static const unsigned char key[32] = "a key of the benchmark";
static SSL *line;
static pid_t server;

static unsigned int client_key(SSL *ssl, const char *hint, char *identity, unsigned int most,
                               unsigned char *out, unsigned int room)
{
    (void)ssl, (void)hint;
    if (most < 6 || room < sizeof key)
        return 0;
    memcpy(identity, "bench", 6);
    memcpy(out, key, sizeof key);
    return sizeof key;
}

static unsigned int server_key(SSL *ssl, const char *identity, unsigned char *out, unsigned int room)
{
    (void)ssl;
    if (strcmp(identity, "bench") != 0 || room < sizeof key)
        return 0;
    memcpy(out, key, sizeof key);
    return sizeof key;
}

static SSL *over(int fd, int serves)
{
    int on = 1;
    SSL_CTX *context = SSL_CTX_new(serves ? TLS_server_method() : TLS_client_method());

    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1)
        bench_fail("no TLS 1.3");
    SSL_CTX_set_psk_client_callback(context, client_key);
    SSL_CTX_set_psk_server_callback(context, server_key);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || (serves ? SSL_accept(ssl) : SSL_connect(ssl)) != 1)
        bench_fail("no handshake");
    return ssl;
}

static int move_all(SSL *ssl, char *bytes, int reads)
{
    for (int at = 0, moved; at < SIZE; at += moved) {
        moved = reads ? SSL_read(ssl, bytes + at, SIZE - at) : SSL_write(ssl, bytes + at, SIZE - at);
        if (moved <= 0)
            return 0;
    }
    return 1;
}

static void serve(int listener)
{
    char bytes[SIZE];
    int fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if ((fd = accept(listener, NULL, NULL)) < 0)
        _exit(1);
    SSL *ssl = over(fd, 1);
    while (move_all(ssl, bytes, 1) && move_all(ssl, bytes, 0))
        ;
    _exit(0);
}

static void open_line(const char *who)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)who;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        bench_fail("no TCP");
    server = fork();
    if (server < 0)
        bench_fail("no fork");
    if (!server)
        serve(listener);
    close(listener);
    if (connect(fd, (struct sockaddr *)&address, size))
        bench_fail("no TCP");
    line = over(fd, 0);
}

static double run(const struct bench_request *request)
{
    char bytes[SIZE] = {0};
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++)
        if (!move_all(line, bytes, 0) || !move_all(line, bytes, 1))
            bench_fail("the line is cut");
    return bench_now() - start;
}

static void close_line(void)
{
    SSL_free(line);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"manager-call-tls", "openssl", open_line, run, close_line},
    };
    return bench_serve(argc, argv, contestants, sizeof contestants / sizeof *contestants);
}
