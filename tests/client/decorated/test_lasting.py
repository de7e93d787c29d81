"""What is built into an image: the same bytes wherever the file is that it is from."""

import pickle
import runpy
from pathlib import Path

TEXT = """
from kedge.client.decorated import lasting

def scale(x):
    def times(y):
        return x * y
    return times

made = lasting.sent(scale).pickle
"""


def test_the_folder_of_a_file_is_not_in_what_is_built(tmp_path: Path) -> None:
    made = set()
    for name in ("one", "other"):
        file = tmp_path / name / "job.py"
        file.parent.mkdir()
        file.write_text(TEXT)
        made.add(runpy.run_path(str(file), run_name="job")["made"])
    (data,) = made
    assert str(tmp_path).encode() not in data
    assert pickle.loads(data)(6)(7) == 42
