/*
 * manager_served.c - manager_served ADDRESS KEY [insecure | DIRECTORY [ask]]: a server with a type of its own, for clients that are no C
 * programs. Says where it is. A directory has server.pem, server.key and authority.pem, for TLS; ask: clients must have certificates, too.
 */
#include <kin.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int construct(kin_call *call, void **object)
{
    int64_t first = 0;
    int error = kin_call_count(call) ? kin_call_int(call, 0, &first) : 0;
    int64_t *sum = error ? NULL : malloc(sizeof *sum);
    if (!sum)
        return error ? error : KIN_ENOMEM;
    *sum = first;
    *object = sum;
    return 0;
}

static int add(kin_call *call, void *object)
{
    int64_t *sum = object, amount;
    int error = kin_call_int(call, 0, &amount);
    if (error)
        return error;
    *sum += amount;
    return kin_call_return(call, kin_any_int(*sum));
}

static int fail(kin_call *call, void *object)
{
    const char *text;
    (void)object;
    int error = kin_call_text(call, 0, &text);
    return error ? error : kin_error_set(-2001, "no tally today: %s", text);
}

static const kin_method methods[] = {{.name = "add", .function = add},
                                     {.name = "fail", .function = fail, .blocking = true}};
static const kin_manager_type tally = {.size = sizeof(kin_manager_type),
                                       .name = "Tally",
                                       .construct = construct,
                                       .destruct = free,
                                       .methods = methods,
                                       .method_count = 2};

static int square(kin_call *call)
{
    int64_t number;
    int error = kin_call_int(call, 0, &number);
    return error ? error : kin_call_return(call, kin_any_int(number * number));
}

static int set_up(kin_server *server, void *arg)
{
    (void)arg;
    int error = kin_server_register_function(server, "square", square);
    return error ? error : kin_server_register(server, &tally);
}

static kin_server *serving;

static void stop(int signal)
{
    (void)signal;
    kin_server_stop(serving); /* NOLINT(bugprone-signal-handler): made for that (kin/manager.h) */
}

int main(int argc, char **argv)
{
    if (argc < 3 || kin_init(&argc, &argv))
        return 2;
    kin_manager_options options = {.size = sizeof options,
                                   .address = argv[1],
                                   .key = argv[2],
                                   .key_size = strlen(argv[2]),
                                   .setup = set_up};
    if (argc > 3 && strcmp(argv[3], "insecure") == 0)
        options.insecure = true;
    else if (argc > 3 && chdir(argv[3]) == 0) {
        options.tls = KIN_TLS_CERTIFICATES;
        options.certificate = "server.pem";
        options.private_key = "server.key";
        options.authority = "authority.pem";
        options.client_certificates = argc > 4;
    } else if (argc > 3) {
        return 2;
    }
    serving = kin_server_new(&options);
    if (!serving) {
        fprintf(stderr, "%s\n", kin_error_message());
        return 1;
    }
    signal(SIGTERM, stop);
    printf("%s\n", kin_server_address(serving));
    fflush(stdout);
    int error = kin_server_serve(serving);
    kin_server_free(serving);
    return error ? 1 : 0;
}
