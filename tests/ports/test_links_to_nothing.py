"""An input file that is a symbolic link to nothing is called so, and not proposed in its own place."""

from pathlib import Path

from kedge.ports import Ports, check_inputs

MESH = Ports({"mesh": {"type": "string", "format": "binary", "x-type": "File"}}, frozenset(), None)


def test_a_link_to_nothing_is_called_so(tmp_path: Path) -> None:
    link = tmp_path / "wing.med"
    link.symlink_to(tmp_path / "gone.med")
    _, problems = check_inputs(MESH, {"mesh": str(link)})
    assert [one.message for one in problems] == [f"`mesh`: `{link}` is a symbolic link to nothing"]
    assert problems[0].hint == "give the path of a file that is there"
