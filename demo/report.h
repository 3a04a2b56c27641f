/*
 * report.h - the run as one HTML file: styles and pictures inside, nothing from the network.
 */
#ifndef DEMO_REPORT_H
#define DEMO_REPORT_H

#include <stdbool.h>

#include "story.h"

/*
 * Open the file before the work, so that a wrong name is not found out after two minutes; what is in
 * it stays until report_write. -1: told on stderr.
 */
int report_open(const char *path);

/* Write it and close the file. False: told on stderr. */
bool report_write(int fd, const char *path, const struct story *story);

/* Close it without a report, and remove it if there was none before. */
void report_discard(int fd, const char *path);

#endif
