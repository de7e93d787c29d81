#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

#define DEEPEST 64
#define LONGEST_PATH 512

struct value {
    char *path;
    bool is_number;
    double number;
};

static struct value *values;
static size_t count;

static char *text;     /* all of the file */
static char *at;       /* how far it is read */
static char path[LONGEST_PATH];

static _Noreturn void wrong(const char *what)
{
    fail("InputError", "in/data.json is not JSON: %s at byte %td", what, at - text);
}

static void skip(void)
{
    at += strspn(at, " \t\r\n");
}

static bool taken(char wanted)
{
    skip();
    if (*at != wanted)
        return false;
    at++;
    return true;
}

static unsigned hexadecimal(void)
{
    unsigned code = 0;

    for (int i = 0; i < 4; i++, at++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *at | 0x20);
        if (*at == '\0' || digit == NULL)
            wrong("no four digits after \\u");
        code = code * 16 + (unsigned)(digit - digits);
    }
    return code;
}

/* A code point in UTF-8; RFC 3629, section 3. */
static char *encoded(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (char)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (char)(0xE0 | code >> 12);
        } else {
            *to++ = (char)(0xF0 | code >> 18);
            *to++ = (char)(0x80 | (code >> 12 & 0x3F));
        }
        *to++ = (char)(0x80 | (code >> 6 & 0x3F));
    }
    *to++ = (char)(0x80 | (code & 0x3F));
    return to;
}

/* A text, undone where it stands: it is never longer than what was written. */
static char *string(void)
{
    static const char *const letters = "\"\\/bfnrt", *const meant = "\"\\/\b\f\n\r\t";
    char *start, *to;

    if (!taken('"'))
        wrong("no text");
    for (start = to = at; *at != '"';) {
        if ((unsigned char)*at < 0x20)
            wrong("a text without an end");
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        if (*at == 'u') {
            unsigned code;
            at++;
            code = hexadecimal();
            if (code >> 10 == 0xD800 >> 10 && at[0] == '\\' && at[1] == 'u') {
                at += 2;
                code = 0x10000 + ((code & 0x3FF) << 10) + (hexadecimal() & 0x3FF);
            }
            to = encoded(to, code);
        } else {
            const char *letter = *at != '\0' ? strchr(letters, *at) : NULL;
            if (letter == NULL)
                wrong("an unknown escape");
            *to++ = meant[letter - letters];
            at++;
        }
    }
    at++;
    *to = '\0';
    return start;
}

static void keep(bool is_number, double number)
{
    values = room(values, count + 1, sizeof *values);
    values[count].path = strcpy(room(NULL, strlen(path) + 1, 1), path);
    values[count].is_number = is_number;
    values[count++].number = number;
}

static void value(int depth);

static void members(int depth, char close)
{
    size_t length = strlen(path);
    long index = 0;

    at++;
    if (taken(close))
        return;
    do {
        char number[24];
        const char *name = number;
        if (close == '}') {
            name = string();
            if (!taken(':'))
                wrong("no colon");
        } else {
            snprintf(number, sizeof number, "%ld", index++);
        }
        if (length + strlen(name) + 2 > sizeof path)
            wrong("a name that is too long");
        sprintf(path + length, "%s%s", length > 0 ? "/" : "", name);
        value(depth + 1);
        path[length] = '\0';
    } while (taken(','));
    if (!taken(close))
        wrong("neither a comma nor an end");
}

static void value(int depth)
{
    skip();
    if (depth > DEEPEST)
        wrong("too many objects in one another");
    if (*at == '{') {
        members(depth, '}');
    } else if (*at == '[') {
        members(depth, ']');
    } else if (*at == '"') {
        string();
        keep(false, 0);
    } else if (*at == '-' || (*at >= '0' && *at <= '9')) {
        char *end = at + strspn(at, "+-.0123456789eE"), *read;
        double number = strtod(at, &read);
        if (read != end)
            wrong("no number");
        at = end;
        keep(true, number);
    } else {
        static const char *const words[] = {"true", "false", "null"};
        for (size_t i = 0; i < 3; i++) {
            if (strncmp(at, words[i], strlen(words[i])) == 0) {
                at += strlen(words[i]);
                if (i < 2)
                    keep(false, 0);
                return;
            }
        }
        wrong("no value");
    }
}

void json_read(const char *name)
{
    FILE *file = fopen(name, "rb");
    size_t length = 0, more;

    if (file == NULL)
        fail("InputError", "%s cannot be read", name);
    do {
        text = room(text, length + 65536 + 1, 1);
        more = fread(text + length, 1, 65536, file);
        length += more;
    } while (more > 0);
    fclose(file);
    text[length] = '\0';
    at = text;
    value(0);
    skip();
    if (*at != '\0')
        wrong("something after the end");
}

/* The last of that name, as most readers have it. */
static const struct value *found(const char *wanted)
{
    for (size_t i = count; i > 0; i--)
        if (strcmp(values[i - 1].path, wanted) == 0)
            return &values[i - 1];
    return NULL;
}

double json_number_or(const char *wanted, double otherwise)
{
    const struct value *one = found(wanted);

    if (one != NULL && !one->is_number)
        fail("InputError", "`%s` is not a number", wanted);
    return one != NULL ? one->number : otherwise;
}

double json_number(const char *wanted)
{
    if (found(wanted) == NULL)
        fail("InputError", "there is no `%s`", wanted);
    return json_number_or(wanted, 0);
}

long json_count_or(const char *wanted, long otherwise)
{
    double number = json_number_or(wanted, (double)otherwise);

    if (!(number >= 1 && number <= 1e9) || number != floor(number))
        fail("InputError", "`%s` is %g, and must be a whole number from 1", wanted, number);
    return (long)number;
}

long json_count(const char *wanted)
{
    json_number(wanted);
    return json_count_or(wanted, 1);
}

bool json_member(const char *object, size_t *next, const char **name, double *number)
{
    size_t length = strlen(object);

    while (*next < count) {
        const struct value *one = &values[(*next)++];
        if (strncmp(one->path, object, length) == 0 && one->path[length] == '/' && one->is_number) {
            *name = one->path + length + 1;
            *number = one->number;
            return true;
        }
    }
    return false;
}
