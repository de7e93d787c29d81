/* Three functions in one program: heat mesh | steady | transient */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conduction.h"
#include "contract.h"
#include "json.h"
#include "mesh.h"

#define CLOSE_ENOUGH 1e-10
#define ITERATIONS 20000
#define STEPS 200

struct problem {
    struct mesh mesh;
    struct conduction body;
    double *held_by;    /* on how many boundaries with a given temperature a node lies */
    double *load;       /* W, for a thickness of 1 m */
    size_t given;       /* temperatures */
};

static double positive_or(const char *input, double otherwise)
{
    double number = json_number_or(input, otherwise);

    if (!(number > 0))
        fail("InputError", "`%s` is %g, and must be more than zero", input, number);
    return number;
}

static double positive(const char *input)
{
    json_number(input);
    return positive_or(input, 1);
}

static size_t boundary(const struct mesh *mesh, const char *name)
{
    char known[512] = "none";

    for (size_t i = 0; i < mesh->boundaries; i++) {
        if (strcmp(mesh->boundary[i], name) == 0)
            return i;
        if (i == 0)
            known[0] = '\0';
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i > 0 ? ", " : "",
                 mesh->boundary[i]);
    }
    fail("InputError", "the mesh has no boundary `%s`; it has %s", name, known);
}

/* Whether a node lies on a boundary, for all nodes. */
static bool *nodes_on(const struct mesh *mesh, size_t wanted)
{
    bool *on = room(NULL, mesh->nodes, sizeof *on);

    for (size_t i = 0; i < mesh->nodes; i++)
        on[i] = false;
    for (size_t i = 0; i < mesh->edges; i++)
        if (mesh->edge[i][2] == wanted)
            on[mesh->edge[i][0]] = on[mesh->edge[i][1]] = true;
    return on;
}

/* Holds each boundary at its temperature; where two meet, at the mean of theirs. */
static void hold(struct problem *problem)
{
    struct conduction *body = &problem->body;
    const char *name;
    double kelvin;

    for (size_t i = 0; i < problem->mesh.nodes; i++)
        body->temperature[i] = problem->held_by[i] = 0;
    for (size_t at = 0; json_member("temperatures", &at, &name, &kelvin); problem->given++) {
        bool *on;
        if (!(kelvin >= 0))
            fail("InputError", "`%s` is held at %g K, below absolute zero", name, kelvin);
        on = nodes_on(&problem->mesh, boundary(&problem->mesh, name));
        for (size_t i = 0; i < problem->mesh.nodes; i++) {
            if (on[i]) {
                body->temperature[i] += kelvin;
                problem->held_by[i]++;
            }
        }
        free(on);
    }
    for (size_t i = 0; i < problem->mesh.nodes; i++) {
        body->held[i] = problem->held_by[i] > 0;
        if (body->held[i])
            body->temperature[i] /= problem->held_by[i];
    }
}

static struct problem *problem_read(void)
{
    struct problem *problem = room(NULL, 1, sizeof *problem);
    double source = json_number_or("source", 0);

    problem->mesh = mesh_read(input_file("mesh"));
    problem->body = conduction_new(&problem->mesh, positive("conductivity"));
    problem->held_by = room(NULL, problem->mesh.nodes, sizeof *problem->held_by);
    problem->load = room(NULL, problem->mesh.nodes, sizeof *problem->load);
    problem->given = 0;
    for (size_t i = 0; i < problem->mesh.nodes; i++)
        problem->load[i] = source * problem->body.area[i];
    hold(problem);
    return problem;
}

static void start_at(struct problem *problem, double kelvin)
{
    for (size_t i = 0; i < problem->mesh.nodes; i++)
        if (!problem->body.held[i])
            problem->body.temperature[i] = kelvin;
}

static void extremes(const struct problem *problem, double *coldest, double *hottest)
{
    const double *temperature = problem->body.temperature;

    *coldest = *hottest = temperature[0];
    for (size_t i = 1; i < problem->mesh.nodes; i++) {
        *coldest = fmin(*coldest, temperature[i]);
        *hottest = fmax(*hottest, temperature[i]);
    }
}

static void write_temperatures(const struct problem *problem, FILE *file)
{
    double coldest, hottest;

    extremes(problem, &coldest, &hottest);
    fprintf(file, "\"coldest\": %.17g, \"hottest\": %.17g, \"mean\": %.17g", coldest, hottest,
            mean_temperature(&problem->body));
}

static _Noreturn void interrupted(const struct problem *problem, FILE *history, const char *when)
{
    finish(history);
    field_write(&problem->mesh, problem->body.temperature, "artifacts/partial.vtk");
    stopped("stopped %s; artifacts/partial.vtk has the temperatures of that moment", when);
}

static _Noreturn void not_converged(FILE *history, long iterations, const char *when)
{
    finish(history);
    fail("NoConvergence", "no convergence in %ld iterations%s", iterations, when);
}

static void mesh(void)
{
    long columns = json_count("columns"), rows = json_count("rows");
    struct mesh made = mesh_rectangle(positive("width"), positive("height"), columns, rows);
    FILE *file;

    mesh_write(&made, "files/mesh.msh");
    file = output_file("data.json");
    fprintf(file, "{\"nodes\": %zu, \"triangles\": %zu}\n", made.nodes, made.triangles);
    finish(file);
}

/* The heat that each boundary gives to the body; a node where two meet gives half of its own to each. */
static void write_flows(const struct problem *problem, double thickness, FILE *file)
{
    const char *name, *comma = "";
    double kelvin;

    fputs("\"flows\": {", file);
    for (size_t at = 0; json_member("temperatures", &at, &name, &kelvin); comma = ", ") {
        bool *on = nodes_on(&problem->mesh, boundary(&problem->mesh, name));
        double heat = 0;
        for (size_t i = 0; i < problem->mesh.nodes; i++)
            if (on[i])
                heat += conduction_heat(&problem->body, problem->load, i) / problem->held_by[i];
        free(on);
        fputs(comma, file);
        write_text(file, name);
        fprintf(file, ": %.17g", heat * thickness);
    }
    fputs("}", file);
}

static void steady(void)
{
    struct problem *problem = problem_read();
    double thickness = positive_or("thickness", 1), sum = 0, kelvin;
    struct bounds bounds = {CLOSE_ENOUGH, json_count_or("iterations", ITERATIONS)};
    const char *name;
    char when[80];
    long iterations;
    enum outcome outcome;
    FILE *history, *file;

    if (problem->given == 0)
        fail("InputError", "no boundary has a temperature, so that any would do");
    for (size_t at = 0; json_member("temperatures", &at, &name, &kelvin);)
        sum += kelvin;
    start_at(problem, sum / (double)problem->given);

    history = output_file("artifacts/convergence.csv");
    fputs("iteration,residual\n", history);
    outcome = conduction_solve(&problem->body, 0, problem->load, bounds, history, &iterations);
    if (outcome == INTERRUPTED) {
        snprintf(when, sizeof when, "after %ld iterations", iterations);
        interrupted(problem, history, when);
    }
    if (outcome == NOT_CONVERGED)
        not_converged(history, iterations, "");
    finish(history);

    field_write(&problem->mesh, problem->body.temperature, "files/field.vtk");
    file = output_file("data.json");
    fputs("{", file);
    write_temperatures(problem, file);
    fputs(", ", file);
    write_flows(problem, thickness, file);
    fprintf(file, ", \"iterations\": %ld}\n", iterations);
    finish(file);
}

/* Backward Euler: stable for any step, and never beyond the temperatures that it begins with. */
static void transient(void)
{
    struct problem *problem = problem_read();
    double stored = positive("density") * positive("heat_capacity"), duration = positive("duration");
    double *load = room(NULL, problem->mesh.nodes, sizeof *load);
    long steps = json_count_or("steps", STEPS), every = steps > 100 ? steps / 100 : 1;
    double storage = stored * (double)steps / duration;
    struct bounds bounds = {CLOSE_ENOUGH, ITERATIONS};
    FILE *history = output_file("artifacts/history.csv"), *file;

    start_at(problem, json_number("initial"));
    fputs("time [s],coldest [K],hottest [K],mean [K]\n", history);
    for (long step = 1; step <= steps; step++) {
        double time = duration * (double)step / (double)steps, coldest, hottest;
        char when[80];
        long iterations;
        enum outcome outcome;
        snprintf(when, sizeof when, " at %.6g s of %.6g s", time, duration);
        for (size_t i = 0; i < problem->mesh.nodes; i++)
            load[i] = problem->load[i] + storage * problem->body.area[i] * problem->body.temperature[i];
        outcome = conduction_solve(&problem->body, storage, load, bounds, NULL, &iterations);
        if (outcome == INTERRUPTED)
            interrupted(problem, history, when + 1);
        if (outcome == NOT_CONVERGED)
            not_converged(history, iterations, when);
        extremes(problem, &coldest, &hottest);
        fprintf(history, "%.9g,%.9g,%.9g,%.9g\n", time, coldest, hottest, mean_temperature(&problem->body));
        if (step % every == 0)
            progress(step, steps, when + 1);
    }
    finish(history);

    field_write(&problem->mesh, problem->body.temperature, "files/field.vtk");
    file = output_file("data.json");
    fputs("{", file);
    write_temperatures(problem, file);
    fputs("}\n", file);
    finish(file);
}

int main(int count, char **words)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } functions[] = {{"mesh", mesh}, {"steady", steady}, {"transient", transient}};

    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (count == 2 && strcmp(words[1], functions[i].name) == 0) {
            begin();
            functions[i].run();
            return 0;
        }
    }
    fputs("usage: heat mesh | steady | transient\n", stderr);
    return 2;
}
