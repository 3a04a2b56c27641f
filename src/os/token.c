/* os/token.c - see token.h. Locks of open file descriptions: fcntl(2), F_OFD_SETLK (Linux 3.15). */
#include "os/token.h"

#include "base/failure.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define FROM (INT64_C(1) << 61) /* nobody else locks there */

static struct flock lock_of(uint64_t number, short type)
{
    return (struct flock){
        .l_type = type, .l_whence = SEEK_SET, .l_start = FROM + (int64_t)(number % FROM), .l_len = 1};
}

int kin__os_token_new(int fd, uint64_t number, int *out)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int token = kin__os_high(open(path, O_RDONLY | O_CLOEXEC));
    struct flock about = lock_of(number, F_RDLCK);
    if (token >= 0 && fcntl(token, F_OFD_SETLK, &about) == 0) {
        *out = token;
        return 0;
    }
    int error = errno;
    if (token >= 0)
        close(token);
    return kin__fail_errno(KIN_ESYSTEM, error, "could not make a token");
}

bool kin__os_token_held(int fd, uint64_t number)
{
    struct flock about = lock_of(number, F_WRLCK);
    return fcntl(fd, F_OFD_GETLK, &about) < 0 || about.l_type != F_UNLCK;
}
