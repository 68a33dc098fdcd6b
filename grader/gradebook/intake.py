"""The folder that a course site hands out, or one made by hand: which submission is whose, and which is the newest."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from grader.checkpoints import MAX_FILE, SUFFIXES
from grader.entries import directory_entries, display_path, file_entry
from grader.errors import GraderError, UnusableSubmission
from grader.gradebook.grades import HandIn, Student, Unclaimed
from grader.gradebook.roster import Roster, identity, with_unique_keys

__all__ = ["Found", "Intake", "STORE", "digest_of_files", "take_in"]  # noqa: RUF022  (sorted as the house sorts)

STORE = "gradebook.sqlite"
"""The store's file in the output folder of a batch."""

_METADATA = "submission_metadata.yml"
_JUNK = frozenset({"__macosx", "thumbs.db", "desktop.ini", "__pycache__"})
_PIECES = (".py", ".toml", ".md", *SUFFIXES)
"""Files that can be part of a submission."""
_KINDS = (".zip", ".ipynb", *_PIECES)
"""Files that can be, or be part of, a submission."""

_NO_KIND = "no kind of file that is graded"
_Owner = tuple[str, str, str]
"""The course site, the number that it gives a student, and the name."""

_CANVAS = re.compile(
    r"(?P<who>[^_]+|.+?(?=_(?:late_)?\d{4,}_\d{4,}_))_(?:(?P<late>late)_)?(?P<user>\d+)_(?P<file>\d+)_(?P<name>.+)",
    re.IGNORECASE,
)
"""A group may have an underscore in its name; a date that somebody wrote into a name is shorter than two numbers."""
_MOODLE = re.compile(r"(?P<who>.+?)_(?P<user>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<name>.*)")
_ATTEMPT = re.compile(r"(?P<stem>.+)-(?P<number>\d{1,3})(?P<suffix>\.[A-Za-z0-9]+)?")

_MIB = 1 << 20
_HASHED = 64 * _MIB


@dataclass(frozen=True)
class Found:
    """A submission in the folder.

    Args:
        student: whose it is.
        hand_in: where it lies and when it came.
        files: by the name that the student gave it, the file; of a directory or a lone file only one.
        attempt: a number in the name that counts attempts.
        first: who else it may be, namely the one whose attempt that is: what ``ada-2`` is to ``ada``.
    """

    student: Student
    hand_in: HandIn
    files: Mapping[str, Path]
    attempt: int = 0
    first: Student | None = None

    @cached_property
    def digest(self) -> str:
        """See ``digest_of_files``."""
        return digest_of_files(self.files)


@dataclass(frozen=True)
class Intake:
    """What a folder holds: at most one submission a student, and everything that is nobody's."""

    found: tuple[Found, ...]
    missing: tuple[Student, ...]
    """Those of the roster who handed in nothing."""
    unclaimed: tuple[Unclaimed, ...]


@dataclass
class _Finds:
    """What a reader of one layout collects."""

    found: list[Found] = field(default_factory=list)
    unclaimed: list[Unclaimed] = field(default_factory=list)

    def leave(self, path: str, reason: str) -> None:
        self.unclaimed.append(Unclaimed(path, reason))


def take_in(folder: Path, roster: Roster | None = None, apart: Path | None = None) -> Intake:
    """Recognise the layout of ``folder`` and find every submission in it.

    Known are Gradescope's export, the names that Canvas and Moodle give, and plain directories, zips and notebooks that
    are named after students; of several attempts the newest counts.

    Args:
        folder: what the course site handed out, unpacked.
        roster: the class, to which submissions are matched.
        apart: something in the folder that is no submission.

    Raises:
        GraderError: the folder cannot be read, or holds no submission at all.
    """
    items = _items(folder)
    if len(items) == 1 and (items[0] / _METADATA).is_file():  # an export that was unpacked into a folder of its own
        folder, items = items[0], _items(items[0])
    items = [path for path in items if apart is None or path.absolute() != apart.absolute()]
    if not items:
        raise GraderError(
            f"{display_path(folder)} holds no submission: give the folder with one entry for each student"
        )
    finds = _gradescope(folder, items) if (folder / _METADATA).is_file() else _by_names(items)
    if not finds.found:
        told = f" ({finds.unclaimed[0].path}: {finds.unclaimed[0].reason})" if finds.unclaimed else ""
        raise GraderError(f"{display_path(folder)} holds no submission{told}")
    return _assigned(finds, roster)


def _items(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except NotADirectoryError:
        raise GraderError(
            f"{display_path(folder)} is no folder: unpack it, and give the folder with all submissions"
        ) from None
    except OSError as error:
        raise GraderError(f"{display_path(folder)} cannot be read: {error.strerror}") from None
    return [folder / name for name in names if not name.startswith(".") and name.casefold() not in _JUNK]


def digest_of_files(files: Mapping[str, Path]) -> str:
    """A digest of the names and contents of a submission, of everything that can matter to its grade."""
    digest = hashlib.sha256()
    for name, path in sorted(files.items()):
        for part, content in _contents(name, path):
            digest.update(f"{len(part)}:{part}:{len(content)}:".encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def _contents(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of one item as far as grading can see them; of others only the name matters."""
    try:
        entries = directory_entries(path)[0] if path.is_dir() else [file_entry(name, path)]
    except UnusableSubmission:
        yield name, b""
        return
    for entry in sorted(entries, key=lambda entry: entry.path):
        try:
            folded = entry.path.casefold()
            limit = MAX_FILE if folded.endswith(SUFFIXES) else _HASHED
            yield entry.path, hashlib.sha256(entry.read(limit)).digest() if folded.endswith(_KINDS) else b""
        except UnusableSubmission as error:
            yield entry.path, str(error).encode("utf-8", "replace")


def _refusal(path: Path) -> str | None:
    """Why an item cannot be a submission, if it cannot."""
    try:
        return _reason_against(path)
    except OSError:
        return "it cannot be read: give yourself permission to read it"


def _reason_against(path: Path) -> str | None:
    names = [name for name in os.listdir(path) if not name.startswith(".")] if path.is_dir() else []
    if path.is_symlink():
        return "a link, which is not followed"
    if not path.is_dir() and not path.is_file():
        return "neither a file nor a folder"
    if (path / STORE).is_file() or (names and all((path / name / STORE).is_file() for name in names)):
        return "what a batch wrote"
    if path.is_file() and path.suffix.casefold() not in _KINDS:
        return _NO_KIND
    return None


# Gradescope's export


def _gradescope(folder: Path, items: Iterable[Path]) -> _Finds:
    finds, told = _Finds(), _metadata(folder / _METADATA)
    for path in items:
        if path.name == _METADATA:
            continue
        about = told.pop(path.name, None)
        if reason := _refusal(path):
            finds.leave(_shown(path), reason)
        elif not isinstance(about, dict):
            finds.leave(_shown(path), f"not in {_METADATA}")
        else:
            people = about.get(":submitters")
            told_of = [person for person in people if isinstance(person, dict)] if isinstance(people, list) else []
            submitters = [_submitter(person, _shown(path)) for person in told_of]
            if not submitters:
                finds.leave(_shown(path), f"{_METADATA} names nobody who submitted it")
            hand_in = HandIn(_shown(path), _time(about.get(":created_at")))
            finds.found += [Found(student, hand_in, {path.name: path}) for student in submitters]
    for name in told:
        finds.leave(str(name), f"in {_METADATA}, but not in the folder")
    return finds


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads plain data; what Ruby marks as an object of its own is read as the plain data that it is made of."""


def _plain_data(loader: Any, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return loader.construct_scalar(node)


_Loader.add_multi_constructor("!", _plain_data)


def _metadata(path: Path) -> dict[str, Any]:
    try:
        data = yaml.load(path.read_bytes(), _Loader)
    except Exception as error:  # whatever the parser makes of it
        told = " ".join(str(error).split())[:200]
        raise GraderError(f"{display_path(path)} cannot be read: {told}; download the export again") from None
    if not isinstance(data, dict):
        raise GraderError(f"{display_path(path)} is not Gradescope's metadata: download the export again")
    return data


def _submitter(person: Mapping[str, Any], label: str) -> Student:
    name, email, sis = (str(person.get(f":{word}") or "").strip() for word in ("name", "email", "sid"))
    ids = {"sis": sis} if sis else {}
    return Student(email or sis or name or label, name, email, ids)


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.replace(" UTC", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime) or not 1970 < value.year < 3000:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


# Canvas, Moodle, and folders made by hand: all is in the names


def _by_names(items: Sequence[Path]) -> _Finds:
    finds, own = _Finds(), list[Path]()
    from_site: dict[_Owner, list[tuple[re.Match[str], Path]]] = {}
    not_graded: dict[_Owner, list[tuple[re.Match[str], Path]]] = {}
    for path in items:
        reason, owner = _refusal(path), _owner(path)
        if owner is not None and reason in (None, _NO_KIND):
            (not_graded if reason else from_site).setdefault(owner[0], []).append((owner[1], path))
        elif reason:
            finds.leave(_shown(path), reason)
        elif path.suffix.casefold() in _PIECES:
            finds.leave(
                _shown(path), "a loose file that no course site named: put each student's files into one folder"
            )
        else:
            own.append(path)
    for person, files in not_graded.items():
        if person in from_site:
            for _, path in files:
                finds.leave(_shown(path), _NO_KIND)
        else:  # all that this student handed in, which is not the same as nothing
            from_site[person] = files
    finds.found += _plain(own)
    finds.found += [_of_site(site, user, files, finds) for (site, user, _), files in from_site.items()]
    return finds


def _owner(path: Path) -> tuple[_Owner, re.Match[str]] | None:
    """Whose a file is that a course site named."""
    for site, pattern in (("canvas", _CANVAS), ("moodle", _MOODLE)):
        if match := pattern.fullmatch(path.name):
            return (site, match["user"], match["who"].casefold()), match
    return None


def _plain(paths: Sequence[Path]) -> Iterator[Found]:
    """Named after the student; ``ada-2`` is an attempt of ``ada`` if there is an ``ada`` too."""
    labels = [path.name if path.is_dir() else path.stem for path in paths]
    for path, label in zip(paths, labels, strict=True):
        again = _ATTEMPT.fullmatch(label)
        base = again["stem"] if again and again["stem"] in labels else None
        number = int(again["number"]) if again and base else 0
        first = _named(base) if base else None
        yield Found(_named(label), HandIn(_shown(path)), {path.name: path}, number, first)


def _named(label: str) -> Student:
    label = _printable(label)
    return Student(label, label)


def _shown(path: Path) -> str:
    """A name as it is kept and shown, whatever bytes it is made of."""
    return _printable(path.name)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _numbered(site: str, files: Sequence[tuple[re.Match[str], Path]]) -> dict[str, tuple[int, str]]:
    """By name, the number of the attempt and the name without it, where Canvas wrote the number and not the student.

    ``hw4-1.ipynb`` is another attempt of ``hw4.ipynb`` if that is there, too, or if there is no other number; a zip is
    one in any case, for it holds all. But ``lab-1.ipynb`` and ``lab-2.ipynb`` are two files of one attempt.
    """
    names = {match["name"] for match, _ in files} if site == "canvas" else set()
    again = {name: found for name in names if (found := _ATTEMPT.fullmatch(name))}
    plain = {name: found["stem"] + (found["suffix"] or "") for name, found in again.items()}
    often = Counter(plain.values())
    return {
        name: (int(again[name]["number"]), stem)
        for name, stem in plain.items()
        if stem in names or often[stem] == 1 or stem.casefold().endswith(".zip")
    }


def _of_site(site: str, user: str, files: list[tuple[re.Match[str], Path]], finds: _Finds) -> Found:
    """All files of one student; of one that was handed in again the newest counts."""
    attempts: dict[str, list[tuple[int, int, Path]]] = {}
    numbered = _numbered(site, files)
    for match, path in files:
        name = match["name"] or path.name
        number, plain = numbered.get(name, (0, name))
        attempts.setdefault(plain, []).append((number, int(match.groupdict().get("file") or 0), path))
    taken: dict[str, Path] = {}
    for plain, found in attempts.items():
        *older, (_, _, taken[plain]) = sorted(found, key=lambda item: (*item[:2], item[2].name))
        for _, _, spare in older:
            finds.leave(_shown(spare), f"an older attempt; {_shown(taken[plain])} was taken")
    match, path = files[0]
    late = any(m.groupdict().get("late") for m, _ in files)
    label = _printable(match["who"])
    hand_in = HandIn(min(map(_shown, taken.values())), marked_late=late)
    return Found(Student(f"{label}-{user}", label, ids={site: user}), hand_in, taken)


# Whose is it


def _assigned(finds: _Finds, roster: Roster | None) -> Intake:
    """Match submissions to the roster, and take the newest of those that are the same student's."""
    owned: dict[str, tuple[Student, list[Found]]] = {}
    strangers: list[Found] = []
    for item in finds.found:
        known = _on_roster(item, roster) if roster else None
        if known is None:
            strangers.append(replace(item, student=item.first or item.student))
        else:
            owned.setdefault(known.key, (known, []))[1].append(item)
    others = roster.students if roster else ()
    named = with_unique_keys([*(item.student for item in strangers), *others])
    unclaimed = list(finds.unclaimed)
    for item in strangers:
        student = named[identity(item.student)]
        owned.setdefault(student.key, (student, []))[1].append(item)
        if roster is not None:
            unclaimed.append(Unclaimed(item.hand_in.path, f"not on the roster; graded as {student.key}"))
    found = []
    for student, items in owned.values():
        newest, *older = sorted(items, key=_age, reverse=True)
        found.append(replace(newest, student=student))
        unclaimed += [
            Unclaimed(item.hand_in.path, f"an older attempt; {newest.hand_in.path} was taken") for item in older
        ]
    missing = [student for student in others if student.key not in owned]
    return Intake(
        tuple(sorted(found, key=lambda item: item.student.key)),
        tuple(sorted(missing, key=lambda student: student.key)),
        tuple(sorted(unclaimed, key=lambda item: (item.path, item.reason))),
    )


def _on_roster(item: Found, roster: Roster) -> Student | None:
    return roster.find(item.student) or (roster.find(item.first) if item.first else None)


def _age(item: Found) -> tuple[datetime, int, float, str]:
    """The newest attempt has the largest: by the site's time, the number in the name, the time of the file."""
    changed = max((path.stat().st_mtime for path in item.files.values()), default=0.0)
    return item.hand_in.submitted_at or datetime.min.replace(tzinfo=UTC), item.attempt, changed, item.hand_in.path
