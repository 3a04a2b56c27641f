/* shareable_list.c - a list of plain values under a name, for programs that have no common parent, in C or in Python. */
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
static int change_there(void *name)
{
    kin_shareable_list *list = kin_shareable_list_attach(name);
    if (!list || kin_shareable_list_set(list, 1, KIN_ANY(0.75)) ||
        kin_shareable_list_set(list, -1, KIN_ANY("fine")))
        return 1;
    if (kin_shareable_list_set(list, 0, KIN_ANY("far too many")) == KIN_ETOOLARGE)
        printf("a longer text has no room\n");
    kin_shareable_list_close(list);
    return 0;
}

static void show(const kin_shareable_list *list)
{
    for (size_t i = 0; i < kin_shareable_list_length(list); i++) {
        kin_any value;
        if (kin_shareable_list_get(list, (int64_t)i, &value))
            die("get");
        if (value.type == KIN_ANY_TEXT)
            printf("%zu: text %s\n", i, (const char *)value.data);
        else if (value.type == KIN_ANY_REAL)
            printf("%zu: real %g\n", i, value.real);
        else if (value.type == KIN_ANY_INT)
            printf("%zu: integer %lld\n", i, (long long)value.integer);
        else
            printf("%zu: nothing\n", i);
        kin_any_clear(&value);
    }
}

int main(int argc, char **argv)
{
    if (kin_init(&argc, &argv))
        die("init");
    kin_any values[] = {KIN_ANY("mill"), KIN_ANY(0.5), KIN_ANY(42), kin_any_null()};
    kin_shareable_list *list = kin_shareable_list_create(NULL, values, 4, NULL);
    if (!list)
        die("create");
    show(list);
    const char *name = kin_shared_memory_name(kin_shareable_list_memory(list));
    kin_process *process = kin_process_start(change_there, name, strlen(name) + 1, NULL);
    if (!process)
        die("start");
    kin_process_join(process, KIN_FOREVER);
    kin_process_free(process);
    show(list);
    size_t where;
    char format[64];
    if (kin_shareable_list_index(list, KIN_ANY(42), &where) ||
        kin_shareable_list_format(list, format, sizeof format, NULL))
        die("index");
    printf("42 is at %zu; the format is %s\n", where, format);
    kin_shared_memory_unlink(name);
    kin_shareable_list_close(list);
    return 0;
}
