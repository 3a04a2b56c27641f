/* manager/list.h - lists whose links lie in what is listed. A link that is in no list leads to itself. */
#ifndef KIN_MANAGER_LIST_H
#define KIN_MANAGER_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct kin__link {
    struct kin__link *next, *previous;
};

static inline void kin__link_init(struct kin__link *link)
{
    link->next = link->previous = link;
}

static inline bool kin__link_alone(const struct kin__link *link)
{
    return link->next == link;
}

static inline void kin__link_append(struct kin__link *list, struct kin__link *link)
{
    link->next = list;
    link->previous = list->previous;
    list->previous->next = link;
    list->previous = link;
}

static inline void kin__link_remove(struct kin__link *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    kin__link_init(link);
}

#define KIN__OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

#endif
