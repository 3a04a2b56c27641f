/* named_memory.c - memory by name, for programs that have no common parent: one makes it, another attaches to it. */
#include <kin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, kin_error_message());
    exit(1);
}

/* As a stranger would: it knows the name and nothing else. */
static int write_there(void *name)
{
    kin_shared_memory *memory = kin_shared_memory_attach(name);
    if (!memory)
        return 1;
    memcpy(kin_shared_memory_buf(memory), "howdy", 6);
    kin_shared_memory_close(memory);
    return 0;
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    kin_shared_memory *memory = kin_shared_memory_create(NULL, 512, NULL);
    if (!memory)
        die("create");
    const char *name = kin_shared_memory_name(memory);
    kin_process *process = kin_process_start(write_there, name, strlen(name) + 1, NULL);
    if (!process)
        die("start");
    kin_process_join(process, KIN_FOREVER);
    kin_process_free(process);
    printf("bytes: %zu, written: %s\n", kin_shared_memory_size(memory),
           (char *)kin_shared_memory_buf(memory));
    if (kin_shared_memory_unlink(name))
        die("unlink");
    if (!kin_shared_memory_attach(name))
        printf("the name is gone\n");
    kin_shared_memory_close(memory);
    return 0;
}
