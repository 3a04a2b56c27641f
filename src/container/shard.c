/* container/shard.c - see shard.h. */
#include "container/shard.h"

#include "base/failure.h"
#include "family/journal.h"
#include "family/sealed.h"
#include "family/span.h"

int kin__call_begin(struct kin__call *call, const void *object, double timeout, const char *what)
{
    *call = (struct kin__call){.object = object, .what = what, .patience = {.timeout = timeout}};
    if (kin__is_sealed())
        return kin__sealed_refuse(what);
    call->me = kin__self_id();
    return call->me && kin__sync_thread() ? 0 : kin_error_code();
}

/* ---- changes ----------------------------------------------------------------------------------- */

/* The blocks that a batch's words name, then the batch. Who dies in it leaves fewer of them. */
static void free_batch(uint64_t *word)
{
    struct kin__batch *batch = (struct kin__batch *)(uintptr_t)*word;
    for (uint64_t i = 0; i < batch->count; i++)
        if (kin__cell_is_block(batch->words[i]))
            kin__heap_free_at(&batch->words[i]);
    kin__heap_free_at(word);
}

/* The change is made. Each line may be repeated by who mends. */
static void finish(struct kin__shard *shard)
{
    struct kin__step *step = &shard->step;
    atomic_store_explicit(&shard->count, step->count, memory_order_relaxed);
    step->spare[0] = step->spare[1] = 0;
    if (step->doomed[0] | step->doomed[1] | step->batch) {
        kin__shard_free_begins(shard);
        for (int i = 0; i < 2; i++)
            if (step->doomed[i])
                kin__heap_free_at(&step->doomed[i]);
        if (step->batch)
            free_batch(&step->batch);
    }
    kin__crash_fence();
    kin__poke(&step->slot, 0);
}

void kin__shard_abandon(struct kin__shard *shard)
{
    struct kin__step *step = &shard->step;
    for (int i = 0; i < 2; i++)
        if (step->spare[i])
            kin__heap_free_at(&step->spare[i]);
    if (step->batch)
        kin__heap_free_at(&step->batch);
    step->doomed[0] = step->doomed[1] = 0;
    kin__crash_fence();
    kin__poke(&step->slot, 0);
}

void kin__shard_commit(struct kin__shard *shard, uint64_t *slot, uint64_t to, uint64_t count)
{
    struct kin__step *step = &shard->step;
    step->to = to;
    step->count = count;
    kin__crash_fence();
    kin__poke(&step->slot, (uint64_t)(uintptr_t)slot);
    kin__crash_fence();
    /* Release: partner is the acquire of readers, who find what it leads to written. */
    __atomic_store_n(slot, to, __ATOMIC_RELEASE);
    kin__crash_fence();
    finish(shard);
}

static void mend(struct kin__shard *shard)
{
    const struct kin__step *step = &shard->step;
    if (step->slot && kin__peek((uint64_t *)(uintptr_t)step->slot) == step->to)
        finish(shard);
    else
        kin__shard_abandon(shard);
    kin__event_wake(&shard->changed, INT_MAX); /* the dead one may have changed something and told nobody */
}

int kin__shard_acquire_told(struct kin__shard *shard, struct kin__call *call)
{
    int error = kin__gate_acquire(&shard->gate, call->object, call->me, &call->patience);
    if (!error || error == KIN_EDIED)
        kin__use_begin(kin__thread_mine, call->object);
    if (error == KIN_EDIED)
        mend(shard);
    return error;
}

int kin__shard_acquire(struct kin__shard *shard, struct kin__call *call)
{
    int error = kin__shard_acquire_told(shard, call);
    return error == KIN_EDIED ? 0 : error;
}

/* ---- values ------------------------------------------------------------------------------------ */

int kin__value_make(struct kin__value *value, const kin_any *any, const char *what)
{
    value->block = NULL;
    int error = kin__form_make(&value->form, any, what);
    if (error || value->form.word || kin__form_bytes(&value->form) <= KIN__SMALL_MAX)
        return error;
    struct kin__cell *block = kin__heap_open(kin__form_bytes(&value->form), NULL);
    if (!block)
        return kin_error_code();
    kin__form_fill(&value->form, block);
    struct kin__thread *thread = kin__thread_mine;
    kin__journal_begin();
    kin__journal_set(&thread->moved, (uint64_t)(uintptr_t)block);
    kin__heap_close_in(thread);
    kin__journal_end();
    value->block = block;
    return 0;
}

void kin__value_drop(struct kin__value *value)
{
    if (!value->block)
        return;
    struct kin__thread *thread = kin__thread_mine;
    kin__journal_begin();
    kin__journal_set(&thread->moved, 0);
    kin__heap_free_in(thread, value->block);
    kin__journal_end();
    kin__heap_free_finish(thread);
    value->block = NULL;
}

uint64_t kin__value_word(struct kin__value *value, uint64_t *spare)
{
    if (value->form.word)
        return value->form.word;
    struct kin__cell *block = value->block;
    if (block) {
        kin__journal_begin();
        kin__journal_set(&kin__thread_mine->moved, 0);
        kin__journal_set(spare, (uint64_t)(uintptr_t)block);
        kin__journal_end();
        value->block = NULL;
    } else if ((block = kin__shard_block(spare, kin__form_bytes(&value->form))) != NULL) {
        kin__form_fill(&value->form, block);
    }
    return (uint64_t)(uintptr_t)block;
}

int kin__shard_store(struct kin__shard *shard, uint64_t *cell, struct kin__value *value)
{
    uint64_t old = kin__peek(cell);
    if (kin__cell_is(old, &value->form))
        return 0;
    if (value->form.word && !kin__cell_is_block(old)) {
        __atomic_store_n(cell, value->form.word, __ATOMIC_RELEASE);
        return 1;
    }
    uint64_t word = kin__value_word(value, &shard->step.spare[0]);
    if (!word)
        return kin_error_code();
    shard->step.doomed[0] = kin__cell_is_block(old) ? old : 0;
    kin__shard_commit(shard, cell, word, atomic_load_explicit(&shard->count, memory_order_relaxed));
    return 1;
}

int kin__got_error(enum kin__got got, const kin_any *out, const struct kin__outlet *outlet)
{
    if (got == KIN__GOT)
        return 0;
    if (got == KIN__GOT_NO_MEMORY)
        return kin__fail(KIN_ENOMEM, "no private memory for %s of %zu bytes", kin__any_kind(out->type),
                         out->size);
    return kin__fail(KIN_ETOOLARGE, "%s of %zu bytes does not fit into %zu", kin__any_kind(out->type),
                     out->size, outlet->capacity - outlet->used);
}
