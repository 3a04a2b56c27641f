/*
 * manager/own.h - types that programs register, and the threads in which their blocking methods run.
 *
 * A thread runs one method with a call that the loop does not touch meanwhile; all else is done by the loop. While a method of an
 * object runs in a thread, other calls of that object wait, so methods need no locks.
 */
#ifndef KIN_MANAGER_OWN_H
#define KIN_MANAGER_OWN_H

#include "manager/server.h"

int kin__own_run(kin_call *call, struct kin__entity *entity);
/* The doorbell was rung: answer what threads have finished. */
void kin__own_finished(struct kin_server *server);
/* End the threads, when they have finished what they are at. */
void kin__own_stop(struct kin_server *server);
void kin__own_free_texts(kin_call *call);

#endif
