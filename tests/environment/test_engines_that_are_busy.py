"""An engine that fails while somebody else makes or removes images is asked again."""

import json
from pathlib import Path
from typing import Any

import pytest

from kedge.engine.look import Engine
from kedge.environment import images, kept_images
from kedge.errors import Unavailable

BUSY = 'locating item named "manifest" for image with ID "94cb" (consider removing the image)'
TOLD = [{"Id": "sha256:" + "a" * 64, "Os": "linux", "Architecture": "amd64"}]


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a Podman that is busy the first `times` it is asked, and then says `error` or has one image."""
    monkeypatch.setattr(images, "AGAIN_S", (0.0, 0.01, 0.01))

    def make(times: int, error: str = "") -> Engine:
        program = tmp_path / "podman"
        (tmp_path / "told.json").write_text(json.dumps(TOLD))
        program.write_text(
            "#!/bin/sh\n"
            f"echo \"$*\" >>'{tmp_path}/asked'\n"
            f"[ $(wc -l <'{tmp_path}/asked') -gt {times} ] || {{ echo 'Error: {BUSY}' >&2; exit 125; }}\n"
            f"[ -z '{error}' ] || {{ echo 'Error: {error}' >&2; exit 125; }}\n"
            f"case $1 in images) echo {TOLD[0]['Id']};; *) cat '{tmp_path}/told.json';; esac\n"
        )
        program.chmod(0o755)
        return Engine("podman", str(program), "4.3.1", "linux/amd64", False, True, ())

    make.asked = lambda: (tmp_path / "asked").read_text().splitlines()  # type: ignore[attr-defined]
    return make


def test_an_image_is_there_although_others_come_and_go(podman: Any) -> None:
    found = images.find(podman(2), "one:1")
    assert found is not None and found.id == TOLD[0]["Id"]
    assert len(podman.asked()) == 3


def test_an_image_that_is_not_there_is_asked_for_once(podman: Any) -> None:
    assert images.find(podman(0, "inspecting object: one:1: image not known"), "one:1") is None
    assert len(podman.asked()) == 1


def test_a_list_is_asked_for_until_it_comes_whole(podman: Any) -> None:
    assert kept_images.listed(podman(2)) == []  # an image without Kedge's labels is none of its own
    assert [asked.split()[0] for asked in podman.asked()] == ["images", "images", "images", "image"]


def test_a_list_that_does_not_come_is_not_an_empty_one(podman: Any) -> None:
    with pytest.raises(Unavailable, match=r"podman does not list its images: locating item .*94cb"):
        kept_images.listed(podman(9))
