/* pool/submit.h - handing work to a pool, from its maker or out of a task. */
#ifndef KIN_POOL_SUBMIT_H
#define KIN_POOL_SUBMIT_H

#include "pool/desk.h"

/* Cancel a record that is not finished; whoever runs it is to be killed. True: it was not, and is canceled. */
bool kin__record_cancel(kin_result *record);

/* Set the record of this thread to why a finished task has failed, if it has; its code. */
int kin__result_fail(const kin_result *result);

/* A result that is freed is nobody's child. */
void kin__submit_forget(kin_result *record);

#endif
