/*
 * connection_fuzz_test.c - what a peer that is broken or malicious may send: streams, handshakes and packets of random bytes, and
 * right ones with random changes. Nothing crashes, waits or leaks; what is wrong is an error. The numbers are the same in each run.
 */
#include "connection_common.h"

#include <errno.h>
#include <stdlib.h>

#include "family/heap.h"
#include "message/connection_private.h"
#include "message/handshake.h"
#include "message/transit.h"

#define SHORT_ROUNDS 3000
#define LONG_ROUNDS 300000
#define BYTES_MOST 400u

static uint64_t state;

static uint32_t number(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 33) % below;
}

static int rounds(void)
{
    state = 1;
    return test_long() ? LONG_ROUNDS : SHORT_ROUNDS;
}

/* A frame with `size` bytes of text, at `to`; its length. */
static size_t frame(unsigned char *to, const void *text, size_t size)
{
    unsigned char head[4] = {0, 0, (unsigned char)(size >> 8), (unsigned char)size};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, text, size);
    return sizeof head + size;
}

/* A few bytes of it become others, or it is cut. */
static size_t spoil(unsigned char *bytes, size_t size)
{
    static const unsigned char odd[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};
    for (uint32_t i = number(4); i > 0 && size; i--)
        bytes[number((uint32_t)size)] = number(2) ? odd[number(sizeof odd)] : (unsigned char)number(256);
    return size && number(4) == 0 ? number((uint32_t)size) : size;
}

static bool is_one_of(int error, const int *codes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (codes[i] == error)
            return true;
    return false;
}

/* ---- streams --------------------------------------------------------------------------------- */

static size_t some_frames(unsigned char *bytes)
{
    size_t size = 0;
    while (number(3) && size < BYTES_MOST / 2) {
        unsigned char text[60];
        size_t length = number(sizeof text);
        memset(text, 'x', sizeof text);
        size += frame(bytes + size, text, length);
    }
    if (number(4) == 0) /* a wide length */
        for (int i = 0; i < 12; i++)
            bytes[size++] = (unsigned char)(i < 4 ? 0xff : number(4) ? 0 : number(256));
    return size;
}

static void any_stream_is_taken_or_refused(void)
{
    static const int codes[] = {KIN_ETOOLARGE, KIN_ECLOSED, KIN_EDIED, KIN_EMISMATCH, KIN_ETIMEDOUT};
    test_init();
    for (int round = rounds(); round > 0; round--) {
        unsigned char bytes[BYTES_MOST + 100];
        char buffer[64];
        int fds[2], error = 0;
        size_t size = spoil(bytes, some_frames(bytes)), got;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        kin_connection *connection = kin_connection_from_fd(fds[0]);
        size_t first = size ? number((uint32_t)size) : 0;
        if (write(fds[1], bytes, first) != (ssize_t)first)
            ck_abort_msg("no write");
        for (int i = 0; i < 3; i++)
            if ((error = kin_connection_recv(connection, buffer, sizeof buffer, &got, 0)) != 0 &&
                !is_one_of(error, codes, sizeof codes / sizeof *codes))
                ck_abort_msg("round %d: %d, %s", round, error, kin_error_message());
        if (write(fds[1], bytes + first, size - first) != (ssize_t)(size - first))
            ck_abort_msg("no write");
        close(fds[1]);
        while ((error = kin_connection_recv(connection, buffer, sizeof buffer, &got, 0)) == 0)
            if (got > sizeof buffer)
                ck_abort_msg("a message of %zu bytes", got);
        if (!is_one_of(error, codes, sizeof codes / sizeof *codes))
            ck_abort_msg("round %d: %d, %s", round, error, kin_error_message());
        if (kin_connection_close(connection))
            ck_abort_msg("%s", kin_error_message());
    }
}

/* ---- handshakes ------------------------------------------------------------------------------ */

/* What the other side would say, if it had the key, as far as it can be said beforehand. */
static size_t some_handshake(unsigned char *bytes)
{
    static const char *const texts[] = {"#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
                                        "#CHALLENGE#01234567890123456789",
                                        "#CHALLENGE#{md5}01234567890123456789",
                                        "#CHALLENGE#",
                                        "#WELCOME#",
                                        "#FAILURE#",
                                        "0123456789012345",
                                        "{sha256}01234567890123456789012345678901",
                                        "{sha256}",
                                        ""};
    size_t size = 0;
    for (uint32_t i = number(4) + 1; i > 0; i--) {
        const char *text = texts[number(sizeof texts / sizeof *texts)];
        size += frame(bytes + size, text, strlen(text));
    }
    return number(2) ? spoil(bytes, size) : size;
}

static void no_handshake_succeeds_by_chance(void)
{
    static const int codes[] = {KIN_EPERM, KIN_EMISMATCH, KIN_ECLOSED};
    struct kin__key key;
    ck_assert_int_eq(kin__key_copy("a key", 5, false, &key), 0);
    for (int round = rounds(); round > 0; round--) {
        unsigned char bytes[BYTES_MOST];
        struct kin__handshake shake;
        int fds[2], result;
        size_t size = some_handshake(bytes);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        kin__handshake_begin(&shake, fds[0], round % 2);
        size_t first = size ? number((uint32_t)size) : 0;
        if (write(fds[1], bytes, first) != (ssize_t)first)
            ck_abort_msg("no write");
        result = kin__handshake_go_on(&shake, &key);
        if (result == KIN__SHAKES_IN) {
            if (write(fds[1], bytes + first, size - first) != (ssize_t)(size - first))
                ck_abort_msg("no write");
            shutdown(fds[1], SHUT_WR);
            result = kin__handshake_go_on(&shake, &key);
        }
        if (!is_one_of(result, codes, sizeof codes / sizeof *codes))
            ck_abort_msg("round %d: %d, %s", round, result, kin_error_message());
        close(fds[0]);
        close(fds[1]);
    }
    kin__key_free(&key);
}

/* ---- packets --------------------------------------------------------------------------------- */

static void send_packet(int fd, const struct kin__packet *head, size_t size, bool with_fd)
{
    unsigned char bytes[BYTES_MOST + sizeof *head] = {0};
    memcpy(bytes, head, sizeof *head);
    struct iovec part = {bytes, size};
    int sent = STDERR_FILENO;
    if (kin__os_send(fd, &part, 1, &sent, with_fd, true) < 0)
        ck_abort_msg("no send");
}

static void any_packet_is_taken_or_refused(void)
{
    static const int codes[] = {KIN_ETOOLARGE, KIN_EMISMATCH, KIN_ETIMEDOUT, KIN_EINVAL,
                                KIN_ELIMIT,    KIN_EDAMAGED,  KIN_ECLOSED,   KIN_ESYSTEM};
    test_init();
    struct ends ends = pair(PIPE);
    unsigned char *large = calloc(1, MIB);
    send_ok(ends.own, large, MIB); /* so that there is a table, and slot 0 was one */
    ck_assert_int_eq(kin_connection_recv(ends.other, large, MIB, NULL, TOP), 0);
    for (int round = rounds(); round > 0; round--) {
        struct kin__packet head = {.kind = (uint8_t)number(8),
                                   .slot = number(2) ? number(3) : number(UINT32_MAX),
                                   .number = number(3),
                                   .size =
                                       number(2) ? number(100) : (uint64_t)number(UINT32_MAX) << number(32)};
        size_t size = number(8) ? sizeof head + number(100) : number(sizeof head) + 1;
        char buffer[64];
        int error, fd = -1;
        send_packet(kin_connection_fd(ends.own), &head, size, number(2));
        switch (number(3)) {
        case 0:
            error = kin_connection_recv(ends.other, buffer, sizeof buffer, NULL, 0);
            break;
        case 1:
            error = kin_connection_recv_fd(ends.other, &fd, 0);
            break;
        default:
            error = kin_connection_recv(ends.other, large, MIB, NULL, 0);
            break;
        }
        if (error && !is_one_of(error, codes, sizeof codes / sizeof *codes))
            ck_abort_msg("round %d: %d, %s", round, error, kin_error_message());
        if (fd >= 0)
            close(fd);
        if (error == KIN_ETOOLARGE || error == KIN_EINVAL) { /* it stays: a new pipe */
            close_both(ends);
            ends = pair(PIPE);
        }
    }
    close_both(ends);
    free(large);
    ck_assert_int_eq(kin__heap_check(), 0);
}

static const struct test tests[] = {
    {"any_stream_is_taken_or_refused", any_stream_is_taken_or_refused, 300, 0},
    {"no_handshake_succeeds_by_chance", no_handshake_succeeds_by_chance, 300, 0},
    {"any_packet_is_taken_or_refused", any_packet_is_taken_or_refused, 300, 0},
};
TEST_MAIN("connection_fuzz", tests)
