#include "conduction.h"

#include <math.h>
#include <stdlib.h>

#include "contract.h"

#define REPORT_EVERY 25 /* iterations */

struct entry {
    size_t row, column;
    double value;
};

static int by_place(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;

    if (a->row != b->row)
        return a->row > b->row ? 1 : -1;
    return (a->column > b->column) - (a->column < b->column);
}

/* The matrix from the triangles': k A (grad N_i . grad N_j), where the gradient of N_i is the opposite
   side, turned by a right angle, over 2 A (Zienkiewicz and Taylor). */
static struct entry *entries_of(const struct mesh *mesh, double conductivity)
{
    struct entry *entries = room(NULL, 9 * mesh->triangles, sizeof *entries), *next = entries;

    for (size_t t = 0; t < mesh->triangles; t++) {
        const size_t *n = mesh->triangle[t];
        double factor = conductivity / (2 * doubled_area(mesh, t)), dx[3], dy[3];
        for (int i = 0; i < 3; i++) {
            dx[i] = mesh->x[n[(i + 2) % 3]] - mesh->x[n[(i + 1) % 3]];
            dy[i] = mesh->y[n[(i + 2) % 3]] - mesh->y[n[(i + 1) % 3]];
        }
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++)
                *next++ = (struct entry){n[i], n[j], factor * (dx[i] * dx[j] + dy[i] * dy[j])};
    }
    qsort(entries, 9 * mesh->triangles, sizeof *entries, by_place);
    return entries;
}

struct conduction conduction_new(const struct mesh *mesh, double conductivity)
{
    struct conduction body = {.mesh = mesh};
    struct entry *entries = entries_of(mesh, conductivity);
    size_t last = 9 * mesh->triangles, kept = 0;

    body.row = room(NULL, mesh->nodes + 1, sizeof *body.row);
    body.column = room(NULL, last, sizeof *body.column);
    body.value = room(NULL, last, sizeof *body.value);
    for (size_t i = 0, row = 0; row < mesh->nodes; row++) { /* each node has entries: no one is alone */
        body.row[row] = kept;
        for (; i < last && entries[i].row == row; i++) {
            if (kept > body.row[row] && body.column[kept - 1] == entries[i].column) {
                body.value[kept - 1] += entries[i].value;
            } else {
                body.column[kept] = entries[i].column;
                body.value[kept++] = entries[i].value;
            }
        }
    }
    body.row[mesh->nodes] = kept;
    free(entries);

    body.area = room(NULL, mesh->nodes, sizeof *body.area);
    body.held = room(NULL, mesh->nodes, sizeof *body.held);
    body.temperature = room(NULL, mesh->nodes, sizeof *body.temperature);
    for (int i = 0; i < 5; i++)
        body.work[i] = room(NULL, mesh->nodes, sizeof **body.work);
    for (size_t i = 0; i < mesh->nodes; i++) {
        body.area[i] = 0;
        body.held[i] = false;
    }
    for (size_t t = 0; t < mesh->triangles; t++)
        for (int k = 0; k < 3; k++)
            body.area[mesh->triangle[t][k]] += doubled_area(mesh, t) / 6;
    return body;
}

static double row_times(const struct conduction *body, size_t node, const double *vector)
{
    double sum = 0;

    for (size_t i = body->row[node]; i < body->row[node + 1]; i++)
        sum += body->value[i] * vector[body->column[i]];
    return sum;
}

static double product(const struct conduction *body, const double *one, const double *other)
{
    double sum = 0;

    for (size_t i = 0; i < body->mesh->nodes; i++)
        sum += one[i] * other[i];
    return sum;
}

/* The residual of the nodes that are not held, and how large what they are driven by is. */
static double begin_residual(const struct conduction *body, double storage, const double *load,
                             double *residual, double *inverse)
{
    const double *temperature = body->temperature;
    double drive = 0;

    for (size_t i = 0; i < body->mesh->nodes; i++) {
        double own = load[i], diagonal = storage * body->area[i];
        residual[i] = 0;
        if (body->held[i])
            continue;
        residual[i] = load[i] - storage * body->area[i] * temperature[i] - row_times(body, i, temperature);
        for (size_t j = body->row[i]; j < body->row[i + 1]; j++) {
            if (body->held[body->column[j]])
                own -= body->value[j] * temperature[body->column[j]];
            if (body->column[j] == i)
                diagonal += body->value[j];
        }
        inverse[i] = 1 / diagonal;
        drive += own * own;
    }
    return sqrt(drive);
}

/* How many percent of the way the residual has come, in powers of ten. */
static long percent(double residual, double first, double aim)
{
    double done = aim < first ? log(first / residual) / log(first / aim) : 1;

    return done < 0 ? 0 : (long)(100 * fmin(done, 1));
}

enum outcome conduction_solve(struct conduction *body, double storage, const double *load,
                              struct bounds bounds, FILE *history, long *iterations)
{
    size_t nodes = body->mesh->nodes;
    double *residual = body->work[0], *direction = body->work[1], *image = body->work[2];
    double *conditioned = body->work[3], *inverse = body->work[4];
    double drive = begin_residual(body, storage, load, residual, inverse);
    double first = sqrt(product(body, residual, residual)), now = first, before = 0;

    for (*iterations = 0;; ++*iterations) {
        double along, step;
        if (history != NULL) {
            fprintf(history, "%ld,%.6e\n", *iterations, drive > 0 ? now / drive : 0);
            if (*iterations % REPORT_EVERY == 0) {
                char message[80];
                snprintf(message, sizeof message, "iteration %ld, residual %.1e", *iterations,
                         drive > 0 ? now / drive : 0);
                progress(percent(now, first, bounds.tolerance * drive), 100, message);
            }
        }
        if (now <= bounds.tolerance * drive)
            return CONVERGED;
        if (asked_to_stop)
            return INTERRUPTED;
        if (*iterations == bounds.iterations || !isfinite(now))
            return NOT_CONVERGED;

        for (size_t i = 0; i < nodes; i++)
            conditioned[i] = body->held[i] ? 0 : inverse[i] * residual[i];
        along = product(body, residual, conditioned);
        for (size_t i = 0; i < nodes; i++)
            direction[i] = conditioned[i] + (*iterations > 0 ? along / before * direction[i] : 0);
        before = along;
        for (size_t i = 0; i < nodes; i++)
            image[i] = body->held[i] ? 0 : row_times(body, i, direction) + storage * body->area[i] * direction[i];
        step = along / product(body, direction, image);
        for (size_t i = 0; i < nodes; i++) {
            body->temperature[i] += step * direction[i];
            residual[i] -= step * image[i];
        }
        now = sqrt(product(body, residual, residual));
    }
}

double conduction_heat(const struct conduction *body, const double *load, size_t node)
{
    return row_times(body, node, body->temperature) - load[node];
}

double mean_temperature(const struct conduction *body)
{
    double sum = 0, area = 0;

    for (size_t i = 0; i < body->mesh->nodes; i++) {
        sum += body->area[i] * body->temperature[i];
        area += body->area[i];
    }
    return sum / area;
}
