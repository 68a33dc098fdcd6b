"""The files below a directory or inside a zip: found without being read, and read only up to a limit."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from grader.errors import TooLarge, UnusableSubmission
from grader.notebook import listed

__all__ = [
    "Entry",
    "directory_entries",
    "display_path",
    "file_entry",
    "note",
    "unpacked",
    "without_copy_mark",
    "zip_entries",
]

_COPY_MARK = re.compile(r"(?: ?\(\d+\)|-\d+| - copy| copy)$")
_LONGEST_MARK = 30

_MIB = 2**20
_MAX_ZIP = 64 * _MIB
_MAX_CONTENT = 128 * _MIB
_MAX_INNER_ZIPS = 3
_MAX_MEMBERS = 5_000
_MAX_NAME = 255
"""Characters of one part of a path, as everywhere outside a zip; patterns that look into names rely on it."""
_MAX_PATH = 1_000
_MAX_ENTRIES = 20_000
"""Entries of a directory that are looked at, the shallowest first: a data set may lie beside the labs."""

_IGNORED = frozenset({"__MACOSX", "__pycache__", "node_modules", "site-packages", "venv"})
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file somewhere in a submission; ``read(limit)`` refuses one of more than ``limit`` bytes."""

    path: str
    read: Callable[[int], bytes]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def without_copy_mark(name: str) -> str:
    """A file's name, in small letters, without what browsers and course sites put into that of a second copy."""
    stem, dot, suffix = name.rpartition(".")
    if not (dot and suffix.isalpha() and suffix.isascii()):
        return name
    while mark := _COPY_MARK.search(stem[-_LONGEST_MARK:]):
        stem = stem[: -len(mark[0])]
    return f"{stem}.{suffix}"


def display_path(path: Path) -> str:
    """A path as it is written in messages."""
    return listed([str(path)], width=300)


def note(text: str, names: list[str]) -> list[str]:
    """A note about some names; none where there are none."""
    return [f"{text}: {listed(names)}."] if names else []


def directory_entries(root: Path) -> tuple[list[Entry], list[str]]:
    """Every file below a directory that is not hidden, the shallowest first, and notes on the rest."""
    real_root = os.path.realpath(root)
    found: list[Entry] = []
    refused: list[str] = []
    closed: list[str] = []
    queue, seen = deque([""]), 0
    while queue and seen < _MAX_ENTRIES:
        folder = queue.popleft()
        try:
            with os.scandir(os.path.join(real_root, folder)) as scan:
                items = sorted(islice(scan, _MAX_ENTRIES), key=lambda item: item.name)
        except OSError:
            closed.append(folder or ".")
            continue
        seen += len(items)
        for item in filter(lambda item: not _is_ignored(item.name), items):
            path = f"{folder}/{item.name}" if folder else item.name
            if item.is_symlink() and not _is_inside(item.path, real_root):
                refused.append(path)
            elif item.is_dir(follow_symlinks=False):
                queue.append(path)
            elif os.path.isfile(item.path):
                found.append(file_entry(path, Path(os.path.realpath(item.path))))
    if not found and closed:
        raise UnusableSubmission(f"{display_path(root)} cannot be read: give yourself permission to read it.")
    return found, [
        *note("Links that lead out of the submission were not followed", refused),
        *note("Folders that cannot be read were left out", closed),
        *note(f"Only the first {_MAX_ENTRIES:,} files and folders were looked at, not those in", [*queue]),
    ]


def file_entry(path: str, where: Path) -> Entry:
    """The file at ``where``, which messages call ``path``."""
    return Entry(path, lambda limit: _read_file(where, limit, listed([path])))


def _read_file(path: Path, limit: int, shown: str) -> bytes:
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError
            _require_size(status.st_size, limit, shown)
            content = file.read(limit + 1)
    except OSError:
        raise UnusableSubmission(f"{shown} cannot be read: give yourself permission to read it.") from None
    return _capped(content, limit, shown)


def _require_size(size: int, limit: int, shown: str) -> None:
    if size > limit:
        raise TooLarge(f"{shown} is larger than {limit // _MIB} MiB: hand it in without data and outputs.")


def _capped(content: bytes, limit: int, shown: str) -> bytes:
    _require_size(len(content), limit, shown)
    return content


def zip_entries(path: Path, wanted: str) -> tuple[list[Entry], list[str]]:
    """Every file in a zip, and notes; members are read into memory one by one and never extracted.

    ``wanted`` says what to hand in, should there be too much in the zip.
    """
    shown = display_path(path)
    return _members(_read_file(path, _MAX_ZIP, shown), shown, wanted)


def unpacked(entries: list[Entry], wanted: str) -> tuple[list[Entry], list[str]]:
    """The entries, with the contents of the first few zips among them, and in those, in their places, and notes."""
    found: list[Entry] = []
    notes: list[str] = []
    zips = 0
    waiting = deque(entries)
    while waiting:
        entry = waiting.popleft()
        if not entry.name.casefold().endswith(".zip"):
            found.append(entry)
            continue
        zips += 1
        try:
            if zips > _MAX_INNER_ZIPS:
                raise UnusableSubmission(f"{listed([entry.path])} was not unpacked: hand in one zip.")
            inside, told = _members(entry.read(_MAX_ZIP), listed([entry.path]), wanted)
        except UnusableSubmission as error:
            found.append(entry)
            notes.append(str(error))
        else:
            waiting.extendleft(Entry(f"{entry.path}/{member.path}", member.read) for member in reversed(inside))
            notes += told
    return found, notes


def _members(raw: bytes, shown: str, wanted: str) -> tuple[list[Entry], list[str]]:
    archive = _open_zip(raw, shown, wanted)
    members = {name: info for info in archive.infolist() if not info.is_dir() and (name := _member_path(info))}
    if sum(info.file_size for info in members.values()) > _MAX_CONTENT:
        raise UnusableSubmission(f"{shown} unpacks to over {_MAX_CONTENT // _MIB} MiB: hand in only {wanted}.")
    if any(info.flag_bits & 1 for info in members.values()):
        raise UnusableSubmission(f"{shown} is encrypted: pack it again without a password.")
    links = [name for name, info in members.items() if stat.S_ISLNK(info.external_attr >> 16)]
    too_long = [name for name in members if len(name) > _MAX_PATH or max(map(len, name.split("/"))) > _MAX_NAME]
    left_out = {*links, *too_long}
    found = [_member_entry(archive, info, name) for name, info in members.items() if name not in left_out]
    notes = note("Links in a zip are not followed", links)
    return found, [*notes, *note(f"Names of more than {_MAX_NAME} characters in a zip are not read", too_long)]


def _open_zip(raw: bytes, shown: str, wanted: str) -> zipfile.ZipFile:
    # Counted in the bytes, because zipfile builds an object for every member before anybody can ask how many.
    if raw.count(b"PK\x01\x02") > _MAX_MEMBERS:
        raise UnusableSubmission(f"{shown} holds more than {_MAX_MEMBERS:,} files: hand in only {wanted}.")
    try:
        return zipfile.ZipFile(io.BytesIO(raw))
    except _BROKEN_ZIP:
        raise UnusableSubmission(f"{shown} is not an intact zip: pack it again and hand in the new file.") from None


def _member_path(info: zipfile.ZipInfo) -> str:
    """The path of a member, '' for one to ignore. It only names the member: nothing is written to it."""
    parts = [part for part in info.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "" if any(map(_is_ignored, parts)) else "/".join(parts)


def _member_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> Entry:
    def read(limit: int) -> bytes:
        shown = listed([path])
        # Only these two are decompressed piece by piece, so that reading no more takes no more memory.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnusableSubmission(f"{shown} is compressed in an unusual way: pack the zip again as a normal one.")
        try:
            _require_size(info.file_size, limit, shown)
            with archive.open(info) as member:
                return _capped(member.read(limit + 1), limit, shown)
        except _BROKEN_ZIP:
            raise UnusableSubmission(
                f"{shown} is damaged in the zip: pack it again and hand in the new file."
            ) from None

    return Entry(path, read)


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in _IGNORED


def _is_inside(path: str, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)
