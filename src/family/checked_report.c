/* family/checked_report.c - see checked_report.h. What a history says is copied and checked first: it lies in memory
 * that may have been overwritten. */
#include "family/checked_report.h"

#include "base/failure.h"
#include "base/log.h"
#include "os/os.h"
#include "os/stack.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME 96

void kin__history_note(struct kin__history *history, const void *caller)
{
    *history = (struct kin__history){
        .pid = (int32_t)getpid(), .thread = (int32_t)kin__os_thread_id(), .layout = kin__os_code_layout()};
    history->depth = kin__os_callers(caller, history->callers, KIN__HISTORY_DEPTH);
}

static const char *name_of(const struct kin__history *history, uint32_t i, char buffer[NAME])
{
    if (history->layout == kin__os_code_layout())
        return kin__os_code_name(history->callers[i], buffer, NAME);
    snprintf(buffer, NAME, "0x%" PRIx64, history->callers[i]);
    return buffer;
}

/* "; made by process 7, thread 8, at main+0x1f" */
static size_t add_story(char *text, size_t room, const char *what, const struct kin__history *history)
{
    char name[NAME];
    if (!history || history->depth == 0 || history->depth > KIN__HISTORY_DEPTH)
        return 0;
    int length = snprintf(text, room, "; %s by process %d, thread %d, at %s", what, history->pid,
                          history->thread, name_of(history, 0, name));
    return length > 0 && (size_t)length < room ? (size_t)length : 0;
}

static void log_callers(const char *what, const struct kin__history *history)
{
    char line[900], name[NAME];
    size_t used = 0;
    if (!history || history->depth == 0 || history->depth > KIN__HISTORY_DEPTH)
        return;
    line[0] = '\0';
    for (uint32_t i = 0; i < history->depth && used < sizeof line; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s", i ? " < " : "",
                                 name_of(history, i, name));
    kin_log(KIN_LOG_ERROR, "  %s: %s", what, line);
}

void kin__history_report(int code, const struct kin__history *made, const struct kin__history *freed,
                         const char *format, ...)
{
    char text[sizeof((kin_error *)0)->message];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    used += add_story(text + used, sizeof text - used, "made", made);
    text[used] = '\0';
    used += add_story(text + used, sizeof text - used, "freed", freed);
    text[used] = '\0';
    kin__fail(code, "%s", text);
    kin_log(KIN_LOG_ERROR, "%s", text);
    log_callers("made at", made);
    log_callers("freed at", freed);
}
