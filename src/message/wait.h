/* message/wait.h - what upper floors have that can be waited for (kin/wait.h): each sleeps at a word that changes when it may be ready. */
#ifndef KIN_MESSAGE_WAIT_H
#define KIN_MESSAGE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

struct kin__wait_kind {
    uint32_t magic;
    /* Whether it is ready, or will never be. */
    bool (*ready)(const void *object);
    /* From now on that word changes, and who sleeps at it is woken, when it is. Asked before each sleep, and before a last look. */
    const _Atomic uint32_t *(*ask)(const void *object);
};

/* For objects of upper floors; by a constructor. */
void kin__wait_register(const struct kin__wait_kind *kind);

#endif
