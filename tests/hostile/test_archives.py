"""Archives and folders made to hurt: refused or read in bounded time and memory, and nothing is ever extracted.

What ordinary broken ones get, and zip slip, links, encrypted and damaged members, is in ``tests/test_submission.py``.
"""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grader import locations
from grader.errors import UnusableSubmission
from grader.submission import Submission, load_submission
from grader.worker.sandbox.cleanup import remove_tree

LAB1, LAB2 = "lab1_sparse_optimization.py", "lab2_pruning.py"
CODE = b"def loss(X, y, w):\n    return 1.0\n"


@contextmanager
def bounded(mebibytes: int = 100, seconds: float = 20.0) -> Iterator[None]:
    """Fail if the body takes more memory or processor time; 64 MiB are the buffer that a zip is read into."""
    tracemalloc.start()
    started = time.process_time()
    try:
        yield
        taken, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= mebibytes << 20, f"{peak >> 20} MiB"
    assert taken <= seconds


def load(path: Path) -> Submission:
    return load_submission(path, locations.pristine())


def refusal(path: Path) -> str:
    with pytest.raises(UnusableSubmission) as caught:
        load(path)
    return str(caught.value)


class RawZip:
    """A zip written byte by byte, as no packer would."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._directory: list[bytes] = []

    def add(self, data: bytes, size: int, checksum: int, name: str) -> int:
        """Append a deflated member; where its header starts."""
        at = len(self._data)
        self._data += struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, 8, 0, 0, checksum, len(data), size, len(name), 0)
        self._data += name.encode() + data
        return at

    def list(self, at: int, compressed: int, size: int, checksum: int, name: str) -> None:
        """Name a member in the directory, whatever lies there."""
        fields = (20, 20, 0, 8, 0, 0, checksum, compressed, size, len(name), 0, 0, 0, 0, 0, at)
        self._directory.append(struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", *fields) + name.encode())

    def write(self, path: Path) -> Path:
        directory, count = b"".join(self._directory), min(len(self._directory), 0xFFFF)
        end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(self._data), 0)
        path.write_bytes(bytes(self._data) + directory + end)
        return path


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def test_a_hundred_thousand_files_in_a_zip_are_refused_unread(tmp_path: Path) -> None:
    made = RawZip()
    data = _deflated(CODE)
    at = made.add(data, len(CODE), zlib.crc32(CODE), LAB1)
    for i in range(100_000):
        made.list(at, len(data), len(CODE), zlib.crc32(CODE), f"{i}.py")
    path = made.write(tmp_path / "many.zip")
    with bounded():
        assert "holds more than 5,000 files" in refusal(path)


def test_members_that_share_their_bytes_are_counted_each(tmp_path: Path) -> None:
    """A bomb without nesting: a thousand members over one stretch of data, of 2 MiB each when unpacked."""
    content = bytes(2 << 20)
    made, data = RawZip(), _deflated(content)
    at = made.add(data, len(content), zlib.crc32(content), LAB1)
    for i in range(1_000):
        made.list(at, len(data), len(content), zlib.crc32(content), f"{i}/{LAB1}")
    path = made.write(tmp_path / "overlap.zip")
    assert path.stat().st_size < 1 << 20
    with bounded():
        assert "unpacks to over 128 MiB" in refusal(path)


@pytest.mark.parametrize("claimed", [10, 2 << 20])
def test_a_member_that_is_larger_than_it_says_is_not_unpacked(tmp_path: Path, claimed: int) -> None:
    """A quarter of a gibibyte of zeros that claims to be small."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    made = RawZip()
    made.list(made.add(data, claimed, 0, LAB1), len(data), claimed, 0, LAB1)
    path = made.write(tmp_path / "bomb.zip")
    with bounded():
        assert "is damaged in the zip" in refusal(path)


def _zips_in_zips(path: Path, depth: int) -> Path:
    name, content = LAB1, CODE
    for level in range(depth):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, content)
        name, content = f"{level}.zip", packed.getvalue()
    path.write_bytes(content)
    return path


def test_three_zips_in_a_zip_are_opened_and_no_more(tmp_path: Path) -> None:
    """As students pack them, but not one in another for ever."""
    assert load(_zips_in_zips(tmp_path / "four.zip", 4)).files == {LAB1: CODE}
    assert "2.zip/1.zip/0.zip was not unpacked: hand in one zip" in refusal(_zips_in_zips(tmp_path / "five.zip", 5))


def test_an_offset_beyond_all_bounds_is_a_damaged_zip(tmp_path: Path) -> None:
    """An offset in a zip64 field of which Python makes a number that no file can be moved to."""
    extra = struct.pack("<HHQ", 1, 8, 1 << 63)
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 45, 45, 0, 0, 0, 0, 0, 0, 0, len(LAB1), len(extra), 0, 0, 0, 0,
                        0xFFFFFFFF) + LAB1.encode() + extra  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(entry), 0, 0)
    (tmp_path / "offset.zip").write_bytes(entry + end)
    assert "zip: pack it again" in refusal(tmp_path / "offset.zip")


@pytest.mark.parametrize("name", ["-1" * 30_000 + "!.py", "9" * 60_000 + "bit.pt", "a/" * 20_000 + "x.py"])
def test_names_without_end_are_left_out_at_once(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "names.zip", "w") as archive:
        archive.writestr(name, CODE)
        archive.writestr(LAB1, CODE)
    started = time.perf_counter()
    submission = load_submission(tmp_path / "names.zip", locations.pristine(), full=True)
    assert time.perf_counter() - started < 5
    assert submission.files == {LAB1: CODE}
    assert any("Names of more than 255 characters" in note for note in submission.notes)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_ISUID | stat.S_IFREG])
def test_the_kind_of_a_member_makes_nothing_on_the_disk(tmp_path: Path, kind: int) -> None:
    """A device or a program with other rights would be one only if it were extracted."""
    info = zipfile.ZipInfo(LAB1)
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "device.zip", "w") as archive:
        archive.writestr(info, CODE)
    assert load(tmp_path / "device.zip").files == {LAB1: CODE}
    assert [path.name for path in tmp_path.iterdir()] == ["device.zip"]


@pytest.mark.parametrize("packed", [False, True])
def test_names_that_differ_in_case_only_are_two_files(tmp_path: Path, packed: bool) -> None:
    """On some disks the second would replace the first; the exact name counts, and the other is named."""
    files = {LAB1.upper(): b"other = 1", LAB1: CODE, LAB1.title(): b"other = 2"}
    folder = tmp_path / "alice"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if len(list(folder.iterdir())) < len(files):
        pytest.skip("this disk does not tell such names apart")
    if packed:
        with zipfile.ZipFile(tmp_path / "alice.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    found = load(tmp_path / "alice.zip" if packed else folder)
    assert found.files == {LAB1: CODE}
    assert found.notes == (f"Other copies were not taken: {LAB1.upper()} and {LAB1.title()}.",)


def test_special_files_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / LAB1).write_bytes(CODE)
    os.mkfifo(tmp_path / LAB2)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tmp_path / "FP_layers.py"))
        (tmp_path / "lab3_quantization.py").symlink_to("/dev/zero")
        (tmp_path / "answers.toml").symlink_to("/proc/self/environ")
        with bounded():
            found = load(tmp_path)
    assert found.files == {LAB1: CODE}
    (note,) = found.notes
    assert note.startswith("Links that lead out of the submission were not followed")


def test_a_hard_link_is_a_file_like_any_other(tmp_path: Path) -> None:
    """Who can make one could read the file; it is no way to read what only the grader can."""
    (tmp_path / "work.txt").write_bytes(CODE)
    os.link(tmp_path / "work.txt", tmp_path / LAB1)
    assert load(tmp_path).files == {LAB1: CODE}


def test_a_folder_of_many_files_is_searched_to_a_limit(tmp_path: Path) -> None:
    (tmp_path / LAB1).write_bytes(CODE)
    (tmp_path / "data").mkdir()
    for i in range(21_000):
        os.close(os.open(tmp_path / "data" / f"{i}.png", os.O_CREAT))
    started = time.process_time()
    assert load(tmp_path).files == {LAB1: CODE}
    assert time.process_time() - started < 20


def test_deeply_nested_folders_end_somewhere(tmp_path: Path) -> None:
    (tmp_path / LAB1).write_bytes(CODE)
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2_000):
        os.mkdir("deep", dir_fd=here)
        inner = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with bounded():
        assert load(tmp_path).files == {LAB1: CODE}
    remove_tree(tmp_path)  # pytest could not
