/* os/file.c - which file a descriptor is of: see os.h. */
#include "os/os.h"

#include "base/in_child.h"
#include "os/raw.h"

#include <sys/stat.h>
#include <unistd.h>

KIN__IN_CHILD struct kin__file kin__os_file_of(int fd)
{
    struct stat about = {0}; /* the checker does not see that the kernel fills it */
    if (kin__raw(SYS_fstat, fd, (long)&about, 0, 0, 0) < 0)
        return (struct kin__file){0};
    return (struct kin__file){.device = about.st_dev, .inode = about.st_ino};
}

KIN__IN_CHILD bool kin__os_file_is(int fd, const struct kin__file *file)
{
    if (fd < 0 || !file->inode)
        return false;
    struct kin__file found = kin__os_file_of(fd);
    return found.inode == file->inode && found.device == file->device;
}

KIN__IN_CHILD void kin__os_file_close(int fd, const struct kin__file *file)
{
    if (kin__os_file_is(fd, file))
        close(fd);
}
