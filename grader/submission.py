"""A directory, a zip, a notebook or a single file becomes a staged submission; student code is never run."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.checkpoints import HandedIn, collect
from grader.collecting import MAX_FILE, Search, is_helper
from grader.entries import (
    Entry,
    directory_entries,
    display_path,
    file_entry,
    note,
    unpacked,
    without_copy_mark,
    zip_entries,
)
from grader.errors import InternalError, UnusableSubmission
from grader.notebook import listed, same_text

__all__ = ["EDITABLE", "PROVIDED", "Submission", "load_files", "load_submission", "stage"]

EDITABLE = (
    "answers.toml",
    "lab1_sparse_optimization.py",
    "lab2_pruning.py",
    "FP_layers.py",
    "lab3_quantization.py",
)
"""What students write; of everything else that they hand in, only functions that these lack and modules that they
import are taken."""
PROVIDED = ("resnet20.py", "train_util.py")
"""What every submission gets from the pristine copy."""

_NOTEBOOKS = (".ipynb", ".md")
_SECOND_EXTENSION = re.compile(r"(?i)(\.(?:ipynb|py|toml))\.(?:json|txt)$")

_NAMES = listed(EDITABLE)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is graded of one submission: the editable files, the modules that they import, and notes.

    ``checkpoints`` are looked for in the full profile only.
    """

    name: str
    files: Mapping[str, bytes]
    notes: tuple[str, ...]
    checkpoints: tuple[HandedIn, ...] = ()


def load_submission(path: Path, pristine: Path, *, full: bool = False) -> Submission:
    """The gradable content of a directory, a .zip, an .ipynb, a Markdown notebook or a .py file.

    ``pristine`` is the directory of the template, which says what a notebook has to define for which file; ``full``
    takes the checkpoints too. Raises UnusableSubmission where nothing can be graded.
    """
    entries, notes = _entries(path)
    return _loaded(_name(path), path, entries, notes, pristine, full)


def load_files(name: str, files: Mapping[str, Path], pristine: Path, *, full: bool = False) -> Submission:
    """The gradable content of files that were handed in one by one, by the names that the student gave them.

    ``full`` takes the checkpoints too. Raises UnusableSubmission where nothing can be graded.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    for label, path in files.items():
        if path.is_dir():
            found, told = _entries(path)
        elif path.suffix.casefold() == ".zip":
            found, told = unpacked([file_entry(label, path)], wanted=_NAMES)
        else:
            found, told = [file_entry(label, path)], []
        entries += found
        notes += told
    return _loaded(name, Path(name), entries, notes, pristine, full)


def _loaded(name: str, path: Path, entries: list[Entry], notes: list[str], pristine: Path, full: bool) -> Submission:
    checkpoints, told = collect(entries) if full else ((), [])
    notes = [*notes, *told]
    templates = {name: _pristine_file(pristine, name) for name in (*EDITABLE, *PROVIDED)}
    files, folders, others, changed = _take_files(entries, templates, notes)
    notebooks = sorted((e for e in entries if e.name.casefold().endswith(_NOTEBOOKS)), key=_order)
    search = Search(files, templates, notes, folders, fatal=len(entries) == 1)
    search.complete(notebooks, [*others, *changed])
    notes += note("Not read, rename it without the second extension that Windows hides", _disguised(entries, files))
    if not files and not checkpoints:
        raise UnusableSubmission(_nothing(path, entries, notes))
    notes += note(f"Not taken, since only {_NAMES} are graded", search.unused(others))
    order = [*EDITABLE, *sorted(files.keys() - set(EDITABLE))]
    return Submission(name, {name: files[name] for name in order if name in files}, tuple(notes), checkpoints)


def stage(submission: Submission, pristine: Path, into: Path) -> tuple[str, ...]:
    """Write the provided files and the submission's into an empty directory; returns notes to the student."""
    if any(into.iterdir()):
        raise InternalError(f"{into} is not empty: a submission is staged in a directory of its own.")
    for name in PROVIDED:
        (into / name).write_bytes(_pristine_file(pristine, name))
    for name, content in submission.files.items():
        if name in EDITABLE or is_helper(name, EDITABLE):
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            (into / name).write_bytes(content)
    missing = [name for name in EDITABLE if name not in submission.files]
    return (f"Not in the submission: {listed(missing)}.",) if missing else ()


def _name(path: Path) -> str:
    path = path.resolve()
    name = (path.name if path.is_dir() else path.stem) or "submission"
    return name.encode("utf-8", "replace").decode()  # a name that is not UTF-8 would break every report


def _pristine_file(pristine: Path, name: str) -> bytes:
    try:
        return (pristine / name).read_bytes()
    except OSError:
        raise InternalError(f"{pristine} lacks {name}: generate the template again.") from None


def _nothing(path: Path, entries: list[Entry], notes: list[str]) -> str:
    where, advice = display_path(path), f"hand in {_NAMES}, or a notebook that defines their functions"
    if not entries:
        return f"{where} is empty: {advice}."
    found = listed(entry.path for entry in sorted(entries, key=_order))
    return " ".join([f"{where} holds nothing that can be graded, only {found}: {advice}.", *notes])


def _entries(path: Path) -> tuple[list[Entry], list[str]]:
    shown = display_path(path)
    try:
        mode = path.stat().st_mode
    except PermissionError:
        raise UnusableSubmission(f"{shown} cannot be read: give yourself permission to read it.") from None
    except (OSError, ValueError):
        raise UnusableSubmission(f"{shown} does not exist: check the path.") from None
    if stat.S_ISDIR(mode):
        entries, notes = directory_entries(path)
        found, told = unpacked(entries, wanted=_NAMES)
        return found, [*notes, *told]
    kind = path.suffix.casefold() if stat.S_ISREG(mode) else "special"
    if kind == ".zip":
        entries, notes = zip_entries(path, wanted=_NAMES)
        found, told = unpacked(entries, wanted=_NAMES)
        return found, [*notes, *told]
    if kind == "special" or (kind not in (*_NOTEBOOKS, ".py") and _canonical(path.name) not in EDITABLE):
        raise UnusableSubmission(f"{shown} cannot be graded: hand in a directory, .zip, .ipynb or {_NAMES}.")
    return [file_entry(path.name, path)], []


def _order(entry: Entry) -> tuple[int, str]:
    return entry.path.count("/"), entry.path


def _canonical(name: str) -> str | None:
    """The file that a name stands for, spelled exactly or nearly so ("fp_layers (1).py")."""
    plain = without_copy_mark(name.casefold().strip())
    known = {known.casefold(): known for known in (*EDITABLE, *PROVIDED)}
    return known.get(re.sub("[- ]", "_", plain))


def _disguised(entries: list[Entry], files: Mapping[str, bytes]) -> list[str]:
    """The paths of files and notebooks that are not there but with a second extension, for which they are not read."""
    present = {*files, *(entry.name for entry in entries)}
    found = []
    for entry in sorted(entries, key=_order):
        plain = _SECOND_EXTENSION.sub(r"\1", entry.name)
        name = _canonical(plain) or plain
        is_read = name in EDITABLE or name.casefold().endswith(".ipynb")
        if plain != entry.name and is_read and name not in present:
            found.append(entry.path)
    return found


def _take_files(
    entries: list[Entry], templates: Mapping[str, bytes], notes: list[str]
) -> tuple[dict[str, bytes], dict[str, str], list[Entry], list[Entry]]:
    """The editable files, each from its exactly named and then its shallowest copy, and the folders that they lie in;
    other scripts; changed provided files.
    """
    copies: dict[str, list[Entry]] = {}
    others: list[Entry] = []
    for entry in sorted(entries, key=_order):
        name = _canonical(entry.name)
        if name:
            copies.setdefault(name, []).append(entry)
        elif entry.name.endswith(".py"):
            others.append(entry)
    chosen = {name: min(found, key=lambda e: (e.name != name, *_order(e))) for name, found in copies.items()}
    spare = [e.path for name, found in copies.items() if name in EDITABLE for e in found if e is not chosen[name]]
    renamed = [f"{e.path} as {name}" for name, e in chosen.items() if name in EDITABLE and e.name != name]
    changed = [e for name, e in chosen.items() if name in PROVIDED and _differs(e, templates[name])]
    notes += [
        *note("Taken under the name that is graded", renamed),
        *note("Other copies were not taken", spare),
        *note("Replaced by the provided version", [e.path for e in changed]),
    ]
    files = _read({name: entry for name, entry in chosen.items() if name in EDITABLE}, len(entries) == 1, notes)
    folders = {name: chosen[name].path.rpartition("/")[0] for name in files}
    return files, folders, others, changed


def _read(chosen: Mapping[str, Entry], is_all: bool, notes: list[str]) -> dict[str, bytes]:
    """The files' contents; one that cannot be read costs its own checks only, unless it is all there is."""
    files = {}
    for name, entry in chosen.items():
        try:
            files[name] = entry.read(MAX_FILE)
        except UnusableSubmission as error:
            if is_all:
                raise
            notes.append(str(error))
    return files


def _differs(entry: Entry, template: bytes) -> bool:
    try:
        return not same_text(entry.read(MAX_FILE), template)
    except UnusableSubmission:
        return True
