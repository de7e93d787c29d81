/* JSON (RFC 8259) as a list of its plain values, each with the path of names that leads to it.

   {"conductivity": 50, "temperatures": {"left": 373.15}} has two: `conductivity` and `temperatures/left`.
   What nobody asks for is read and left alone. */

#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

/* Reads a file; what is not JSON ends the run. */
void json_read(const char *path);

/* A number; where there is none, `otherwise`, or the end of the run. */
double json_number_or(const char *path, double otherwise);
double json_number(const char *path);

/* A whole number from 1. */
long json_count_or(const char *path, long otherwise);
long json_count(const char *path);

/* The members of an object that are numbers, one after the other: false when there are no more.
   `at` begins at 0. */
bool json_member(const char *object, size_t *at, const char **name, double *number);

#endif
