"""A file is complete or as it was: whatever fails, and however."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from grader.errors import GraderError
from grader.files import write_atomically

_NOBODY = 65534


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "grades.csv"
    path.write_bytes(b"old")
    return path


def _is_as_before(old: Path) -> bool:
    return old.read_bytes() == b"old" and os.listdir(old.parent) == [old.name]


def test_a_complete_file_takes_the_place_of_the_old_one(old: Path) -> None:
    write_atomically(old, [b"n", b"ew"])
    assert old.read_bytes() == b"new" and os.listdir(old.parent) == [old.name]


def test_the_old_file_itself_is_never_written_to(old: Path, tmp_path: Path) -> None:
    """Another name of it still has all of the old content."""
    os.link(old, tmp_path / "other")
    write_atomically(old, [b"new"])
    assert (tmp_path / "other").read_bytes() == b"old"


def test_folders_are_made_and_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_atomically(tmp_path / "a" / "b" / "c.json", [b"{}"])
    assert (tmp_path / "a" / "b" / "c.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_nobody_sees_half_a_file(old: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        assert old.read_bytes() == b"old"

    write_atomically(old, chunks())
    assert old.read_bytes() == b"half"


@pytest.mark.parametrize("error", [ValueError("ours"), OSError(5, "a store that cannot be read"), SystemExit(143)])
def test_a_failure_in_making_the_content_leaves_the_old_file_and_is_not_called_a_failure_to_write(
    old: Path, error: BaseException
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise error

    with pytest.raises(type(error)) as caught:
        write_atomically(old, chunks())
    assert caught.value is error
    assert _is_as_before(old)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("size", [1, 10**6])
def test_a_full_disk_leaves_the_old_file(size: int, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode: opened(*((Path("/dev/full"), "wb") if mode == "xb" else (self, mode)))
    )
    with pytest.raises(GraderError, match=r"grades\.csv cannot be written: No space left on device; nothing was"):
        write_atomically(old, [b"n" * size])
    assert _is_as_before(old)


def test_a_failing_disk_at_the_last_moment_leaves_the_old_file(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(GraderError, match="No space left on device"):
        write_atomically(old, [b"new"])
    assert _is_as_before(old)


@contextmanager
def _as_ordinary_user(folder: Path) -> Iterator[None]:
    """Root may write everywhere, so be nobody for a moment; ``folder`` is nobody's own."""
    root = os.geteuid() == 0
    if root:
        os.chown(folder, _NOBODY, -1)
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="rights of folders are POSIX's")
def test_a_read_only_folder_is_said_in_one_sentence() -> None:
    with TemporaryDirectory() as name:  # pytest's own is below a folder that only its user may enter
        old = Path(name, "grades.csv")
        old.write_bytes(b"old")
        old.parent.chmod(0o500)
        with _as_ordinary_user(old.parent):
            with pytest.raises(GraderError, match=r"cannot be written: Permission denied"):
                write_atomically(old, [b"new"])
            assert _is_as_before(old)
            old.parent.chmod(0o700)


def test_a_folder_or_a_file_in_the_way_is_said_in_one_sentence(old: Path) -> None:
    with pytest.raises(GraderError, match="cannot be written: "):
        write_atomically(old / "below.csv", [b"new"])
    (old.parent / "folder").mkdir()
    with pytest.raises(GraderError, match="cannot be written: "):
        write_atomically(old.parent / "folder", [b"new"])
    assert sorted(os.listdir(old.parent)) == ["folder", old.name]
