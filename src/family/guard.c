/* family/guard.c - see guard.h. */
#include "family/guard.h"

#include "base/in_child.h"
#include "family/region.h"
#include "family/sealed.h"
#include "family/shelf.h"
#include "family/units.h"
#include "os/os.h"

_Static_assert(KIN__PARTS == 4, "kin__parts() fills in that many");

void kin__parts(struct kin__part out[KIN__PARTS])
{
    const struct kin__heap *heap = kin__heap();
    uint64_t units = heap->units_at, count = heap->units;
    out[0] = (struct kin__part){"tables", 0, KIN__HEADER_END};
    out[KIN__PART_HEAP] = (struct kin__part){"heap", units, units + (count << KIN__UNIT_BITS)};
    out[2] = (struct kin__part){"unit tables", heap->entries_at,
                                kin__up(heap->descriptors_at + count * KIN__DESCRIPTOR_SIZE, KIN__GUARD)};
    out[3] = (struct kin__part){"frozen data", kin__region->shelf, kin__region->size - KIN__GUARD};
}

void kin__guards_set(void)
{
    struct kin__part parts[KIN__PARTS];
    kin__parts(parts);
    for (unsigned i = 0; i < KIN__PARTS; i++) {
        uint64_t end = i + 1 < KIN__PARTS ? parts[i + 1].from : kin__region_size;
        kin__os_unmap(kin__region_at(parts[i].to), end - parts[i].to);
    }
    kin__shelf_protect();
}

KIN__IN_CHILD void kin__guards_forked(void)
{
    struct kin__part parts[KIN__PARTS];
    if (!(kin__known.checks & KIN__CHECK_HEAP) || kin__is_sealed())
        return;
    kin__parts(parts);
    const struct kin__part *heap = &parts[KIN__PART_HEAP];
    kin__os_protect(kin__region_at(heap->from), heap->to - heap->from, KIN__OS_WRITE);
}

const char *kin__guard_of(uintptr_t address)
{
    struct kin__part parts[KIN__PARTS];
    uint64_t at = address - kin__region_base;
    if (at >= kin__region_size)
        return NULL;
    kin__parts(parts);
    for (unsigned i = 0; i < KIN__PARTS; i++) {
        if (at < parts[i].from)
            return parts[i].from - at < at - parts[i - 1].to ? parts[i].name : parts[i - 1].name;
        if (at < parts[i].to)
            return NULL;
    }
    return parts[KIN__PARTS - 1].name;
}
