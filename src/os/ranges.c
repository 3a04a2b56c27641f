/* os/ranges.c - see ranges.h; /proc/PID/maps in proc(5). */
#include "os/ranges.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a line of the list says of a range; false if it is shared, or cannot be written. */
static bool parse(char *line, struct kin__os_range *range, bool *file)
{
    unsigned long long start, end;
    char access[8];
    int path = 0;
    if (sscanf(line, "%llx-%llx %7s %*x %*s %*u %n", &start, &end, access, &path) < 3 || path == 0)
        return false;
    line[strcspn(line, "\n")] = '\0';
    const char *name = line + path;
    *file = name[0] == '/';
    *range =
        (struct kin__os_range){.start = (uintptr_t)start, .end = (uintptr_t)end, .kind = KIN__OS_RANGE_OTHER};
    if (strcmp(name, "[stack]") == 0)
        range->kind = KIN__OS_RANGE_STACK;
    else if (strcmp(name, "[heap]") == 0)
        range->kind = KIN__OS_RANGE_HEAP;
    else if (*file)
        range->kind = KIN__OS_RANGE_DATA;
    if (*file)
        snprintf(range->file, sizeof range->file, "%.39s", strrchr(name, '/') + 1);
    return access[1] == 'w' && access[3] == 'p';
}

size_t kin__os_private_ranges(struct kin__os_range **out)
{
    FILE *maps = fopen("/proc/thread-self/maps", "re");
    struct kin__os_range *ranges = NULL, range, before = {0};
    size_t count = 0, room = 0, line_room = 0;
    char *line = NULL;
    bool file;
    *out = NULL;
    if (!maps)
        return 0;
    while (getline(&line, &line_room, maps) > 0) {
        bool ours = parse(line, &range, &file);
        /* What a program's variables have beyond its file follows the file, without a name. */
        if (ours && range.kind == KIN__OS_RANGE_OTHER && before.kind == KIN__OS_RANGE_DATA &&
            range.start == before.end) {
            range.kind = KIN__OS_RANGE_DATA;
            memcpy(range.file, before.file, sizeof range.file);
        }
        before = range;
        if (!ours)
            continue;
        if (count == room) {
            room = room ? 2 * room : 64;
            struct kin__os_range *more = realloc(ranges, room * sizeof *ranges);
            if (!more)
                break;
            ranges = more;
        }
        ranges[count++] = range;
    }
    free(line);
    fclose(maps);
    *out = ranges;
    return count;
}
