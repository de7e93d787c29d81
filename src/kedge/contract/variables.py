"""The environment variables of the contract: what a program may read about its own run."""

import math

from kedge.task.resources import Resources

# Names that only Kedge sets; a package's own variable of such a name is not passed on.
RESERVED_PREFIXES = ("KEDGE_", "MECAPY_")

THREAD_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def contract_variables(
    workspace_path: str, run_id: str, package: str, function: str, resources: Resources
) -> dict[str, str]:
    """The contract's variables of one run.

    `workspace_path` is the workspace as the code sees it. The thread-pool variables are among them: they
    follow the CPU limit, rounded up, and a package may set its own over them.

    >>> contract_variables("/workspace", "r1", "bolts", "sizing", Resources(0.5, 512))["KEDGE_CPU_LIMIT"]
    '0.5'
    """
    scratch = f"{workspace_path.rstrip('/')}/scratch"
    whole_cpus = str(max(1, math.ceil(resources.cpu)))
    return {
        "KEDGE_WORKSPACE": workspace_path,
        "KEDGE_SCRATCH": scratch,
        "KEDGE_CPU_LIMIT": format(resources.cpu, "g"),
        "KEDGE_MEM_LIMIT_MB": str(resources.memory_mb),
        "KEDGE_RUN_ID": run_id,
        "KEDGE_FUNCTION": function,
        "KEDGE_PACKAGE": package,
        "MECAPY_CPU_LIMIT": whole_cpus,
        "MECAPY_MEM_LIMIT_MB": str(resources.memory_mb),
        "MECAPY_SCRATCH": scratch,
        **dict.fromkeys(THREAD_POOLS, whole_cpus),
    }
