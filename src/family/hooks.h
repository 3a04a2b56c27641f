/* family/hooks.h - what upper floors registered with kin__member_hooks; private to each process image. */
#ifndef KIN_FAMILY_HOOKS_H
#define KIN_FAMILY_HOOKS_H

#include "family/member.h"
#include "family/region.h"

#define KIN__HOOKS_MAX 8

/* By floor, lower ones first. */
extern struct kin__member_hooks kin__hooks[KIN__HOOKS_MAX];
extern size_t kin__hooks_count;

static inline struct kin__member *kin__members(void)
{
    return kin__region_at(KIN__AT_MEMBERS);
}

static inline uint32_t kin__members_top(void)
{
    return atomic_load_explicit(&kin__region->members_top, memory_order_acquire);
}

#endif
