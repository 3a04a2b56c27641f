/* connection_common.h - what the tests of connections share. */
#ifndef KIN_TESTS_CONNECTION_COMMON_H
#define KIN_TESTS_CONNECTION_COMMON_H

#include "harness.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kin.h"

#define TOP (test_time_left() - 0.5)
#define MIB ((size_t)1 << 20)

struct ends {
    kin_connection *own, *other;
};

enum kind { PIPE, STREAM };

/* An address that tests which run beside this one do not have: the process's number goes in for "*". Others keep as they are. */
static inline const char *own(const char *address)
{
    static char texts[16][100];
    static unsigned next;
    const char *star = address ? strchr(address, '*') : NULL;
    if (!star)
        return address;
    char *text = texts[next++ % 16];
    snprintf(text, sizeof texts[0], "%.*s%d%s", (int)(star - address), address, getpid(), star + 1);
    return text;
}

static inline struct ends pair(enum kind kind)
{
    kin_connection *ends[2];
    int fds[2];
    if (kind == PIPE) {
        ck_assert_msg(kin_pipe(ends, true) == 0, "%s", kin_error_message());
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        for (int i = 0; i < 2; i++)
            ck_assert_ptr_nonnull(ends[i] = kin_connection_from_fd(fds[i]));
    }
    return (struct ends){ends[0], ends[1]};
}

static inline void close_both(struct ends ends)
{
    ck_assert_int_eq(kin_connection_close(ends.own), 0);
    ck_assert_int_eq(kin_connection_close(ends.other), 0);
}

static inline void send_ok(kin_connection *connection, const void *data, size_t size)
{
    ck_assert_msg(kin_connection_send(connection, data, size, TOP) == 0, "%s", kin_error_message());
}

static inline void recv_text(kin_connection *connection, const char *text)
{
    char buffer[64];
    size_t size;
    ck_assert_msg(kin_connection_recv(connection, buffer, sizeof buffer, &size, TOP) == 0, "%s",
                  kin_error_message());
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_mem_eq(buffer, text, size);
}

static inline void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)((i * 2654435761u >> 13) + seed);
}

#endif
