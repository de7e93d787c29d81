#include "contract.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"

#define STOPPED 143 /* what a shell says of a program that SIGTERM ended: 128 + 15 */

volatile sig_atomic_t asked_to_stop = 0;

static void on_term(int number)
{
    (void)number;
    asked_to_stop = 1;
}

void begin(void)
{
    const char *workspace = getenv("KEDGE_WORKSPACE");
    struct sigaction action = {.sa_handler = on_term};

    sigaction(SIGTERM, &action, NULL);
    if (chdir(workspace != NULL ? workspace : "/workspace") != 0) {
        fputs("there is no workspace\n", stderr);
        exit(1);
    }
    json_read("in/data.json");
}

const char *input_file(const char *port)
{
    static char path[512];
    size_t length = strlen(port);
    DIR *folder = opendir("in/files");
    struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, port, length) == 0 && entry->d_name[length] == '.') {
            snprintf(path, sizeof path, "in/files/%s", entry->d_name);
            closedir(folder);
            return path;
        }
    }
    fail("InputError", "there is no file for the input `%s`", port);
}

FILE *output_file(const char *name)
{
    char path[512];
    FILE *file;

    snprintf(path, sizeof path, "out/%s", name);
    file = fopen(path, "w");
    if (file == NULL)
        fail("OutputError", "%s cannot be written", path);
    return file;
}

void finish(FILE *file)
{
    int bad = ferror(file);

    if (fclose(file) != 0 || bad)
        fail("OutputError", "a result could not be written in full");
}

void progress(long step, long total, const char *message)
{
    FILE *file = fopen("out/progress.jsonl", "a");

    if (file == NULL) /* a run does not fail for its progress */
        return;
    fprintf(file, "{\"step\": %ld, \"total\": %ld, \"message\": ", step, total);
    write_text(file, message);
    fputs("}\n", file);
    fclose(file);
}

static _Noreturn void end(int code, const char *type, const char *format, va_list values)
{
    char message[1024];
    FILE *file = fopen("out/_error.json", "w");

    vsnprintf(message, sizeof message, format, values);
    if (file != NULL) {
        fputs("{\"error\": ", file);
        write_text(file, message);
        fputs(", \"type\": ", file);
        write_text(file, type);
        fputs("}\n", file);
        fclose(file);
    }
    fprintf(stderr, "%s: %s\n", type, message);
    exit(code);
}

void fail(const char *type, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    end(1, type, format, values);
}

void stopped(const char *format, ...)
{
    va_list values;

    va_start(values, format);
    end(STOPPED, "Stopped", format, values);
}

void *room(void *old, size_t count, size_t size)
{
    void *new = count <= SIZE_MAX / size ? realloc(old, count > 0 ? count * size : size) : NULL;

    if (new == NULL)
        fail("OutOfMemory", "there is no memory for %zu times %zu bytes", count, size);
    return new;
}

void write_text(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text != '\0'; text++) {
        unsigned char one = (unsigned char)*text;
        if (one == '"' || one == '\\')
            fprintf(file, "\\%c", one);
        else if (one < 0x20)
            fprintf(file, "\\u%04x", one);
        else
            fputc(one, file);
    }
    fputc('"', file);
}
