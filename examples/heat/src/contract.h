/* The workspace: where inputs are, where results go, and how a run says that it failed or was stopped. */

#ifndef CONTRACT_H
#define CONTRACT_H

#include <signal.h>
#include <stdio.h>

/* Set by SIGTERM; whoever works for long looks at it. */
extern volatile sig_atomic_t asked_to_stop;

/* Reads in/data.json and listens for SIGTERM. */
void begin(void);

/* The path of a File input, whatever extension its file has. */
const char *input_file(const char *port);

/* A new file below out/. */
FILE *output_file(const char *name);

/* Closes it; what could not be written ends the run. */
void finish(FILE *file);

/* Appends a progress event. */
void progress(long step, long total, const char *message);

/* Writes out/_error.json and ends the run. */
_Noreturn void fail(const char *type, const char *format, ...);
_Noreturn void stopped(const char *format, ...);

/* malloc and realloc that end the run where there is no more memory. */
void *room(void *old, size_t count, size_t size);

/* A text as JSON, in quotes. */
void write_text(FILE *file, const char *text);

#endif
