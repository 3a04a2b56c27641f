/* run_redis.c - Redis, as the server that people would use in a manager's place: redis-server with hiredis. */
#include "runner.h"
#include "work.h"

#include <hiredis/hiredis.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 100 };

static char folder[] = "/tmp/kin-bench-redis-XXXXXX", path[64];
static pid_t server;
static redisContext *redis;

static void close_redis(void)
{
    if (redis)
        redisFree(redis);
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    unlink(path);
    rmdir(folder);
}

static void open_redis(const char *who)
{
    char port[16];

    (void)who;
    if (!mkdtemp(folder))
        bench_fail("no folder");
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(port, sizeof port, "%d", 20000 + (int)(getpid() % 20000));
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket", path,
               "--save", "", "--appendonly", "no", "--dir", folder, (char *)NULL);
        _exit(127);
    }
    for (int tries = 0; tries < 500 && (!redis || redis->err); tries++) {
        if (redis)
            redisFree(redis);
        usleep(10000);
        if (waitpid(server, NULL, WNOHANG) == server)
            bench_fail("redis-server does not start");
        redis = strcmp(bench_set, "manager-call-tcp") ? redisConnectUnix(path)
                                                      : redisConnect("127.0.0.1", atoi(port));
    }
    if (!redis || redis->err)
        bench_fail("redis: %s", redis ? redis->errstr : "no memory");
    freeReplyObject(redisCommand(redis, "SET x 1"));
}

static void check(redisReply *reply)
{
    if (!reply || reply->type != REDIS_REPLY_STRING || strcmp(reply->str, "1") != 0)
        bench_fail("redis: %s", redis->err ? redis->errstr : "a wrong answer");
    freeReplyObject(reply);
}

static double run_redis(const struct bench_request *request)
{
    double start = bench_now();

    if (strcmp(bench_set, "manager-batch") != 0) {
        for (size_t i = 0; i < request->repeats; i++)
            check(redisCommand(redis, "GET x"));
        return bench_now() - start;
    }
    for (size_t done = 0; done < request->repeats; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++)
            redisAppendCommand(redis, "GET x");
        for (size_t i = 0; i < BATCH; i++) {
            void *reply = NULL;

            redisGetReply(redis, &reply);
            check(reply);
        }
    }
    return bench_now() - start;
}

int main(int argc, char **argv)
{
    static const struct bench_contestant contestants[] = {
        {"manager-*", "redis", open_redis, run_redis, close_redis},
    };

    return bench_serve(argc, argv, contestants, 1);
}
