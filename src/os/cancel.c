/* os/cancel.c - see os.h. */
#include "os/os.h"

#include <pthread.h>

int kin__os_cancel_hold(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void kin__os_cancel_restore(const int *before)
{
    pthread_setcancelstate(*before, NULL);
}
