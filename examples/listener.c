/*
 * listener.c - processes that are no relatives talk, with a key. Beside it, listener.py.
 *
 *     listener                   a listener and two clients, the second one with a wrong key
 *     listener serve ADDRESS     only the listener, for one client and one message
 *     listener ask ADDRESS       only the client
 *
 * The protocol is that of Python's multiprocessing.connection: with serve and ask, the twin can be at the other side.
 */
#include <kin.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY "secret of both"

static void die(const char *what)
{
    fprintf(stderr, "listener: %s: %s\n", what, kin_error_message());
    exit(1);
}

static int ask(const char *address, const char *key)
{
    char text[100];
    size_t size;
    kin_connection *connection =
        kin_client(address, KIN_CLIENT_OPTIONS(.key = key, .key_size = strlen(key)), 10);
    if (!connection) {
        printf("client: %s\n", kin_error_code() == KIN_EPERM ? "the key is wrong" : kin_error_message());
        return 0;
    }
    if (kin_connection_send(connection, "hello", 5, 10) ||
        kin_connection_recv(connection, text, sizeof text, &size, 10))
        return 1;
    printf("client: hello, %.*s\n", (int)size, text);
    return kin_connection_close(connection);
}

/* False: it had another key. */
static bool serve(kin_listener *listener)
{
    char text[100];
    size_t size = 0;
    kin_connection *connection = kin_listener_accept(listener, 10);
    if (!connection && kin_error_code() == KIN_EPERM)
        return false;
    if (!connection || kin_connection_recv(connection, text, sizeof text, &size, 10))
        die("accept");
    for (size_t i = 0; i < size; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    if (kin_connection_send(connection, text, size, 10) || kin_connection_close(connection))
        die("answer");
    return true;
}

static kin_listener *listen_at(const char *address)
{
    kin_listener *listener =
        kin_listener_new(address, KIN_LISTENER_OPTIONS(.key = KEY, .key_size = strlen(KEY)));
    if (!listener)
        die("listen");
    return listener;
}

struct client {
    char address[100];
    char key[40];
};

static int client(void *arg)
{
    const struct client *told = arg;
    return ask(told->address, told->key);
}

static void serve_child(kin_listener *listener, const char *key)
{
    struct client told;
    snprintf(told.address, sizeof told.address, "%s", kin_listener_address(listener));
    snprintf(told.key, sizeof told.key, "%s", key);
    kin_process *process = kin_process_start(client, &told, sizeof told, NULL);
    if (!process)
        die("client");
    bool served = serve(listener);
    if (kin_process_join(process, KIN_FOREVER))
        die("join");
    kin_process_free(process);
    printf("listener: %s\n", served ? "served" : "refused");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (kin_init(&argc, &argv))
        die("start");
    if (argc == 3 && strcmp(argv[1], "ask") == 0)
        return ask(argv[2], KEY);
    kin_listener *listener = listen_at(argc == 3 ? argv[2] : NULL);
    if (argc == 3) {
        serve(listener);
    } else {
        serve_child(listener, KEY);
        serve_child(listener, "a guess");
    }
    return kin_listener_close(listener);
}
