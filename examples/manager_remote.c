/*
 * manager_remote.c - a manager that serves strangers by TCP, with a type of its own. Beside it, manager_remote.py.
 *
 * The server and the client share nothing but an address and a key, so they might as well be on two machines (where .tls is wanted, or
 * .insecure, which says that unencrypted TCP will do). What a client may call is what the server has registered.
 */
#include <kin.h>

#include <stdio.h>
#include <stdlib.h>

static const char key[] = "only we two know this key";

static void die(const char *what)
{
    fprintf(stderr, "manager_remote: %s: %s\n", what, kin_error_message());
    exit(1);
}

/* ---- the type --------------------------------------------------------------------------------------- */

static int new_counter(kin_call *call, void **object)
{
    int64_t first;
    int error = kin_call_int(call, 0, &first);
    int64_t *counter = error ? NULL : malloc(sizeof *counter);
    if (!counter)
        return error ? error : KIN_ENOMEM;
    *counter = first;
    *object = counter;
    return 0;
}

static int count(kin_call *call, void *object)
{
    int64_t *counter = object;
    return kin_call_return(call, kin_any_int(++*counter));
}

static int fail(kin_call *call, void *object)
{
    (void)call;
    (void)object;
    return kin_error_set(KIN_EFAILED, "out of numbers");
}

static const kin_method methods[] = {{.name = "count", .function = count},
                                     {.name = "fail", .function = fail}};
static const kin_manager_type counter_type = {
    .size = sizeof(kin_manager_type),
    .name = "Counter",
    .construct = new_counter,
    .destruct = free,
    .methods = methods,
    .method_count = 2,
};

static int set_up(kin_server *server, void *arg)
{
    (void)arg;
    kin_log_set_level(KIN_LOG_ERROR); /* that it refuses somebody is expected here */
    return kin_server_register(server, &counter_type);
}

/* ---- two strangers ---------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("start");
    kin_manager *server = kin_manager_start(KIN_MANAGER_OPTIONS(.address = "127.0.0.1:0", .key = key,
                                                                .key_size = sizeof key - 1, .setup = set_up));
    if (!server)
        die("server");

    /* Any other program: it knows address and key. */
    kin_manager *manager = kin_manager_connect(
        KIN_MANAGER_OPTIONS(.address = kin_manager_address(server), .key = key, .key_size = sizeof key - 1));
    kin_proxy *counter = kin_proxy_new(manager, "Counter", (kin_any[]){KIN_ANY(40)}, 1);
    kin_any value = {0};
    if (!counter)
        die("connect");
    for (int i = 0; i < 2; i++)
        if (kin_proxy_call(counter, "count", NULL, 0, &value))
            die("count");
    printf("the counter says %d\n", (int)value.integer);
    if (kin_proxy_call(counter, "fail", NULL, 0, NULL) == KIN_EFAILED)
        printf("it failed over there\n");
    kin_proxy_free(counter);
    kin_manager_free(manager);

    if (!kin_manager_connect(KIN_MANAGER_OPTIONS(.address = kin_manager_address(server),
                                                 .key = "quite another key", .key_size = 17)))
        printf("another key does not open it\n");
    kin_manager_free(server);
    return 0;
}
