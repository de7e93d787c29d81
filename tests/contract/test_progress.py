"""Progress: seen when its line is complete, thinned in a flood, never believed."""

import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.contract.progress import LINE_LIMIT, RATE, Reader


class _Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _append(path: Path, data: bytes) -> None:
    with open(path, "ab") as file:
        file.write(data)


_LINES = st.lists(
    st.dictionaries(st.sampled_from(["step", "total", "é"]), st.integers() | st.text(), max_size=3),
    max_size=12,
)


@settings(deadline=None, max_examples=150)
@given(lines=_LINES, cuts=st.lists(st.integers(0, 600)), ascii_only=st.booleans())
def test_events_come_whole_and_in_order_however_they_were_written(
    tmp_path_factory, lines, cuts, ascii_only
) -> None:
    path = tmp_path_factory.mktemp("out") / "progress.jsonl"
    data = b"".join(json.dumps(line, ensure_ascii=ascii_only).encode() + b"\n" for line in lines)
    reader = Reader(str(path))
    found = reader.poll()
    last = 0
    for cut in [*sorted(cuts), len(data)]:
        _append(path, data[last:cut])
        last = max(last, min(cut, len(data)))
        found += reader.poll()
    assert found + reader.finish() == lines
    assert (reader.skipped, reader.thinned) == (0, False)


def test_a_line_waits_for_its_newline_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    reader = Reader(str(path))
    _append(path, b'{"step": 1}\n{"step": 2}')
    assert reader.poll() == [{"step": 1}]
    assert reader.poll() == []
    assert reader.finish() == [{"step": 2}]


@pytest.mark.parametrize(
    "line",
    [
        b"text",
        b"{",
        b"[1]",
        b"3",
        b"\xff",
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 50_000,
        b'{"a": "' + b"x" * LINE_LIMIT + b'"}',
        b'{"a": "' + b"x" * 3_000_000 + b'"}',
        b'{"a": "\\ud800"}',
        b"\0",
    ],
)
def test_a_line_that_is_no_event_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "progress.jsonl"
    reader = Reader(str(path))
    _append(path, b'{"step": 1}\n')
    found = reader.poll()
    for start in range(0, len(line), 500_000):
        _append(path, line[start : start + 500_000])
        found += reader.poll()
    _append(path, b'\n\r\n\n{"step": 2}\n')
    assert found + reader.poll() == [{"step": 1}, {"step": 2}]
    assert reader.skipped == 1


def test_a_flood_is_thinned_to_its_share_and_the_newest_is_seen_at_once(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    clock = _Clock()
    reader = Reader(str(path), clock)
    passed: list[tuple[float, int]] = []
    step = 0
    for tick in range(500):
        clock.now = tick * 0.01
        for _ in range(30):
            step += 1
            _append(path, b'{"step": %d}\n' % step)
        passed += [(clock.now, event["step"]) for event in reader.poll()]
    for start, _ in passed:
        assert sum(start <= moment < start + 1.0 for moment, _ in passed) <= RATE
    steps = [event for _, event in passed]
    assert steps == sorted(set(steps))
    moments = [0.0, *(moment for moment, _ in passed), 5.0]
    assert max(b - a for a, b in itertools.pairwise(moments)) <= 0.1
    assert reader.finish()[-1] == {"step": step}
    assert reader.thinned


def test_after_a_flood_the_last_event_follows_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    clock = _Clock()
    reader = Reader(str(path), clock)
    _append(path, b"".join(b'{"step": %d}\n' % step for step in range(1000)))
    assert reader.poll()[-1] == {"step": 999}
    _append(path, b'{"step": 1000}\n')
    assert reader.poll() == []
    clock.now = 0.06
    assert reader.poll() == [{"step": 1000}]
    assert reader.poll() == []


def test_the_last_event_comes_at_the_end_even_when_it_was_held_back(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    reader = Reader(str(path), _Clock())
    _append(path, b"".join(b'{"step": %d}\n' % step for step in range(1000)))
    reader.poll()
    _append(path, b'{"step": 1000}\n')
    assert reader.poll() == []
    assert reader.finish() == [{"step": 1000}]


def test_of_a_long_backlog_the_end_is_read(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    reader = Reader(str(path), _Clock())
    _append(path, b'{"step": 0}\n' + b'{"step": 1, "message": "%s"}\n' % (b"x" * 1000) * 20_000)
    _append(path, b'{"step": 2}\n')
    assert reader.poll()[-1] == {"step": 2}
    assert reader.skipped == 0
    assert reader.thinned


def test_a_file_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    reader = Reader(str(path))
    _append(path, b'{"step": 10, "message": "long enough"}\n{"ste')
    assert len(reader.poll()) == 1
    path.write_bytes(b'{"step": 1}\n')
    assert reader.poll() == [{"step": 1}]
    path.unlink()
    assert reader.poll() == []
    path.write_bytes(b'{"step": 2, "message": "replaced by another file"}\n')
    assert [event["step"] for event in reader.poll()] == [2]
    other = tmp_path / "other"
    other.write_bytes(b'{"step": 3, "message": "moved over the one before it, and longer"}\n')
    other.replace(path)
    assert [event["step"] for event in reader.finish()] == [3]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_gives_no_events(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "progress.jsonl"
    (tmp_path / "elsewhere").write_bytes(b'{"step": 1}\n')
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    reader = Reader(str(path))
    assert reader.poll() == []
    assert reader.finish() == []
    assert Reader(str(tmp_path / "absent" / "progress.jsonl")).poll() == []
