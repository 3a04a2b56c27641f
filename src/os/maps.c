/* os/maps.c - see maps.h. The kernel's text (proc(5)), read a buffer at a time and taken apart byte by byte. */
#include "os/maps.h"

#include "os/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

/* start-end perms offset device inode name */
enum field { START, END, PERMISSIONS, OFFSET, DEVICE, INODE, NAME };

struct parser {
    struct kin__os_map map;
    enum field field;
    size_t length; /* of the name so far */
    bool more;
};

static void begin_line(struct parser *parser)
{
    parser->map = (struct kin__os_map){0};
    parser->field = START;
    parser->length = 0;
}

static unsigned hexadecimal(char c)
{
    return c >= 'a' ? (unsigned)(c - 'a') + 10 : (unsigned)(c - '0');
}

static void take_permission(struct kin__os_map *map, char c)
{
    map->protection |= c == 'r' ? PROT_READ : c == 'w' ? PROT_WRITE : c == 'x' ? PROT_EXEC : 0;
    map->shared |= c == 's';
}

static void take_name(struct parser *parser, char c)
{
    if (parser->length == 0 && c == ' ')
        return;
    if (parser->length < KIN__MAP_NAME - 1)
        parser->map.name[parser->length++] = c;
    else
        parser->map.cut = true;
}

static void take(struct parser *parser, char c)
{
    struct kin__os_map *map = &parser->map;
    if (parser->field == NAME) {
        take_name(parser, c);
        return;
    }
    if (c == ' ' || (c == '-' && parser->field == START)) {
        parser->field++;
        return;
    }
    switch (parser->field) {
    case START:
        map->start = map->start << 4 | hexadecimal(c);
        break;
    case END:
        map->end = map->end << 4 | hexadecimal(c);
        break;
    case PERMISSIONS:
        take_permission(map, c);
        break;
    case OFFSET:
        map->offset = map->offset << 4 | hexadecimal(c);
        break;
    case INODE:
        map->inode = map->inode * 10 + (uint64_t)(c - '0');
        break;
    default:
        break;
    }
}

static int open_maps(pid_t pid)
{
    /* Not /proc/self: after its main thread ended by pthread_exit, a process has no maps there. */
    if (pid == 0)
        return (int)kin__raw(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0,
                             0);
    char path[32] = "/proc/", digits[12];
    size_t at = 6, count = 0;
    for (unsigned left = (unsigned)pid; left; left /= 10)
        digits[count++] = (char)('0' + left % 10);
    while (count)
        path[at++] = digits[--count];
    for (const char *rest = "/maps"; *rest; rest++)
        path[at++] = *rest;
    path[at] = '\0';
    return (int)kin__raw(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
}

bool kin__os_maps_walk(pid_t pid, kin__os_map_fn look, void *arg)
{
    int fd = open_maps(pid);
    if (fd < 0)
        return false;
    char text[2048] = "";
    struct parser parser;
    long length;
    begin_line(&parser);
    parser.more = true;
    while (parser.more && (length = kin__raw(SYS_read, fd, (long)text, sizeof text, 0, 0)) != 0) {
        if (length == -EINTR)
            continue;
        if (length < 0)
            break;
        for (long i = 0; parser.more && i < length; i++) {
            if (text[i] != '\n') {
                take(&parser, text[i]);
                continue;
            }
            parser.more = look(&parser.map, arg);
            begin_line(&parser);
        }
    }
    kin__raw(SYS_close, fd, 0, 0, 0, 0);
    return true;
}
