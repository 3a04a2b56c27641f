/*
 * c_ping.c - the least that a call to a server can cost: 32 bytes there and back, to another process that does nothing with them.
 *
 * `ping-pong`: through one word of shared memory, where both look a while (LOOKS turns, 25 us), then sleep by futex, as managers do.
 * `socket`: through a socket, both blocking.
 */
#include "run_c.h"
#include "work.h"

#include <arpa/inet.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 32, LOOKS = 1500 };

struct board {
    _Alignas(128) _Atomic uint32_t turn; /* even: the server's answer is there; odd: a call is */
    _Atomic uint32_t asleep;
    char bytes[SIZE];
};

static struct board *board;
static int line = -1;
static pid_t server;

static void turn_to(uint32_t turn)
{
    atomic_store(&board->turn, turn);
    if (atomic_load(&board->asleep) && atomic_exchange(&board->asleep, 0))
        syscall(SYS_futex, &board->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void await_turn(uint32_t turn)
{
    for (;;) {
        for (int looks = 0; looks < LOOKS; looks++) {
            if (atomic_load_explicit(&board->turn, memory_order_acquire) == turn)
                return;
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        atomic_store(&board->asleep, 1);
        if (atomic_load(&board->turn) != turn)
            syscall(SYS_futex, &board->turn, FUTEX_WAIT, turn - 1, NULL, NULL, 0);
    }
}

static void exchange(int fd, char *bytes, int first)
{
    if (first && send(fd, bytes, SIZE, 0) != SIZE)
        bench_fail("cannot send");
    for (ssize_t at = 0, got; at < SIZE; at += got)
        if ((got = recv(fd, bytes + at, (size_t)(SIZE - at), 0)) <= 0)
            _exit(0);
    if (!first && send(fd, bytes, SIZE, 0) != SIZE)
        _exit(0);
}

static void serve(int fd)
{
    char bytes[SIZE];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint32_t turn = 1;; turn += 2)
        if (fd >= 0) {
            exchange(fd, bytes, 0);
        } else {
            await_turn(turn);
            memcpy(bytes, board->bytes, SIZE);
            memcpy(board->bytes, bytes, SIZE);
            turn_to(turn + 1);
        }
}

static void tcp_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&address, &size) ||
        connect(pair[0], (struct sockaddr *)&address, size) ||
        (pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        bench_fail("no TCP");
    for (int i = 0; i < 2; i++)
        setsockopt(pair[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
}

void c_ping_open(const char *who)
{
    int pair[2] = {-1, -1};

    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        bench_fail("no memory");
    if (strcmp(who, "ping-pong") != 0 && !strcmp(bench_set, "manager-call-tcp"))
        tcp_pair(pair);
    else if (strcmp(who, "ping-pong") != 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        bench_fail("no sockets");
    line = pair[0];
    server = fork();
    if (server < 0)
        bench_fail("no fork");
    if (!server) {
        if (pair[0] >= 0)
            close(pair[0]);
        serve(pair[1]);
    }
    if (pair[1] >= 0)
        close(pair[1]);
}

double c_ping_run(const struct bench_request *request)
{
    char bytes[SIZE] = {0};
    double start = bench_now();

    for (size_t i = 0; i < request->repeats; i++)
        if (line >= 0) {
            exchange(line, bytes, 1);
        } else {
            uint32_t turn = atomic_load(&board->turn);

            memcpy(board->bytes, bytes, SIZE);
            turn_to(turn + 1);
            await_turn(turn + 2);
            memcpy(bytes, board->bytes, SIZE);
        }
    return bench_now() - start;
}

void c_ping_close(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}
