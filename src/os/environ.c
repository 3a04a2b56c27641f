/* os/environ.c - setting variables of the environment in a forked child; environ(7). */
#include "os/os.h"

#include "kin/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static const struct kin__variable *find(const char *entry, const struct kin__variable *set, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(set[i].name);
        if (strncmp(entry, set[i].name, length) == 0 && entry[length] == '=')
            return &set[i];
    }
    return NULL;
}

static char *entry_of(const struct kin__variable *variable)
{
    size_t room = strlen(variable->name) + strlen(variable->value) + 2;
    char *entry = malloc(room);
    if (entry)
        snprintf(entry, room, "%s=%s", variable->name, variable->value);
    return entry;
}

int kin__os_environ_set(const struct kin__variable *set, size_t count)
{
    size_t before = 0, used = 0;
    while (environ && environ[before])
        before++;
    char **after = malloc((before + count + 1) * sizeof *after);
    if (!after)
        return KIN_ENOMEM;
    for (size_t i = 0; i < before; i++)
        if (!find(environ[i], set, count))
            after[used++] = environ[i];
    for (size_t i = 0; i < count; i++) {
        after[used] = entry_of(&set[i]);
        if (!after[used++]) {
            free(after); /* not the entries: the process ends of it */
            return KIN_ENOMEM;
        }
    }
    after[used] = NULL;
    environ = after;
    return 0;
}
