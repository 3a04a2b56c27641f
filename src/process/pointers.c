/*
 * process/pointers.c - see pointers.h. A word is taken for a private pointer if it leads into a mapping that is
 * private and can be written: a stack, malloc's memory, variables. Constants and code are the same in all
 * children by fork, and numbers that look like such addresses are rare; so it warns, and refuses nothing.
 */
#include "process/pointers.h"

#include "base/log.h"
#include "family/region.h"
#include "os/ranges.h"
#include "process/handle.h"
#include "process/start.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD sizeof(uintptr_t)
#define TOLD_MOST 8u /* of one hand-over */

struct search {
    const char *what, *name;
    size_t count;
    struct kin__os_range *ranges;
    size_t range_count;
    size_t found;
};

static const struct kin__os_range *find(const struct search *search, uintptr_t word)
{
    size_t from = 0, to = search->range_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (word >= search->ranges[middle].end)
            from = middle + 1;
        else
            to = middle;
    }
    return from < search->range_count && word >= search->ranges[from].start ? &search->ranges[from] : NULL;
}

static void tell(struct search *search, size_t item, size_t offset, uintptr_t word,
                 const struct kin__os_range *range)
{
    char where[80], place[64] = "";
    const void *pointer = (const void *)word;
    if (search->found++ >= TOLD_MOST)
        return;
    if (strcmp(kin__where(pointer), "the caller's stack") == 0)
        snprintf(where, sizeof where, "the caller's stack");
    else if (range->kind == KIN__OS_RANGE_STACK)
        snprintf(where, sizeof where, "the main thread's stack");
    else if (range->kind == KIN__OS_RANGE_HEAP)
        snprintf(where, sizeof where, "the program's own heap (malloc)");
    else if (range->kind == KIN__OS_RANGE_DATA)
        snprintf(where, sizeof where, "variables of %s", range->file);
    else
        snprintf(where, sizeof where, "private memory (a large malloc, a thread's stack, a mapping)");
    if (search->count > 1)
        snprintf(place, sizeof place, "item %zu of ", item);
    kin_log(KIN_LOG_WARNING,
            "%s%s \"%s\", offset %zu: %p points to %s: another process sees an old copy there, or nothing; "
            "use kin_malloc",
            place, search->what, search->name, offset, pointer, where);
}

/* The words of an item that are aligned, as the compiler would lay pointers out. */
static void search_item(struct search *search, const unsigned char *item, size_t size, size_t index)
{
    for (size_t offset = -(uintptr_t)item % WORD; offset + WORD <= size; offset += WORD) {
        uintptr_t word;
        memcpy(&word, item + offset, WORD);
        const struct kin__os_range *range =
            word < 4096 || kin__handle_area_holds((const void *)word) ? NULL : find(search, word);
        if (range)
            tell(search, index, offset, word, range);
    }
}

void kin__pointers_check(const char *what, const char *name, const void *data, size_t size, size_t count)
{
    if (!data || size < WORD || !(kin__known.checks & KIN__CHECK_POINTERS))
        return;
    struct search search = {.what = what, .name = name, .count = count};
    search.range_count = kin__os_private_ranges(&search.ranges);
    for (size_t i = 0; i < count; i++)
        search_item(&search, (const unsigned char *)data + i * size, size, i);
    free(search.ranges);
    if (search.found > TOLD_MOST)
        kin_log(KIN_LOG_WARNING, "%s \"%s\": %zu more words point to private memory", what, name,
                search.found - TOLD_MOST);
}
