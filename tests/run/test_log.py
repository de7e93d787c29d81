"""Logs: every byte kept and told apart by stream and moment, floods bounded, readers that follow."""

import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kedge.errors import StoreError
from kedge.run import log as log_module
from kedge.run.log import LogWriter, read_log

_STREAMS = ("stdout", "stderr", "kedge")


def _bytes_of(path: Path, stream: str) -> bytes:
    return b"".join(data for _, found, data in read_log(str(path)) if found == stream)


@settings(deadline=None, max_examples=150)
@given(
    writes=st.lists(
        st.tuples(
            st.sampled_from(_STREAMS),
            st.binary(max_size=30) | st.text("a\n\r +#0", max_size=30).map(str.encode),
            st.booleans(),
        )
    )
)
def test_each_stream_comes_back_byte_for_byte(tmp_path_factory, writes) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    log = LogWriter(str(path))
    written: dict[str, bytes] = dict.fromkeys(_STREAMS, b"")
    for stream, data, flush in writes:
        log.write(stream, data)
        written[stream] += data
        if flush:
            log.flush_partial()
            assert {stream: _bytes_of(path, stream) for stream in _STREAMS} == written
    log.close()
    assert {stream: _bytes_of(path, stream) for stream in _STREAMS} == written
    assert log.problem is None


def test_lines_of_two_streams_keep_their_order_and_moments(tmp_path: Path) -> None:
    moments = iter([100, 100, 150, 420, 430])
    log = LogWriter(str(tmp_path / "log"), monotonic_ms=lambda: next(moments))
    log.write("stdout", b"one\n")
    log.write("stderr", b"two\nthree\n")
    log.write("stdout", b"half")
    log.write("stderr", b"four\n")
    log.close()
    records = list(read_log(str(tmp_path / "log")))
    start = records[0][0]
    assert [(ms - start, stream, data) for ms, stream, data in records] == [
        (0, "stdout", b"one\n"),
        (50, "stderr", b"two\n"),
        (50, "stderr", b"three\n"),
        (320, "stdout", b"half"),
        (330, "stderr", b"four\n"),
    ]
    assert abs(start - os.stat(tmp_path / "log").st_mtime * 1000) < 60_000


def test_the_file_reads_well_as_it_is(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"), monotonic_ms=lambda: 7)
    log.write("stdout", b"step 1\n")
    log.write("stderr", b"why")
    log.close()
    header, *lines = (tmp_path / "log").read_bytes().splitlines()
    assert header.startswith(b"#kedge-log 1 ")
    assert lines == [b"0 o step 1", b"0 e+ why"]


def test_a_line_without_its_newline_is_seen_after_a_flush(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"))
    log.write("stdout", b"continue? ")
    assert _bytes_of(tmp_path / "log", "stdout") == b""
    log.flush_partial()
    assert _bytes_of(tmp_path / "log", "stdout") == b"continue? "
    log.close()


def test_a_line_of_ten_megabytes_is_kept_whole_in_little_memory(tmp_path: Path) -> None:
    line = os.urandom(1 << 20).replace(b"\n", b" ") * 10
    log = LogWriter(str(tmp_path / "log"))
    tracemalloc.start()
    for start in range(0, len(line), 65536):
        log.write("stderr", line[start : start + 65536])
    log.write("stderr", b"\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    log.close()
    assert peak < 2_000_000
    assert _bytes_of(tmp_path / "log", "stderr") == line + b"\n"


def test_of_a_flood_the_beginning_and_the_end_are_kept_with_a_mark_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "HEAD_BYTES", 10_000)
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 70_000)
    log = LogWriter(str(tmp_path / "log"))
    lines = [b"line %d of the flood\n" % number for number in range(100_000)]
    whole = b"".join(lines)
    for start in range(0, len(whole), 5_000):
        log.write("stdout", whole[start : start + 5_000])
    log.close()
    assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) <= 90_000 + 10 * 80_000
    records = list(read_log(str(tmp_path / "log")))
    (mark,) = [index for index, record in enumerate(records) if record[1] == "kedge"]
    before = b"".join(data for _, _, data in records[:mark])
    after = b"".join(data for _, _, data in records[mark + 1 :])
    assert whole.startswith(before)
    assert len(before) >= 10_000
    assert whole.endswith(after)
    assert len(after) > 9 * 70_000 * 0.6  # the rest of it is the frames of these short lines
    missing = len(whole) - len(before) - len(after)
    assert records[mark][2] == b"[... %d bytes left out ...]\n" % missing
    assert records[mark][0] >= records[mark - 1][0]


def test_a_hundred_megabytes_pass_in_little_memory(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"))
    chunk = b"x" * 79 + b"\n"
    chunk *= 800
    tracemalloc.start()
    for _ in range(100_000_000 // len(chunk)):
        log.write("stdout", chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    log.close()
    assert peak < 2_000_000
    assert sum(entry.stat().st_size for entry in tmp_path.iterdir()) <= 73 << 20
    assert log.tail("stdout", 1) == b"x" * 79 + b"\n"


@pytest.mark.parametrize(
    ("written", "lines", "tail"),
    [
        (b"", 3, b""),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\n", 5, b"a\n"),
        (b"a\n\n\n", 2, b"\n\n"),
        (b"x" * 300_000, 1, b"x" * 65_536),
    ],
)
def test_the_tail_is_the_last_lines_of_one_stream(
    tmp_path: Path, written: bytes, lines: int, tail: bytes
) -> None:
    log = LogWriter(str(tmp_path / "log"))
    log.write("stdout", b"other\n")
    log.write("stderr", written)
    assert log.tail("stderr", lines) == tail
    log.close()


def test_a_reader_follows_until_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "HEAD_BYTES", 500)
    monkeypatch.setattr(log_module, "SEGMENT_BYTES", 500)
    path = str(tmp_path / "log")
    log = LogWriter(path)
    seen: list[bytes] = []
    first, over = threading.Event(), threading.Event()

    def follow() -> None:
        for _, _, data in read_log(path, follow=True, stop=over.is_set):
            seen.append(data)
            first.set()

    reader = threading.Thread(target=follow)
    reader.start()
    log.write("stdout", b"first\n")
    assert first.wait(30)
    lines = [b"line %d\n" % number for number in range(300)]
    for line in lines:
        log.write("stdout", line)
    log.write("stdout", b"end")
    log.close()
    over.set()
    reader.join(30)
    assert seen[0] == b"first\n"
    assert seen[-1] == b"end"
    kept = [line for line in seen[1:-1] if not line.startswith(b"[...")]
    assert kept == [line for line in lines if line in set(kept)]


def test_a_record_that_a_killed_writer_left_half_written_is_read_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    log = LogWriter(str(path))
    log.write("stdout", b"whole\n")
    log.close()
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        read = b"".join(data for _, _, data in read_log(str(path)))
        assert b"whole\n".startswith(read)


def test_a_disk_that_takes_no_more_ends_the_log_but_not_the_run(tmp_path: Path) -> None:
    log = LogWriter(str(tmp_path / "log"))
    log.write("stderr", b"before\n")
    os.close(log._file)
    log._file = os.open("/dev/full", os.O_WRONLY)
    log.write("stderr", b"lost\n")
    log.write("stderr", b"also lost\n")
    log.close()
    assert log.problem is not None
    assert "No space left" in log.problem
    assert log.tail("stderr", 2) == b"lost\nalso lost\n"
    assert _bytes_of(tmp_path / "log", "stderr") == b"before\n"


@pytest.mark.parametrize("content", [b"plain text\nmore\n", b"#kedge-log 9 1 1\n", b"#\n", b"\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(StoreError, match="not a log"):
        list(read_log(str(tmp_path / "log")))


def test_a_log_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read") as told:
        list(read_log(str(tmp_path / "log")))
    assert told.value.hint
    with pytest.raises(StoreError, match="cannot be made"):
        LogWriter(str(tmp_path / "absent" / "log"))
    os.symlink("/etc/shadow", tmp_path / "log")
    with pytest.raises(StoreError):
        LogWriter(str(tmp_path / "log"))
    with pytest.raises(StoreError):
        list(read_log(str(tmp_path / "log")))
