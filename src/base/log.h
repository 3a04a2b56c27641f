/* base/log.h - internal shorthands for kin_log. */
#ifndef KIN_BASE_LOG_H
#define KIN_BASE_LOG_H

#include "kin/log.h"

/* After fork: another thread of the parent may have held the log's own lock. */
void kin__log_after_fork(void);

#endif
