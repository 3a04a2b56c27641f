/*
 * kin/event.h - a flag that others can wait for.
 *
 * It lies in the family's heap: the pointer is valid in every member under every start method. All of it may be called by
 * any thread of any member, who may die at any point: the flag is set or not, and who waits for a flag that is set goes on.
 * A signal handler that runs meanwhile does not end a wait. NULL, a pointer to something else, or to an object
 * that was freed, is KIN_EINVAL.
 */
#ifndef KIN_EVENT_H
#define KIN_EVENT_H

#include "kin/api.h"

KIN_BEGIN

typedef struct kin_event kin_event;

typedef struct kin_event_options {
    size_t size;
    const char *name; /* copied, up to 23 bytes, for messages and reports; NULL: "" */
} kin_event_options;

#define KIN_EVENT_OPTIONS(...) (&(kin_event_options){.size = sizeof(kin_event_options), ##__VA_ARGS__})

/* A new one, not set. NULL: KIN_ENOMEM, KIN_EMEMLIMIT, KIN_ENOINIT, KIN_EINVAL (options). */
KIN_API kin_event *kin_event_new(const kin_event_options *options) KIN_CHECKED;

/* Set the flag: all who wait go on, also if it is cleared before they have got round to it. */
KIN_API int kin_event_set(kin_event *event);
KIN_API int kin_event_clear(kin_event *event);
KIN_API bool kin_event_is_set(kin_event *event);

/* Wait until it is set, up to `timeout` seconds (0: not at all). KIN_ETIMEDOUT: not in time. */
KIN_API int kin_event_wait(kin_event *event, double timeout) KIN_CHECKED;

/* Free it. NULL does nothing. KIN_EBUSY: somebody waits for it. */
KIN_API int kin_event_free(kin_event *event);

KIN_END_DECLS

#endif
