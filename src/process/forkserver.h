/*
 * process/forkserver.h - children forked from a template that is kept ready.
 *
 * The template is a process of its own, spawned by the first member that needs it, for its own children: as its
 * child, it can fork processes whose parent, to the kernel and to the family, is that member (os/sibling.c). So what is true
 * of forked children is true of these: who waits for them, whose death ends them, how their end is told. It has one
 * thread, and answers one request after the other through a few words that lie in the argument of its process.
 *
 *   field      written by   rule                                  when the writer dies there
 *   --------   ----------   -----------------------------------   -------------------------------------------
 *   prepare    requester    before the template begins            no template
 *   to arg
 *   ready      template     0 to 1, when it has prepared itself   its end is seen instead, and tells why
 *   wanted     requester    the member to be made, before asked   not asked; the template ends with it
 *   pid        requester,   0 before asked; the kernel stores     0: no child was made, another template may be
 *              kernel       the child's before that runs          asked. Else the child is there, and goes on
 *   asked      requester    +1, release, wake                     the template ends with it; a child that it
 *                                                                 makes yet finds its parent gone, and ends
 *   error      template     before answered                       not answered
 *   answered   template     = asked, release, wake                its end is seen: pid tells
 *   quit       requester    0 to 1, before asked                  the template ends with it
 *   coming,    requester    before asked; descriptors are in      not asked; the template ends with it
 *   parcel                  the socket before, each with parcel
 *
 *   F1  one request at a time: asked - answered is 0 or 1
 *   F2  the template is dead: pid is final
 */
#ifndef KIN_PROCESS_FORKSERVER_H
#define KIN_PROCESS_FORKSERVER_H

#include "process/function.h"
#include "process/process_shared.h"

struct kin__template {
    _Atomic uint32_t ready;
    _Atomic uint32_t asked;
    _Atomic uint32_t answered;
    _Atomic uint32_t quit;
    _Atomic int32_t pid;
    int32_t error;   /* errno, if pid is 0 */
    uint32_t coming; /* descriptors for the child, through the template's socket, */
    uint32_t parcel; /* under this number, which those of a start that failed do not have */
    kin__id wanted;
    struct kin__function prepare; /* all zero: nothing to prepare */
    double patience;              /* seconds; for templates that the children make */
    uint64_t arg_size;
    _Alignas(16) unsigned char arg[];
};

/* Have a child forked for a member that is STARTING, by a template that is started if there is none; its pid, or an error. */
pid_t kin__forkserver_member(struct kin__member *member);

/* In a child of a template: the descriptors that came for it, in order; those of its starter's handles. */
void kin__forkserver_arrived(int *fds);

/* At this process's normal end: its template is to end too; it is waited for as a daemon. Under no lock. */
void kin__forkserver_quit(void);

/* In a child after fork: the template is the parent's. */
void kin__forkserver_forked(void);

#endif
