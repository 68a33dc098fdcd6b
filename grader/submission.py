"""A directory, a zip, a notebook or a single file becomes a staged submission; student code is never run."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from grader.errors import InternalError, UnusableSubmission
from grader.notebook import Extraction, extract, fill, listed, same_text, unfinished

__all__ = ["EDITABLE", "PROVIDED", "Submission", "load_submission", "stage"]

EDITABLE = (
    "answers.toml",
    "lab1_sparse_optimization.py",
    "lab2_pruning.py",
    "FP_layers.py",
    "lab3_quantization.py",
)
"""What students write; everything else that they hand in is ignored."""
PROVIDED = ("resnet20.py", "train_util.py")
"""What every submission gets from the pristine copy."""

_MIB = 2**20
_MAX_FILE = 2 * _MIB
_MAX_NOTEBOOK = 32 * _MIB
_MAX_ZIP = 64 * _MIB
_MAX_CONTENT = 128 * _MIB
_MAX_MEMBERS = 5_000
_MAX_ENTRIES = 20_000
"""Entries of a directory that are looked at, the shallowest first: a data set may lie beside the labs."""
_MAX_NOTEBOOKS = 8

_IGNORED = frozenset({"__MACOSX", "__pycache__", "node_modules", "site-packages", "venv"})
_COPY_MARK = re.compile(r"(?: ?\(\d+\)|-\d+| - copy| copy)(?=\.[a-z]+$)")
"""What browsers, file managers and course sites put into the name of a second copy."""
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
_NAMES = listed(EDITABLE)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is graded of one submission: the editable files that were found, and notes to the student."""

    name: str
    files: Mapping[str, bytes]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file somewhere in a submission; ``read(limit)`` refuses one of more than ``limit`` bytes."""

    path: str
    read: Callable[[int], bytes]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def load_submission(path: Path, pristine: Path) -> Submission:
    """The gradable content of a directory, a .zip, an .ipynb or one editable file.

    ``pristine`` is the directory of the template, which says what a notebook has to define for which file.
    Raises UnusableSubmission where nothing can be graded.
    """
    entries, notes = _entries(path)
    templates = {name: _pristine_file(pristine, name) for name in (*EDITABLE, *PROVIDED)}
    files = _take_files(entries, templates, notes)
    _take_notebooks(entries, files, templates, notes)
    if not files:
        raise UnusableSubmission(_nothing(path, entries, notes))
    return Submission(_name(path), {name: files[name] for name in EDITABLE if name in files}, tuple(notes))


def stage(submission: Submission, pristine: Path, into: Path) -> tuple[str, ...]:
    """Write the provided files and the submission's into an empty directory; returns notes to the student."""
    if any(into.iterdir()):
        raise InternalError(f"{into} is not empty: a submission is staged in a directory of its own.")
    for name in PROVIDED:
        (into / name).write_bytes(_pristine_file(pristine, name))
    missing = [name for name in EDITABLE if name not in submission.files]
    for name in EDITABLE:
        if name not in missing:
            (into / name).write_bytes(submission.files[name])
    return (f"Not in the submission: {listed(missing)}.",) if missing else ()


def _name(path: Path) -> str:
    path = path.resolve()
    return (path.name if path.is_dir() else path.stem) or "submission"


def _shown(path: Path) -> str:
    return listed([str(path)], width=300)


def _pristine_file(pristine: Path, name: str) -> bytes:
    try:
        return (pristine / name).read_bytes()
    except OSError:
        raise InternalError(f"{pristine} lacks {name}: generate the template again.") from None


def _nothing(path: Path, entries: list[_Entry], notes: list[str]) -> str:
    where, advice = _shown(path), f"hand in {_NAMES}, or a notebook that defines their functions"
    if not entries:
        return f"{where} is empty: {advice}."
    found = listed(entry.path for entry in sorted(entries, key=_order))
    return " ".join([f"{where} holds nothing that can be graded, only {found}: {advice}.", *notes])


def _note(text: str, names: list[str]) -> list[str]:
    """A note about some names; none where there are none."""
    return [f"{text}: {listed(names)}."] if names else []


# --- where files come from ----------------------------------------------------------------------------------


def _entries(path: Path) -> tuple[list[_Entry], list[str]]:
    shown = _shown(path)
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise UnusableSubmission(f"{shown} cannot be read: give yourself permission to read it.") from None
    except (OSError, ValueError):
        raise UnusableSubmission(f"{shown} does not exist: check the path.") from None
    if stat.S_ISDIR(mode):
        return _directory_entries(path)
    kind = path.suffix.casefold() if stat.S_ISREG(mode) else "special"
    if kind == ".zip":
        return _zip_entries(_read_file(path, _MAX_ZIP, shown), shown)
    if kind == "special" or (kind != ".ipynb" and _canonical(path.name) not in EDITABLE):
        raise UnusableSubmission(f"{shown} cannot be graded: hand in a directory, .zip, .ipynb or {_NAMES}.")
    return [_file_entry(path.name, path)], []


def _directory_entries(root: Path) -> tuple[list[_Entry], list[str]]:
    """Every file below a directory that is not hidden, the shallowest first."""
    real_root = os.path.realpath(root)
    found: list[_Entry] = []
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
                found.append(_file_entry(path, Path(os.path.realpath(item.path))))
    if not found and closed:
        raise UnusableSubmission(f"{_shown(root)} cannot be read: give yourself permission to read it.")
    return found, [
        *_note("Links that lead out of the submission were not followed", refused),
        *_note("Folders that cannot be read were left out", closed),
        *_note(f"Only the first {_MAX_ENTRIES:,} files and folders were looked at, not those in", [*queue]),
    ]


def _file_entry(path: str, where: Path) -> _Entry:
    return _Entry(path, lambda limit: _read_file(where, limit, listed([path])))


def _read_file(path: Path, limit: int, shown: str) -> bytes:
    # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise OSError
            content = file.read(limit + 1)
    except OSError:
        raise UnusableSubmission(f"{shown} cannot be read: give yourself permission to read it.") from None
    return _capped(content, limit, shown)


def _capped(content: bytes, limit: int, shown: str) -> bytes:
    if len(content) > limit:
        raise UnusableSubmission(
            f"{shown} is larger than {limit // _MIB} MiB: hand it in without data and outputs."
        )
    return content


def _zip_entries(raw: bytes, shown: str) -> tuple[list[_Entry], list[str]]:
    """Every file in a zip; members are read into memory one by one and never extracted."""
    # Counted in the bytes, because zipfile builds an object for every member before anybody can ask how many.
    if raw.count(b"PK\x01\x02") > _MAX_MEMBERS:
        raise UnusableSubmission(f"{shown} holds more than {_MAX_MEMBERS:,} files: hand in only {_NAMES}.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(raw))
    except _BROKEN_ZIP:
        raise UnusableSubmission(
            f"{shown} is not an intact zip: pack it again and hand in the new file."
        ) from None
    members = {
        path: info for info in archive.infolist() if not info.is_dir() and (path := _member_path(info))
    }
    if sum(info.file_size for info in members.values()) > _MAX_CONTENT:
        raise UnusableSubmission(
            f"{shown} unpacks to over {_MAX_CONTENT // _MIB} MiB: hand in only {_NAMES}."
        )
    if any(info.flag_bits & 1 for info in members.values()):
        raise UnusableSubmission(f"{shown} is encrypted: pack it again without a password.")
    links = [path for path, info in members.items() if stat.S_ISLNK(info.external_attr >> 16)]
    found = [_member_entry(archive, info, path) for path, info in members.items() if path not in links]
    return found, _note("Links in a zip are not followed", links)


def _member_path(info: zipfile.ZipInfo) -> str:
    """The path of a member, '' for one to ignore. It only names the member: nothing is written to it."""
    parts = [part for part in info.filename.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "" if any(map(_is_ignored, parts)) else "/".join(parts)


def _member_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> _Entry:
    def read(limit: int) -> bytes:
        shown = listed([path])
        # Only these two are decompressed piece by piece, so that reading no more takes no more memory.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnusableSubmission(
                f"{shown} is compressed in an unusual way: pack the zip again as a normal one."
            )
        try:
            with archive.open(info) as member:
                return _capped(member.read(limit + 1), limit, shown)
        except _BROKEN_ZIP:
            raise UnusableSubmission(
                f"{shown} is damaged in the zip: pack it again and hand in the new file."
            ) from None

    return _Entry(path, read)


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name in _IGNORED


def _is_inside(path: str, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


# --- which of them are taken --------------------------------------------------------------------------------


def _order(entry: _Entry) -> tuple[int, str]:
    return entry.path.count("/"), entry.path


def _canonical(name: str) -> str | None:
    """The file that a name stands for, spelled exactly or nearly so ("fp_layers (1).py")."""
    plain = _COPY_MARK.sub("", name.casefold().strip())
    known = {known.casefold(): known for known in (*EDITABLE, *PROVIDED)}
    return known.get(re.sub("[- ]", "_", plain))


def _take_files(entries: list[_Entry], templates: Mapping[str, bytes], notes: list[str]) -> dict[str, bytes]:
    """The editable files, each from its exactly named and then its shallowest copy."""
    copies: dict[str, list[_Entry]] = {}
    others: list[str] = []
    for entry in sorted(entries, key=_order):
        name = _canonical(entry.name)
        if name:
            copies.setdefault(name, []).append(entry)
        elif entry.name.endswith(".py"):
            others.append(entry.path)
    chosen = {name: min(found, key=lambda e: (e.name != name, *_order(e))) for name, found in copies.items()}
    spare = [
        e.path for name, found in copies.items() if name in EDITABLE for e in found if e is not chosen[name]
    ]
    renamed = [f"{e.path} as {name}" for name, e in chosen.items() if name in EDITABLE and e.name != name]
    changed = [e.path for name, e in chosen.items() if name in PROVIDED and _differs(e, templates[name])]
    notes += [
        *_note("Taken under the name that is graded", renamed),
        *_note("Other copies were not taken", spare),
        *_note("Replaced by the provided version", changed),
        *_note(f"Not taken, since only {_NAMES} are graded", others),
    ]
    return {name: entry.read(_MAX_FILE) for name, entry in chosen.items() if name in EDITABLE}


def _differs(entry: _Entry, template: bytes) -> bool:
    try:
        return not same_text(entry.read(_MAX_FILE), template)
    except UnusableSubmission:
        return True


def _take_notebooks(
    entries: list[_Entry], files: dict[str, bytes], templates: Mapping[str, bytes], notes: list[str]
) -> None:
    """Fill in from the notebooks what the files lack; one that cannot be read is fatal only if it is all."""
    notebooks = sorted((e for e in entries if e.name.casefold().endswith(".ipynb")), key=_order)
    for entry in notebooks[:_MAX_NOTEBOOKS]:
        try:
            extraction = extract(entry.read(_MAX_NOTEBOOK), entry.path)
        except UnusableSubmission as error:
            if len(entries) == 1:
                raise
            notes.append(str(error))
        else:
            _fill_all(files, extraction, templates, notes)
    notes += _note("Too many notebooks, these were not read", [e.path for e in notebooks[_MAX_NOTEBOOKS:]])


def _fill_all(
    files: dict[str, bytes], extraction: Extraction, templates: Mapping[str, bytes], notes: list[str]
) -> None:
    labs = [name for name in EDITABLE if name.endswith(".py")]
    if any(name not in files or unfinished(files[name], templates[name]) for name in labs):
        notes += extraction.notes  # of no interest where the files are complete without the notebook
    for name in EDITABLE:
        content, new_notes = fill(name, files.get(name), extraction, templates)
        notes += new_notes
        if content is not None:
            files[name] = content
    others = [name for name in extraction.files if name.endswith(".py") and name not in templates]
    notes += _note(f"Not taken from {extraction.name}, since only {_NAMES} are graded", others)
