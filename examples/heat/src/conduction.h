/* Heat conduction in the plane, by finite elements: linear triangles, conjugate gradients.

   Zienkiewicz and Taylor, The Finite Element Method, volume 1: the matrices of linear triangles.
   Shewchuk, An Introduction to the Conjugate Gradient Method Without the Agonizing Pain, B3. */

#ifndef CONDUCTION_H
#define CONDUCTION_H

#include <stdbool.h>
#include <stdio.h>

#include "mesh.h"

/* All for a body of 1 m thickness. */
struct conduction {
    const struct mesh *mesh;
    size_t *row, *column;   /* the matrix by rows: entries row[i] to row[i + 1] are those of node i */
    double *value;          /* W/K */
    double *area;           /* of each node, a third of its triangles' */
    bool *held;             /* whether a node's temperature is given */
    double *temperature;    /* K */
    double *work[5];        /* of the solver */
};

enum outcome { CONVERGED, NOT_CONVERGED, INTERRUPTED };

struct bounds {
    double tolerance;       /* of the residual, relative to what the given temperatures and sources make */
    long iterations;        /* at most */
};

struct conduction conduction_new(const struct mesh *mesh, double conductivity);

/* Solves (matrix + storage * area) temperature = load for the nodes that are not held.

   storage is 0, or density times heat capacity over a step's length; load is in W. Each iteration's
   residual goes to `history`, when there is one, and into a progress event now and then. */
enum outcome conduction_solve(struct conduction *body, double storage, const double *load,
                              struct bounds bounds, FILE *history, long *iterations);

/* The heat that a node gives to the body, in W: what the balance of its row lacks. */
double conduction_heat(const struct conduction *body, const double *load, size_t node);

double mean_temperature(const struct conduction *body);

#endif
