"""Manifests written for the contract that MECAPY_* variables belong to run as they are, on each engine.

Programs, arguments, image names and limits are those of such manifests; schemas, which examples of them
leave out, are filled in, in both forms that a port may be declared in.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kedge.engine.look import Engine
from kedge.environment import images

BASE = "localhost/kedge-test/debian:bookworm"
MEMORY_MB = 8192  # what these manifests ask for at most, with 4 CPUs

# A program at each of the places that the manifests name. It keeps to the contract, and tells what it saw.
PROGRAM = """\
#!/usr/bin/python3
import json, os, sys
with open("/workspace/in/data.json") as file:
    load = json.load(file)["thermal_load"]
(mesh,) = [name for name in os.listdir("/workspace/in/files") if name.startswith("mesh_file.")]
with open(f"/workspace/in/files/{mesh}") as file:
    lines = len(file.readlines())
with open("/workspace/out/progress.jsonl", "a") as file:
    file.write('{"step": 1, "total": 1, "message": "solved"}\\n')
told = {
    "argv": sys.argv, "folder": os.getcwd(), "workspace": sorted(os.listdir("/workspace")),
    "variables": {name: value for name, value in os.environ.items() if name.startswith("MECAPY_")},
    "own": sorted(os.listdir("/workspace/_runner")),
}
with open("/workspace/out/artifacts/told.json", "w") as file:
    json.dump(told, file)
with open("/workspace/out/data.json", "w") as file:
    json.dump({"max_stress_mpa": load * lines}, file)
"""

PLACES = (
    "/usr/bin/run-aster.sh",
    "/opt/aster/run.sh",
    "/opt/run.sh",
    "/workspace/_runner/wrapper.py",
)

# What the image would start by itself, and as what, is not asked for.
DOCKERFILE = "\n".join(
    [
        f"FROM {BASE}",
        *(f"COPY program {place}" for place in PLACES),
        "COPY program /workspace/_runner/table.txt",
        'ENTRYPOINT ["/bin/false"]',
        'CMD ["--help"]',
        "",
    ]
)

PORTS = {
    "schemas": """
    inputs_schema:
      type: object
      properties:
        mesh_file: { type: string, format: binary }
        thermal_load: { type: number }
      required: [mesh_file, thermal_load]
    outputs_schema:
      type: object
      properties:
        max_stress_mpa: { type: number }
""",
    "types": """
    inputs:
      mesh_file: File
      thermal_load: Float
    outputs:
      max_stress_mpa: Stress[MPa]
""",
}

BUILT = """\
name: code-aster-thermal
runtime:
  kind: dockerfile
  dockerfile: ./Dockerfile
  context: .
functions:
"""


def pulled(image: str) -> str:
    """The head of a package whose image somebody else has built."""
    return f"name: code-aster-mvp\nruntime:\n  kind: image\n  image: {image}\nfunctions:\n"


class Case(NamedTuple):
    """A function of a manifest: its name, how it is started, what it may use."""

    function: str
    entrypoint: list[str]
    resources: str
    memory_mb: str | None


LIMITS = "{ cpu: 4, memory_mb: 8192, timeout: 1800 }"

FROM_A_DOCKERFILE = [
    Case("thermal-analysis", ["/usr/bin/run-aster.sh", "--quick"], LIMITS, "8192"),
    Case("whole-analysis", ["/usr/bin/run-aster.sh"], "", None),
    Case("static_support", ["python3", "/workspace/_runner/wrapper.py"], "", None),
]

READY = {
    "ghcr.io/myorg/code-aster:15.4": [
        Case("thermal-analysis", ["/opt/aster/run.sh"], LIMITS, "8192"),
    ],
    "ghcr.io/myorg/solver:latest": [
        Case("thermal", ["/opt/run.sh", "--mode=thermal"], "", None),
        Case("mechanical", ["/opt/run.sh", "--mode=mechanical"], "", None),
    ],
    "ghcr.io/me/solver:1.4": [
        Case("thermal", ["/opt/run.sh", "--mode=thermal"], "{ tier: small }", "2048"),
        Case("mechanical", ["/opt/run.sh", "--mode=mechanical"], "{ tier: large }", "8192"),
        Case("fatigue", ["/opt/run.sh", "--mode=fatigue"], "", None),
    ],
}

FORMS = [("mecapy.yml", "schemas"), ("kedge.yml", "types")]


@pytest.fixture(autouse=True)
def _enough_memory() -> None:
    have = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    if have < MEMORY_MB:
        pytest.skip(f"the manifests ask for {MEMORY_MB} MiB, and this machine has {have}")


def package(folder: Path, name: str, head: str, cases: list[Case], ports: str) -> Path:
    """A package with one manifest, and with what its image is built from."""
    folder.mkdir()
    text = head
    for case in cases:
        text += f"  {case.function}:\n    entrypoint: {json.dumps(case.entrypoint)}\n"
        text += f"    resources: {case.resources}" if case.resources else "    network: false"
        text += PORTS[ports]
    (folder / name).write_text(text)
    context(folder)
    return folder


def context(folder: Path) -> None:
    """What the image is built from."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "program").write_text(PROGRAM)
    (folder / "program").chmod(0o755)


def check(kedge: Any, engine: Engine, source: Path, case: Case, mesh: Path) -> None:
    """Run a function: its answer, what it found, what was said of its limits."""
    given = [f"mesh_file={mesh}", "thermal_load=12.5", "--executor", engine.kind, "--json"]
    ended = kedge("run", source, case.function, *given)
    assert ended.json["max_stress_mpa"] == 37.5, case
    assert "progress: 1/1 solved" in ended.err
    told = json.loads(Path(ended.json["_artifacts"]["told.json"]["uri"][7:]).read_text())
    at = 1 if case.entrypoint[0] == "python3" else 0
    assert told["argv"] == case.entrypoint[at:]
    assert told["folder"] == "/workspace"
    assert told["workspace"] == ["_runner", "in", "out", "scratch"]
    assert told["own"] == ["table.txt", "wrapper.py"]
    variables = told["variables"]
    assert variables["MECAPY_SCRATCH"] == "/workspace/scratch"
    cores = os.cpu_count() or 1
    if case.memory_mb is not None:
        wanted = 2 if case.memory_mb == "2048" else 4
        assert variables["MECAPY_MEM_LIMIT_MB"] == case.memory_mb
        assert variables["MECAPY_CPU_LIMIT"] == str(min(wanted, cores))
        assert ("4 CPUs" in ended.err) == (wanted > cores), ended.err
    else:
        assert variables["MECAPY_CPU_LIMIT"] == str(cores)
        assert int(variables["MECAPY_MEM_LIMIT_MB"]) > 0


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """A File input of three lines."""
    path = tmp_path / "part.med"
    path.write_text("a\nb\nc\n")
    return path


@pytest.mark.parametrize(("name", "ports"), FORMS)
def test_a_manifest_with_a_dockerfile_runs(
    kedge_alone: Any, engine: Engine, tmp_path: Path, mesh: Path, name: str, ports: str
) -> None:
    source = package(tmp_path / "package", name, BUILT, FROM_A_DOCKERFILE, ports)
    try:
        for case in FROM_A_DOCKERFILE:
            check(kedge_alone, engine, source, case, mesh)
    finally:
        filtered = ("--filter", f"label=kedge.source={source}#./Dockerfile#.")
        command = [engine.path, "images", "--format", "{{.Repository}}:{{.Tag}}", *filtered]
        built = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        subprocess.run([engine.path, "rmi", "--force", *built], capture_output=True)
    assert len(built) == 1


def test_manifests_with_an_image_run_and_pull_nothing_that_is_there(
    kedge_alone: Any, engine: Engine, tmp_path: Path, mesh: Path
) -> None:
    place = tmp_path / "context"
    place.mkdir()
    context(place)
    with named(engine, place, list(READY)):
        for number, (image, cases) in enumerate(READY.items()):
            for name, ports in FORMS:
                folder = tmp_path / f"package{number}-{ports}"
                source = package(folder, name, pulled(image), cases, ports)
                for case in cases if ports == "schemas" else cases[:1]:
                    check(kedge_alone, engine, source, case, mesh)
            warned = "not reproducible" in kedge_alone("check", source).err
            assert warned == image.endswith(":latest")


@contextmanager
def named(engine: Engine, place: Path, references: list[str]) -> Iterator[None]:
    """An image under names that no registry here has; a user's own under one of them is left alone."""
    for reference in references:
        if images.find(engine, reference) is not None:
            pytest.skip(f"{engine.kind} has an image {reference} of its own")
    words = [word for reference in references for word in ("--tag", reference)]
    subprocess.run([engine.path, "build", *words, place], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run([engine.path, "rmi", "--force", *references], capture_output=True)
