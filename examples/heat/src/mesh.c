#include "mesh.h"

#include <math.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"

/* Element types of MSH 2.2: Gmsh's reference manual, section on the legacy format. */
enum { LINE = 1, TRIANGLE = 2, POINT = 15 };

struct numbered {
    long number;
    size_t index;
};

struct reader {
    FILE *file;
    const char *path;
    long line;
    char text[1024];
};

static _Noreturn void wrong(const struct reader *reader, const char *format, ...)
{
    char what[512];
    va_list values;

    va_start(values, format);
    vsnprintf(what, sizeof what, format, values);
    va_end(values);
    fail("MeshError", "line %ld of the mesh: %s", reader->line, what);
}

static bool next_line(struct reader *reader)
{
    if (fgets(reader->text, sizeof reader->text, reader->file) == NULL)
        return false;
    reader->line++;
    reader->text[strcspn(reader->text, "\r\n")] = '\0';
    return true;
}

static void line_of(struct reader *reader, const char *section)
{
    if (!next_line(reader))
        wrong(reader, "the file ends within %s", section);
}

static size_t count_of(struct reader *reader, const char *section)
{
    char *end;
    long number;

    line_of(reader, section);
    number = strtol(reader->text, &end, 10);
    if (end == reader->text || end[strspn(end, " \t")] != '\0' || number < 0 || number > 100000000)
        wrong(reader, "`%.60s` is no number of entries of %s", reader->text, section);
    return (size_t)number;
}

static int by_number(const void *one, const void *other)
{
    long a = ((const struct numbered *)one)->number, b = ((const struct numbered *)other)->number;

    return (a > b) - (a < b);
}

static void read_format(struct reader *reader)
{
    double version;
    int binary;

    line_of(reader, "$MeshFormat");
    if (sscanf(reader->text, "%lf %d", &version, &binary) != 2 || version < 2 || version >= 3 || binary)
        wrong(reader, "`%.60s` is not version 2.2 in ASCII (`gmsh -format msh22`)", reader->text);
}

static void read_names(struct reader *reader, struct mesh *mesh, long **tags)
{
    size_t count = count_of(reader, "$PhysicalNames");

    for (; count > 0; count--) {
        int dimension;
        long tag;
        char name[64];
        line_of(reader, "$PhysicalNames");
        if (sscanf(reader->text, "%d %ld \"%63[^\"]\"", &dimension, &tag, name) != 3)
            wrong(reader, "`%.60s` is not a dimension, a number and a name", reader->text);
        if (dimension != 1)
            continue;
        mesh->boundary = room(mesh->boundary, mesh->boundaries + 1, sizeof *mesh->boundary);
        *tags = room(*tags, mesh->boundaries + 1, sizeof **tags);
        strcpy(mesh->boundary[mesh->boundaries], name);
        (*tags)[mesh->boundaries++] = tag;
    }
}

static struct numbered *read_nodes(struct reader *reader, struct mesh *mesh)
{
    struct numbered *known;

    mesh->nodes = count_of(reader, "$Nodes");
    mesh->x = room(NULL, mesh->nodes, sizeof *mesh->x);
    mesh->y = room(NULL, mesh->nodes, sizeof *mesh->y);
    known = room(NULL, mesh->nodes, sizeof *known);
    for (size_t i = 0; i < mesh->nodes; i++) {
        double z;
        line_of(reader, "$Nodes");
        if (sscanf(reader->text, "%ld %lf %lf %lf", &known[i].number, &mesh->x[i], &mesh->y[i], &z) != 4
            || !isfinite(mesh->x[i]) || !isfinite(mesh->y[i]))
            wrong(reader, "`%.60s` is not a node: its number, x, y and z", reader->text);
        if (z != 0)
            wrong(reader, "node %ld has z = %g; the mesh must lie in the plane", known[i].number, z);
        known[i].index = i;
    }
    qsort(known, mesh->nodes, sizeof *known, by_number);
    for (size_t i = 1; i < mesh->nodes; i++)
        if (known[i].number == known[i - 1].number)
            wrong(reader, "there are two nodes %ld", known[i].number);
    return known;
}

static size_t node(struct reader *reader, const struct mesh *mesh, const struct numbered *known, char **rest)
{
    char *end;
    struct numbered wanted = {strtol(*rest, &end, 10), 0}, *found;

    if (end == *rest)
        wrong(reader, "the element has too few nodes");
    *rest = end;
    found = bsearch(&wanted, known, mesh->nodes, sizeof *known, by_number);
    if (found == NULL)
        wrong(reader, "there is no node %ld", wanted.number);
    return found->index;
}

static void read_elements(struct reader *reader, struct mesh *mesh, const struct numbered *known,
                          const long *tags)
{
    size_t count = count_of(reader, "$Elements");

    mesh->triangle = room(NULL, count, sizeof *mesh->triangle);
    mesh->edge = room(NULL, count, sizeof *mesh->edge);
    for (; count > 0; count--) {
        long number, type, labels, tag = 0;
        char *rest;
        int read = 0;
        line_of(reader, "$Elements");
        if (sscanf(reader->text, "%ld %ld %ld%n", &number, &type, &labels, &read) != 3 || labels < 0)
            wrong(reader, "`%.60s` is not an element: its number, type, tags and nodes", reader->text);
        rest = reader->text + read;
        for (long i = 0; i < labels; i++) {
            long label = strtol(rest, &rest, 10);
            tag = i == 0 ? label : tag; /* the first one is the physical group */
        }
        if (type == TRIANGLE) {
            size_t *nodes = mesh->triangle[mesh->triangles];
            double area;
            for (int i = 0; i < 3; i++)
                nodes[i] = node(reader, mesh, known, &rest);
            area = doubled_area(mesh, mesh->triangles);
            if (area < 0) { /* clockwise */
                size_t second = nodes[1];
                nodes[1] = nodes[2];
                nodes[2] = second;
            } else if (!(area > 0)) {
                wrong(reader, "triangle %ld has no area", number);
            }
            mesh->triangles++;
        } else if (type == LINE) {
            size_t *edge = mesh->edge[mesh->edges];
            edge[0] = node(reader, mesh, known, &rest);
            edge[1] = node(reader, mesh, known, &rest);
            for (edge[2] = 0; edge[2] < mesh->boundaries && tags[edge[2]] != tag;)
                edge[2]++;
            mesh->edges += edge[2] < mesh->boundaries;
        } else if (type != POINT) {
            wrong(reader, "element %ld is of type %ld; lines (1) and triangles (2) are read", number, type);
        }
    }
}

/* Leaves out nodes that no triangle has: centres of arcs, for instance. */
static void drop_lone_nodes(struct reader *reader, struct mesh *mesh)
{
    size_t none = mesh->nodes, *new = room(NULL, mesh->nodes, sizeof *new), kept = 0;

    for (size_t i = 0; i < mesh->nodes; i++)
        new[i] = none;
    for (size_t i = 0; i < mesh->triangles; i++)
        for (int k = 0; k < 3; k++)
            new[mesh->triangle[i][k]] = 0;
    for (size_t i = 0; i < mesh->nodes; i++) {
        if (new[i] == none)
            continue;
        mesh->x[kept] = mesh->x[i];
        mesh->y[kept] = mesh->y[i];
        new[i] = kept++;
    }
    for (size_t i = 0; i < mesh->triangles; i++)
        for (int k = 0; k < 3; k++)
            mesh->triangle[i][k] = new[mesh->triangle[i][k]];
    for (size_t i = 0; i < mesh->edges; i++)
        for (int k = 0; k < 2; k++)
            if ((mesh->edge[i][k] = new[mesh->edge[i][k]]) == none)
                wrong(reader, "the boundary `%s` is not one of a triangle", mesh->boundary[mesh->edge[i][2]]);
    mesh->nodes = kept;
    free(new);
}

struct mesh mesh_read(const char *path)
{
    struct mesh mesh = {0};
    struct reader reader = {.file = fopen(path, "r"), .path = path};
    struct numbered *known = NULL;
    long *tags = NULL;
    bool versioned = false;

    if (reader.file == NULL)
        fail("MeshError", "the mesh cannot be read");
    while (next_line(&reader)) {
        if (strcmp(reader.text, "$MeshFormat") == 0) {
            read_format(&reader);
            versioned = true;
        } else if (!versioned) {
            wrong(&reader, "the file does not begin with $MeshFormat: it is not one of Gmsh");
        } else if (strcmp(reader.text, "$PhysicalNames") == 0) {
            read_names(&reader, &mesh, &tags);
        } else if (strcmp(reader.text, "$Nodes") == 0) {
            if (known != NULL)
                wrong(&reader, "a second list of nodes");
            known = read_nodes(&reader, &mesh);
        } else if (strcmp(reader.text, "$Elements") == 0) {
            if (known == NULL || mesh.triangle != NULL)
                wrong(&reader, "%s", known == NULL ? "elements before the nodes" : "a second list of elements");
            read_elements(&reader, &mesh, known, tags);
        }
    }
    if (mesh.triangles == 0)
        wrong(&reader, "the file ends, and no triangle was there");
    drop_lone_nodes(&reader, &mesh);
    fclose(reader.file);
    free(known);
    free(tags);
    return mesh;
}

struct mesh mesh_rectangle(double width, double height, long columns, long rows)
{
    static const char *const sides[] = {"bottom", "right", "top", "left"};
    size_t across = (size_t)columns, up = (size_t)rows, wide = across + 1;
    struct mesh mesh = {.nodes = wide * (up + 1), .boundaries = 4};

    mesh.x = room(NULL, mesh.nodes, sizeof *mesh.x);
    mesh.y = room(NULL, mesh.nodes, sizeof *mesh.y);
    mesh.triangle = room(NULL, 2 * across * up, sizeof *mesh.triangle);
    mesh.edge = room(NULL, 2 * (across + up), sizeof *mesh.edge);
    mesh.boundary = room(NULL, 4, sizeof *mesh.boundary);
    for (size_t i = 0; i < 4; i++)
        strcpy(mesh.boundary[i], sides[i]);
    for (size_t i = 0; i < mesh.nodes; i++) {
        mesh.x[i] = width * (double)(i % wide) / (double)columns;
        mesh.y[i] = height * (double)(i / wide) / (double)rows;
    }
    for (size_t row = 0; row < up; row++) {
        for (size_t column = 0; column < across; column++) {
            size_t a = row * wide + column, b = a + 1, c = b + wide, d = a + wide;
            memcpy(mesh.triangle[mesh.triangles++], (size_t[]){a, b, c}, sizeof *mesh.triangle);
            memcpy(mesh.triangle[mesh.triangles++], (size_t[]){a, c, d}, sizeof *mesh.triangle);
        }
    }
    for (size_t i = 0; i < across; i++) {
        size_t above = up * wide + i;
        memcpy(mesh.edge[mesh.edges++], (size_t[]){i, i + 1, 0}, sizeof *mesh.edge);
        memcpy(mesh.edge[mesh.edges++], (size_t[]){above + 1, above, 2}, sizeof *mesh.edge);
    }
    for (size_t i = 0; i < up; i++) {
        size_t left = i * wide, right = left + across;
        memcpy(mesh.edge[mesh.edges++], (size_t[]){right, right + wide, 1}, sizeof *mesh.edge);
        memcpy(mesh.edge[mesh.edges++], (size_t[]){left + wide, left, 3}, sizeof *mesh.edge);
    }
    return mesh;
}

void mesh_write(const struct mesh *mesh, const char *name)
{
    FILE *file = output_file(name);

    fputs("$MeshFormat\n2.2 0 8\n$EndMeshFormat\n$PhysicalNames\n", file);
    fprintf(file, "%zu\n", mesh->boundaries + 1);
    for (size_t i = 0; i < mesh->boundaries; i++)
        fprintf(file, "1 %zu \"%s\"\n", i + 1, mesh->boundary[i]);
    fprintf(file, "2 %zu \"body\"\n$EndPhysicalNames\n$Nodes\n%zu\n", mesh->boundaries + 1, mesh->nodes);
    for (size_t i = 0; i < mesh->nodes; i++)
        fprintf(file, "%zu %.17g %.17g 0\n", i + 1, mesh->x[i], mesh->y[i]);
    fprintf(file, "$EndNodes\n$Elements\n%zu\n", mesh->edges + mesh->triangles);
    for (size_t i = 0; i < mesh->edges; i++) {
        const size_t *edge = mesh->edge[i];
        fprintf(file, "%zu 1 2 %zu %zu %zu %zu\n", i + 1, edge[2] + 1, edge[2] + 1, edge[0] + 1, edge[1] + 1);
    }
    for (size_t i = 0; i < mesh->triangles; i++) {
        const size_t *nodes = mesh->triangle[i], tag = mesh->boundaries + 1;
        fprintf(file, "%zu 2 2 %zu %zu %zu %zu %zu\n", mesh->edges + i + 1, tag, tag, nodes[0] + 1,
                nodes[1] + 1, nodes[2] + 1);
    }
    fputs("$EndElements\n", file);
    finish(file);
}

void field_write(const struct mesh *mesh, const double *temperature, const char *name)
{
    FILE *file = output_file(name);

    fputs("# vtk DataFile Version 3.0\ntemperature in K\nASCII\nDATASET UNSTRUCTURED_GRID\n", file);
    fprintf(file, "POINTS %zu double\n", mesh->nodes);
    for (size_t i = 0; i < mesh->nodes; i++)
        fprintf(file, "%.17g %.17g 0\n", mesh->x[i], mesh->y[i]);
    fprintf(file, "CELLS %zu %zu\n", mesh->triangles, 4 * mesh->triangles);
    for (size_t i = 0; i < mesh->triangles; i++)
        fprintf(file, "3 %zu %zu %zu\n", mesh->triangle[i][0], mesh->triangle[i][1], mesh->triangle[i][2]);
    fprintf(file, "CELL_TYPES %zu\n", mesh->triangles);
    for (size_t i = 0; i < mesh->triangles; i++)
        fputs("5\n", file); /* VTK_TRIANGLE */
    fprintf(file, "POINT_DATA %zu\nSCALARS temperature double 1\nLOOKUP_TABLE default\n", mesh->nodes);
    for (size_t i = 0; i < mesh->nodes; i++)
        fprintf(file, "%.17g\n", temperature[i]);
    finish(file);
}

double doubled_area(const struct mesh *mesh, size_t triangle)
{
    const size_t *n = mesh->triangle[triangle];
    const double *x = mesh->x, *y = mesh->y;

    return (x[n[1]] - x[n[0]]) * (y[n[2]] - y[n[0]]) - (x[n[2]] - x[n[0]]) * (y[n[1]] - y[n[0]]);
}
