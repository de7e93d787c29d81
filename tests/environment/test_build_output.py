"""What is understood of what engines say while they build."""

import pytest

from kedge.environment.building import _Steps
from kedge.package.dockerfile import instructions

DOCKERFILE = """\
FROM debian:12
COPY a /a
RUN ["/bin/sh", "-e", "/a"]
"""
# The first two as they were seen; the last is the plain progress of BuildKit, which no test machine has.
DOCKER = """\
Step 1/4 : FROM debian:12
 ---> 449166c741fa
Step 2/4 : COPY a /a
 ---> Using cache
 ---> 466316fa8313
Step 3/4 : RUN ["/bin/sh", "-e", "/a"]
 ---> Running in 3f36457441e9
one
two
Removing intermediate container 3f36457441e9
The command '/bin/sh -e /a' returned a non-zero code: 1
"""
PODMAN = """\
STEP 1/4: FROM debian:12
STEP 2/4: COPY a /a
--> Using cache ed7e601b22929ae21505d7ff35141ad58b9dd1442934214bdb789d10372c4028
--> ed7e601b229
STEP 3/4: RUN ["/bin/sh", "-e", "/a"]
one
two
Error: building at STEP "RUN /bin/sh -e /a": while running runtime: exit status 1
"""
BUILDKIT = """\
#4 [1/3] FROM docker.io/library/debian:12
#4 CACHED
#6 [2/3] COPY a /a
#6 DONE 0.0s
#7 [3/3] RUN ["/bin/sh", "-e", "/a"]
#7 0.212 one
#7 0.215 two
#7 ERROR: process "/bin/sh -e /a" did not complete successfully: exit code: 1
------
 > [3/3] RUN ["/bin/sh", "-e", "/a"]:
0.212 one
0.215 two
------
Dockerfile:3
--------------------
   1 |     FROM debian:12
   3 | >>> RUN ["/bin/sh", "-e", "/a"]
--------------------
ERROR: failed to solve: process "/bin/sh -e /a" did not complete successfully: exit code: 1
"""


@pytest.mark.parametrize("said", [DOCKER, PODMAN, BUILDKIT], ids=["docker", "podman", "buildkit"])
def test_what_a_program_wrote_is_told_from_what_the_engine_says(said: str) -> None:
    told: list[str] = []
    steps = _Steps(instructions(DOCKERFILE), "p", told.append, lambda _: None)
    for line in said.splitlines():
        steps.line(line)
    error = steps.failure(said.splitlines()[-20:], "Dockerfile")
    assert error.evidence["wrote"] == ["one", "two"]
    assert error.evidence["instruction"] == 'RUN ["/bin/sh", "-e", "/a"]'
    assert error.message.endswith('`RUN ["/bin/sh", "-e", "/a"]` failed: two')
    assert error.where is not None and error.where.line == 3
    assert "step 2 of" in told[1]


def test_without_a_word_of_the_program_the_engines_counts() -> None:
    steps = _Steps(instructions(DOCKERFILE), "p", lambda _: None, lambda _: None)
    said = [line for line in DOCKER.splitlines() if line not in ("one", "two")]
    for line in said:
        steps.line(line)
    assert "returned a non-zero code: 1" in steps.failure(said, "Dockerfile").message
