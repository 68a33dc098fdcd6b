"""A directory, a zip, a notebook or a single file becomes a staged submission; student code is never run."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.entries import Entry, directory_entries, display_path, file_entry, note, zip_entries
from grader.errors import InternalError, UnusableSubmission
from grader.notebook import Extraction, extract, fill, listed, same_text, unfinished

__all__ = ["EDITABLE", "PROVIDED", "Submission", "load_files", "load_submission", "stage"]

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
_MAX_NOTEBOOKS = 8

_COPY_MARK = re.compile(r"(?: ?\(\d+\)|-\d+| - copy| copy)(?=\.[a-z]+$)")
"""What browsers, file managers and course sites put into the name of a second copy."""
_NAMES = listed(EDITABLE)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is graded of one submission: the editable files that were found, and notes to the student."""

    name: str
    files: Mapping[str, bytes]
    notes: tuple[str, ...]


def load_submission(path: Path, pristine: Path) -> Submission:
    """The gradable content of a directory, a .zip, an .ipynb or one editable file.

    ``pristine`` is the directory of the template, which says what a notebook has to define for which file.
    Raises UnusableSubmission where nothing can be graded.
    """
    return _loaded(_name(path), path, *_entries(path), pristine)


def load_files(name: str, files: Mapping[str, Path], pristine: Path) -> Submission:
    """The gradable content of files that were handed in one by one, by the names that the student gave them.

    Raises UnusableSubmission where nothing can be graded.
    """
    entries: list[Entry] = []
    notes: list[str] = []
    for label, path in files.items():
        if path.suffix.casefold() == ".zip":
            found, told = zip_entries(path, wanted=_NAMES)
            entries += found
            notes += told
        else:
            entries.append(file_entry(label, path))
    return _loaded(name, Path(name), entries, notes, pristine)


def _loaded(name: str, path: Path, entries: list[Entry], notes: list[str], pristine: Path) -> Submission:
    templates = {name: _pristine_file(pristine, name) for name in (*EDITABLE, *PROVIDED)}
    files = _take_files(entries, templates, notes)
    _take_notebooks(entries, files, templates, notes)
    if not files:
        raise UnusableSubmission(_nothing(path, entries, notes))
    return Submission(name, {name: files[name] for name in EDITABLE if name in files}, tuple(notes))


def stage(submission: Submission, pristine: Path, into: Path) -> tuple[str, ...]:
    """Write the provided files and the submission's into an empty directory; returns notes to the student."""
    if any(into.iterdir()):
        raise InternalError(f"{into} is not empty: a submission is staged in a directory of its own.")
    for name in PROVIDED:
        (into / name).write_bytes(_pristine_file(pristine, name))
    for name in EDITABLE:
        if name in submission.files:
            (into / name).write_bytes(submission.files[name])
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
        return directory_entries(path)
    kind = path.suffix.casefold() if stat.S_ISREG(mode) else "special"
    if kind == ".zip":
        return zip_entries(path, wanted=_NAMES)
    if kind == "special" or (kind != ".ipynb" and _canonical(path.name) not in EDITABLE):
        raise UnusableSubmission(f"{shown} cannot be graded: hand in a directory, .zip, .ipynb or {_NAMES}.")
    return [file_entry(path.name, path)], []


def _order(entry: Entry) -> tuple[int, str]:
    return entry.path.count("/"), entry.path


def _canonical(name: str) -> str | None:
    """The file that a name stands for, spelled exactly or nearly so ("fp_layers (1).py")."""
    plain = _COPY_MARK.sub("", name.casefold().strip())
    known = {known.casefold(): known for known in (*EDITABLE, *PROVIDED)}
    return known.get(re.sub("[- ]", "_", plain))


def _take_files(entries: list[Entry], templates: Mapping[str, bytes], notes: list[str]) -> dict[str, bytes]:
    """The editable files, each from its exactly named and then its shallowest copy."""
    copies: dict[str, list[Entry]] = {}
    others: list[str] = []
    for entry in sorted(entries, key=_order):
        name = _canonical(entry.name)
        if name:
            copies.setdefault(name, []).append(entry)
        elif entry.name.endswith(".py"):
            others.append(entry.path)
    chosen = {name: min(found, key=lambda e: (e.name != name, *_order(e))) for name, found in copies.items()}
    spare = [e.path for name, found in copies.items() if name in EDITABLE for e in found if e is not chosen[name]]
    renamed = [f"{e.path} as {name}" for name, e in chosen.items() if name in EDITABLE and e.name != name]
    changed = [e.path for name, e in chosen.items() if name in PROVIDED and _differs(e, templates[name])]
    notes += [
        *note("Taken under the name that is graded", renamed),
        *note("Other copies were not taken", spare),
        *note("Replaced by the provided version", changed),
        *note(f"Not taken, since only {_NAMES} are graded", others),
    ]
    return _read({name: entry for name, entry in chosen.items() if name in EDITABLE}, len(entries) == 1, notes)


def _read(chosen: Mapping[str, Entry], is_all: bool, notes: list[str]) -> dict[str, bytes]:
    """The files' contents; one that cannot be read costs its own checks only, unless it is all there is."""
    files = {}
    for name, entry in chosen.items():
        try:
            files[name] = entry.read(_MAX_FILE)
        except UnusableSubmission as error:
            if is_all:
                raise
            notes.append(str(error))
    return files


def _differs(entry: Entry, template: bytes) -> bool:
    try:
        return not same_text(entry.read(_MAX_FILE), template)
    except UnusableSubmission:
        return True


def _take_notebooks(
    entries: list[Entry], files: dict[str, bytes], templates: Mapping[str, bytes], notes: list[str]
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
    notes += note("Too many notebooks, these were not read", [e.path for e in notebooks[_MAX_NOTEBOOKS:]])


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
    notes += note(f"Not taken from {extraction.name}, since only {_NAMES} are graded", others)
