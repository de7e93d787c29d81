/* A mesh of triangles, with named boundaries: Gmsh's MSH 2.2 in ASCII, and legacy VTK. */

#ifndef MESH_H
#define MESH_H

#include <stddef.h>

struct mesh {
    size_t nodes, triangles, edges, boundaries;
    double *x, *y;              /* of each node, in metres */
    size_t (*triangle)[3];      /* nodes, counted from 0 */
    size_t (*edge)[3];          /* two nodes and a boundary */
    char (*boundary)[64];       /* names */
};

/* Reads a mesh; what is wrong in it ends the run, with the line. */
struct mesh mesh_read(const char *path);

/* A rectangle of columns times rows cells, two triangles each, with the boundaries `bottom`, `right`,
   `top` and `left`. */
struct mesh mesh_rectangle(double width, double height, long columns, long rows);

void mesh_write(const struct mesh *mesh, const char *name);

/* The mesh with a temperature at each node, in K. */
void field_write(const struct mesh *mesh, const double *temperature, const char *name);

/* Twice the area of a triangle. */
double doubled_area(const struct mesh *mesh, size_t triangle);

#endif
