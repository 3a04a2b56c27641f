/* problems.c - the directory of MPS files, and the optima that are published for them. */
#include "problems.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Agreement with the published optimum. GLPK's default tolerances end pilot, an ill-conditioned model,
 * 1.2e-5 away from it.
 */
static const double usual_tolerance = 1e-5;
static const struct {
    const char *name;
    double tolerance;
} special_tolerances[] = {{"pilot", 2e-5}};

static bool ends_with(const char *text, size_t length, const char *end)
{
    size_t n = strlen(end);

    return length > n && memcmp(text + length - n, end, n) == 0;
}

/* The length of the problem's name in a file name; 0: not an MPS file. */
static size_t stem_length(const char *file)
{
    size_t length = strlen(file);

    if (file[0] == '.')
        return 0;
    if (ends_with(file, length, ".mps.gz"))
        return length - strlen(".mps.gz");
    if (ends_with(file, length, ".mps"))
        return length - strlen(".mps");
    return 0;
}

static double tolerance_of(const char *name)
{
    for (size_t i = 0; i < sizeof special_tolerances / sizeof *special_tolerances; i++)
        if (strcmp(name, special_tolerances[i].name) == 0)
            return special_tolerances[i].tolerance;
    return usual_tolerance;
}

/*
 * Add a file to the list. One that can't be looked at (a dangling link, say) is added too: its task
 * will fail and say why. What can't be a model, such as a directory or a pipe, which would block its
 * reader, is left out with a word. False: no memory.
 */
static bool add_file(struct problems *list, const char *directory, const char *file, size_t stem)
{
    struct stat status;
    struct problem *grown, *p;
    size_t size = strlen(directory) + strlen(file) + 2;
    char *path = malloc(size);

    if (!path)
        return false;
    snprintf(path, size, "%s/%s", directory, file);
    bool known = stat(path, &status) == 0;
    if (known && !S_ISREG(status.st_mode)) {
        fprintf(stderr, "kin-demo: left out, not a regular file: \"%s\"\n", path);
        free(path);
        return true;
    }
    grown = realloc(list->item, (list->count + 1) * sizeof *grown);
    if (!grown) {
        free(path);
        return false;
    }
    list->item = grown;
    p = &grown[list->count];
    *p = (struct problem){.path = path, .bytes = known ? (long)status.st_size : -1};
    p->name = strndup(file, stem);
    if (!p->name) {
        free(path);
        return false;
    }
    p->tolerance = tolerance_of(p->name);
    list->count++;
    return true;
}

static bool scan(struct problems *list, const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    bool good = true;

    if (!dir) {
        fprintf(stderr, "kin-demo: could not open the directory \"%s\": %s\n", directory, strerror(errno));
        return false;
    }
    while (good && (errno = 0, entry = readdir(dir)) != NULL) {
        size_t stem = stem_length(entry->d_name);

        if (stem > 0)
            good = add_file(list, directory, entry->d_name, stem);
    }
    if (errno != 0) {
        fprintf(stderr, "kin-demo: could not read the directory \"%s\": %s\n", directory, strerror(errno));
        good = false;
    }
    closedir(dir);
    return good;
}

/* One line of optima.csv. False: not of the form name,rows,columns,nonzeros,optimum. */
static bool take_line(struct problems *list, const char *line)
{
    char name[128];
    char *end;
    size_t length = strcspn(line, ",");
    const char *field = line;

    if (length == 0 || length >= sizeof name)
        return false;
    memcpy(name, line, length);
    name[length] = '\0';
    for (int comma = 0; comma < 4; comma++) {
        field = strchr(field, ',');
        if (!field)
            return false;
        field++;
    }
    double optimum = strtod(field, &end);
    if (end == field || (*end != '\0' && *end != '\n' && *end != '\r'))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        struct problem *p = &list->item[i];

        if (strcmp(p->name, name) == 0) {
            list->published += !p->published;
            p->published = true;
            p->optimum = optimum;
        }
    }
    return true;
}

static bool read_optima(struct problems *list, const char *directory)
{
    char path[4096], line[512];
    bool good = true;
    FILE *file;

    if (snprintf(path, sizeof path, "%s/optima.csv", directory) >= (int)sizeof path)
        return true;
    file = fopen(path, "r");
    if (!file) {
        if (errno == ENOENT)
            return true;
        fprintf(stderr, "kin-demo: could not open \"%s\": %s\n", path, strerror(errno));
        return false;
    }
    for (int number = 1; good && fgets(line, sizeof line, file); number++) {
        if ((number == 1 && strncmp(line, "name,", 5) == 0) || line[strspn(line, " \r\n")] == '\0')
            continue;
        good = take_line(list, line);
        if (!good)
            fprintf(stderr, "kin-demo: %s:%d: not name,rows,columns,nonzeros,optimum\n", path, number);
    }
    fclose(file);
    return good;
}

static int by_name(const void *a, const void *b)
{
    const struct problem *p = a, *q = b;
    int order = strcmp(p->name, q->name);

    return order != 0 ? order : strcmp(p->path, q->path);
}

bool problems_load(struct problems *out, const char *directory)
{
    *out = (struct problems){0};
    if (!scan(out, directory) || !read_optima(out, directory)) {
        problems_free(out);
        return false;
    }
    if (out->count == 0) {
        fprintf(stderr, "kin-demo: no .mps or .mps.gz files in \"%s\"\n", directory);
        return false;
    }
    qsort(out->item, out->count, sizeof *out->item, by_name);
    return true;
}

void problems_free(struct problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->item[i].name);
        free(problems->item[i].path);
    }
    free(problems->item);
    *problems = (struct problems){0};
}

const struct problem *problems_find(const struct problems *problems, const char *name)
{
    for (size_t i = 0; i < problems->count; i++)
        if (strcmp(problems->item[i].name, name) == 0)
            return &problems->item[i];
    return NULL;
}
