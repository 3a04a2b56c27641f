/* manager/manager.c - a manager is started, found, and ended: see kin/manager.h. */
#include "kin/manager.h"

#include "base/failure.h"
#include "base/log.h"
#include "kin/event.h"
#include "kin/heap.h"
#include "manager/client.h"
#include "manager/hello.h"
#include "manager/near.h"
#include "process/function.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_LIMIT ((size_t)64 << 20)
#define FREE_TIME 5.0
#define CALLERS_TIME 1.0
#define SHORTLY 1e-3 /* seconds in which a shutdown that waits for nothing is sent */
#define DEFAULT_KEY 32u

/* What the server's process is told, and tells: in the heap, the starter's. */
struct start {
    kin_manager *manager;
    kin_manager_options options; /* without pointers but setup_arg */
    struct kin__function setup;  /* 0: none */
    kin_event *told;             /* set when it can be reached, or has failed */
    kin_error error;
};

/* ---- the server's process ------------------------------------------------------------------------------ */

static int resolve_setup(const struct start *start, kin_manager_options *options)
{
    void (*setup)(void);
    if (!start->setup.module)
        return 0;
    int error = kin__function_resolve(&start->setup, &setup);
    options->setup = (int (*)(kin_server *, void *))setup;
    return error;
}

static const char *name_or_null(const char *name)
{
    return name[0] ? name : NULL;
}

static void use_names(const struct kin__tls_names *names, kin_manager_options *options)
{
    options->tls = names->tls;
    options->client_certificates = names->client_certificates;
    options->certificate = name_or_null(names->certificate);
    options->private_key = name_or_null(names->private_key);
    options->authority = name_or_null(names->authority);
    options->tls_host = name_or_null(names->host);
}

static int server_main(void *arg)
{
    struct start *start = arg;
    kin_manager *manager = start->manager;
    kin_manager_options options = start->options;
    options.name = manager->sync.name;
    options.address = manager->address[0] ? manager->address : NULL;
    options.key = manager->key;
    options.key_size = manager->key_size;
    use_names(&manager->tls, &options);
    signal(SIGINT, SIG_IGN); /* Ctrl-C ends who uses it; then it ends, too */
    int error = resolve_setup(start, &options);
    kin_server *server = error ? NULL : kin_server_new(&options);
    if (server)
        server->manager = manager;
    if (server && kin__server_set_near(server, manager->near)) {
        kin_server_free(server);
        server = NULL;
    }
    if (!server) {
        kin_error_get(&start->error);
        kin_event_set(start->told);
        return 1;
    }
    snprintf(manager->address, sizeof manager->address, "%s", kin_server_address(server));
    kin_event_set(start->told); /* from here on `start` is not ours */
    error = kin_server_serve(server);
    kin_server_free(server);
    return error ? 1 : 0;
}

/* ---- made ------------------------------------------------------------------------------------------------ */

static uint64_t new_number(void)
{
    uint64_t number = 0;
    return kin__random(&number, sizeof number) ? number | 1 : 0;
}

static int set_key(kin_manager *manager, const kin_manager_options *options)
{
    if (options->key && (options->key_size < KIN_KEY_LEAST || options->key_size > KIN_KEY_MOST))
        return kin__fail(KIN_EINVAL, "cannot use a key of %zu bytes: it must have %d to %d",
                         options->key_size, KIN_KEY_LEAST, KIN_KEY_MOST);
    if (options->key) {
        memcpy(manager->key, options->key, options->key_size);
        manager->key_size = options->key_size;
        return 0;
    }
    manager->key_size = DEFAULT_KEY;
    return kin__random(manager->key, DEFAULT_KEY) ? 0 : kin_error_code();
}

/* First it is no manager any more: should we die in the middle, nobody calls through slots that are free already. */
static void free_manager(kin_manager *manager)
{
    atomic_store(&manager->sync.head.magic, 0);
    explicit_bzero(manager->key, sizeof manager->key);
    kin_free(manager->near);
    kin__sync_free(manager);
}

/* Who sleeps in a call is woken by the server's last answers, or finds that it is gone; until then he looks into his slot. Who is stopped
 * himself keeps the slots from being freed. */
static void await_callers(kin_manager *manager)
{
    double deadline = kin__os_deadline(CALLERS_TIME);
    bool none;
    while (!(none = kin__waits_none(manager) == 0) && kin__os_left(deadline) > 0)
        poll(NULL, 0, 1);
    if (none)
        return;
    kin_log(KIN_LOG_WARNING, "manager \"%s\" leaves %zu bytes behind: %s", manager->sync.name,
            sizeof *manager->near, kin_error_message());
    manager->near = NULL;
}

static kin_manager *new_manager(const kin_manager_options *options)
{
    kin_manager *manager = kin__sync_new(sizeof *manager, options->name ? options->name : "manager");
    if (!manager)
        return NULL;
    manager->maker = kin__self_id();
    manager->insecure = options->insecure;
    manager->call_limit = options->call_limit;
    manager->message_limit = options->message_limit ? options->message_limit : MESSAGE_LIMIT;
    manager->number = new_number();
    if (!(options->call_limit >= 0)) {
        kin__fail(KIN_EINVAL, "cannot use a call limit of %g seconds", options->call_limit);
    } else if (options->address && strlen(options->address) >= sizeof manager->address) {
        kin__fail(KIN_EINVAL, "cannot use the address \"%.60s...\": it is longer than %zu bytes",
                  options->address, sizeof manager->address - 1);
    } else if (manager->number && !set_key(manager, options) &&
               !kin__tls_names_read(options, &manager->tls)) {
        if (options->address)
            snprintf(manager->address, sizeof manager->address, "%s", options->address);
        return manager;
    }
    free_manager(manager);
    return NULL;
}

static int await(const struct start *start, kin_process *process)
{
    int error;
    while ((error = kin_event_wait(start->told, 1.0)) == KIN_ETIMEDOUT)
        if (!kin_process_is_alive(process) && !kin_event_is_set(start->told)) {
            kin_error why;
            kin_process_join(process, 1.0);
            kin_process_error(process, &why);
            return kin__fail(KIN_EDIED, "manager \"%s\" has ended before it could be reached%s%s",
                             start->manager->sync.name, why.code ? ": " : "", why.code ? why.message : "");
        }
    return error ? error : start->error.code ? kin__fail_with(&start->error) : 0;
}

static int start_process(struct start *start, const kin_manager_options *options)
{
    kin_manager *manager = start->manager;
    if (options->setup) {
        int error = kin__function_refer((void (*)(void))options->setup, &start->setup,
                                        "the manager's setup function");
        if (error)
            return error;
    }
    if (!(start->told = kin_event_new(NULL)))
        return kin_error_code();
    manager->near = kin_aligned_alloc(128, sizeof *manager->near);
    if (!manager->near)
        return kin_error_code();
    memset(manager->near, 0, offsetof(struct kin__near, slot));
    start->options = *options;
    start->options.name = start->options.address = NULL;
    start->options.key = NULL;
    start->options.setup = NULL;
    use_names(&(struct kin__tls_names){0}, &start->options);
    manager->process =
        kin_process_start_shared(server_main, start,
                                 KIN_PROCESS_OPTIONS(.name = manager->sync.name, .daemon = true,
                                                     .start_method = options->start_method));
    return manager->process ? await(start, manager->process) : kin_error_code();
}

static kin_manager *start_manager(const kin_manager_options *options)
{
    kin_manager *manager = new_manager(options);
    struct start *start = manager ? kin_calloc(1, sizeof *start) : NULL;
    int error = -1;
    if (start) {
        struct kin__connected *client;
        start->manager = manager;
        error = start_process(start, options);
        if (!error) {
            kin__sync_publish(manager, KIN__MANAGER_MAGIC);
            error = kin__client(manager, &client);
        }
    }
    if (manager && error) {
        kin_error why;
        kin_error_get(&why);
        atomic_store(&manager->sync.head.magic, 0);
        kin_process_free(manager->process);
        free_manager(manager);
        kin__fail_with(&why);
        manager = NULL;
    }
    if (start) {
        kin_event_free(start->told);
        kin_free(start);
    }
    return manager;
}

kin_manager *kin_manager_start(const kin_manager_options *given)
{
    kin_manager_options options;
    if (kin__options_read(&options, sizeof options, given, "manager options"))
        return NULL;
    options.size = sizeof options;
    if (!kin__self()) {
        if (!kin__region)
            kin__fail(KIN_ENOINIT, "cannot start a manager: kin_init has not been called");
        return NULL;
    }
    int before = kin__os_cancel_hold();
    kin_manager *manager = start_manager(&options);
    kin__os_cancel_restore(&before);
    return manager;
}

kin_manager *kin_manager_connect(const kin_manager_options *given)
{
    kin_manager_options options;
    struct kin__connected *client;
    if (kin__options_read(&options, sizeof options, given, "manager options"))
        return NULL;
    if (!options.address || !options.key) {
        kin__fail(KIN_EINVAL, "cannot connect to a manager: no %s is given",
                  options.address ? "key" : "address");
        return NULL;
    }
    kin_manager *manager = new_manager(&options);
    if (!manager)
        return NULL;
    kin__sync_publish(manager, KIN__MANAGER_MAGIC);
    if (kin__client(manager, &client) == 0)
        return manager;
    kin_error why;
    kin_error_get(&why);
    free_manager(manager);
    kin__fail_with(&why);
    return NULL;
}

/* ---- ended ------------------------------------------------------------------------------------------------- */

int kin_manager_shutdown(kin_manager *manager, double timeout)
{
    int error = kin__object_check(manager, KIN__MANAGER_MAGIC, "shut a manager down");
    if (error || (error = kin__timeout_check(timeout)))
        return error;
    double deadline = kin__os_deadline(timeout);
    error = kin__client_call(
        manager, &(struct kin__request){.method = "shutdown", .limit = timeout > 0 ? timeout : SHORTLY},
        NULL);
    if (!manager->process)
        return error == KIN_EDIED || error == KIN_ECLOSED ? 0 : error;
    if (kin_process_join(manager->process, kin__os_left(deadline)) == 0)
        return 0;
    kin_process_kill(manager->process);
    kin_process_join(manager->process, KIN_FOREVER);
    return kin__fail(KIN_ETIMEDOUT, "manager \"%s\" had not ended after %g seconds, and was killed",
                     manager->sync.name, timeout);
}

void kin_manager_free(kin_manager *manager)
{
    if (!manager)
        return;
    if (kin__object_check(manager, KIN__MANAGER_MAGIC, "free a manager") ||
        manager->maker != kin__self_id()) {
        kin_log(KIN_LOG_ERROR, "kin_manager_free: %s: ignored",
                kin__object_is(manager, KIN__MANAGER_MAGIC) ? "another process has made it"
                                                            : kin_error_message());
        return;
    }
    if (manager->process) {
        kin_manager_shutdown(manager, FREE_TIME);
        kin_process_free(manager->process);
    }
    kin__client_leave(manager);
    if (manager->near)
        await_callers(manager);
    free_manager(manager);
}

const char *kin_manager_address(const kin_manager *manager)
{
    return kin__object_check(manager, KIN__MANAGER_MAGIC, "ask where a manager is") ? "" : manager->address;
}

kin_process *kin_manager_process(const kin_manager *manager)
{
    return kin__object_check(manager, KIN__MANAGER_MAGIC, "ask for a manager's process") ? NULL
                                                                                         : manager->process;
}

int kin_manager_counts_get(kin_manager *manager, kin_manager_counts *out)
{
    kin_any answer;
    size_t *all[] = {&out->objects, &out->references, &out->clients, &out->waiting,
                     &out->bytes,   &out->held,       &out->calls};
    int error = kin__client_call(manager, &(struct kin__request){.method = "counts", .timeout = KIN__UNTIMED},
                                 &answer);
    if (error)
        return error;
    struct kin__reader reader = {answer.data, (const uint8_t *)answer.data + answer.size};
    struct kin__head head;
    uint64_t number;
    kin__read_head(&reader, &head);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        *all[i] = kin__read_uint(&reader, &number) ? number : 0;
    kin_any_clear(&answer);
    return 0;
}
