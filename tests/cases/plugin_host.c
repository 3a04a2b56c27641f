/*
 * plugin_host.c - a program that does not know kin. plugin_host [--unload] [--fork] [--exit-in-fork] PLUGIN...: load
 * each, let it work, and all once more in turn.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct plugin {
    const char *path;
    void *handle;
    int (*work)(char *said, int size);
    const void *(*heap)(void);
};

static void *find(const struct plugin *plugin, const char *name)
{
    void *found = dlsym(plugin->handle, name);
    if (!found) {
        fprintf(stderr, "%s: %s\n", plugin->path, dlerror());
        exit(2);
    }
    return found;
}

static void load(struct plugin *plugin)
{
    plugin->handle = dlopen(plugin->path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin->handle) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    *(void **)&plugin->work = find(plugin, "plugin_work");
    *(void **)&plugin->heap = find(plugin, "plugin_heap");
}

static void work(const struct plugin *plugin)
{
    char said[500] = "";
    int error = plugin->work(said, sizeof said);
    if (error) {
        fprintf(stderr, "%s: error %d: %s\n", plugin->path, error, said);
        exit(3);
    }
}

/* In a plain fork of the program: members of the families, each by its own copy. */
static void work_in_fork(const struct plugin *plugins, int count)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < count; i++)
            work(&plugins[i]);
        exit(0);
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
        fprintf(stderr, "in a fork it ended with status 0x%x\n", (unsigned)status);
        exit(4);
    }
}

int main(int argc, char **argv)
{
    struct plugin plugins[4] = {{0}};
    int count = 0;
    bool unload = false;
    for (int i = 1; i < argc && count < 4; i++)
        if (strcmp(argv[i], "--unload") == 0)
            unload = true;
        else
            plugins[count++].path = argv[i];
    for (int i = 0; i < count; i++) {
        load(&plugins[i]);
        work(&plugins[i]);
    }
    for (int i = 0; i < count; i++)
        work(&plugins[i]);
    work_in_fork(plugins, count);
    /* In one region blocks lie some MiB apart at most; regions are far from each other. */
    if (count > 1) {
        long apart = (const char *)plugins[0].heap() - (const char *)plugins[1].heap();
        puts(labs(apart) < 64 << 20 ? "one heap" : "two heaps");
    }
    for (int i = 0; unload && i < count; i++)
        dlclose(plugins[i].handle);
    return 0;
}
