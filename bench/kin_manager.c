/* kin_manager.c - a get of a dict in a manager: through shared memory, through sockets, and many at once. */
#include "run_kin.h"
#include "work.h"

#include <kin.h>

#include <stdbool.h>
#include <string.h>

enum { BATCH = 100 };

static const char key[] = "a key of the benchmark";
static kin_manager *server, *manager;
static kin_proxy *dict;
static kin_batch *batch;

static kin_manager *by_address(bool tls)
{
    return server ? kin_manager_connect(KIN_MANAGER_OPTIONS(.address = kin_manager_address(server),
                                                            .key = key, .key_size = sizeof key,
                                                            .tls = tls ? KIN_TLS_KEY : KIN_TLS_OFF))
                  : NULL;
}

void kin_manager_open(const char *who)
{
    bool tls = !strcmp(bench_set, "manager-call-tls");
    bool tcp = tls || !strcmp(bench_set, "manager-call-tcp");

    (void)who;
    server = kin_manager_start(KIN_MANAGER_OPTIONS(.address = tcp ? "127.0.0.1:0" : NULL, .key = key,
                                                   .key_size = sizeof key,
                                                   .tls = tls ? KIN_TLS_KEY : KIN_TLS_OFF));
    manager = !strcmp(bench_set, "manager-call-near") ? server : by_address(tls);
    dict = manager ? kin_proxy_new(manager, "dict", NULL, 0) : NULL;
    batch = dict ? kin_batch_new(manager) : NULL;
    kin_any one = KIN_ANY(1);
    if (!batch || kin_proxy_set(dict, KIN_ANY("x"), one))
        bench_fail("%s", kin_error_message());
}

static void one_by_one(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        kin_any value;

        if (kin_proxy_get(dict, KIN_ANY("x"), &value) || value.integer != 1)
            bench_fail("%s", kin_error_message());
    }
}

static void together(size_t count)
{
    kin_any args[] = {KIN_ANY("x")};

    for (size_t done = 0; done < count; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            if (kin_batch_add(batch, dict, "get", args, 1))
                bench_fail("%s", kin_error_message());
        if (kin_batch_run(batch, KIN_FOREVER))
            bench_fail("%s", kin_error_message());
        for (size_t i = 0; i < BATCH; i++) {
            kin_any value;

            if (kin_batch_result(batch, i, &value) || value.integer != 1)
                bench_fail("%s", kin_error_message());
        }
    }
}

double kin_manager_run(const struct bench_request *request)
{
    double start = bench_now();

    if (!strcmp(bench_set, "manager-batch"))
        together(request->repeats);
    else
        one_by_one(request->repeats);
    return bench_now() - start;
}

void kin_manager_close(void)
{
    kin_batch_free(batch);
    kin_proxy_free(dict);
    if (manager != server)
        kin_manager_free(manager);
    kin_manager_free(server);
}
