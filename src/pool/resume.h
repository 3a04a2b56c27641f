/* pool/resume.h - a map and its journal (kin/journal.h): what is there already is not run, what is done goes there. */
#ifndef KIN_POOL_RESUME_H
#define KIN_POOL_RESUME_H

#include "pool/map.h"

/* Each does nothing for a map without a journal. */

/* Open it, before the first window. */
int kin__resume_open(struct kin__map *map);

/* A window was opened: take from the journal what it has of it. True if that was something. */
bool kin__resume_window(struct kin__map *map);

/* Write down what is done by now: if it is time; at a window's end, in any case. */
void kin__resume_save(struct kin__map *map, bool all);

/* After the last window. An error, if not all that was done is in the file. */
int kin__resume_close(struct kin__map *map);

#endif
