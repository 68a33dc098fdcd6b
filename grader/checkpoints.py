"""The checkpoints in a submission: which file is which network of the assignment, by its name. None is opened here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from grader.entries import Entry, note, without_copy_mark
from grader.errors import TooLarge, UnusableSubmission
from grader.notebook import listed, printable

__all__ = [  # noqa: RUF022  (sorted as the house sorts)
    "EITHER",
    "HandedIn",
    "MAX_FILE",
    "SUFFIXES",
    "collect",
    "parts_named",
]

EITHER = "3c or 3d"
"""The part of ``quantized_net_after_finetune.pt``, which the labs write in both; the network itself tells which."""

SUFFIXES = (".pt", ".pth", ".safetensors")
"""How the name of a checkpoint ends."""
_OTHER_SUFFIXES = (".bin", ".ckpt", ".h5", ".npy", ".npz", ".onnx", ".pkl", ".tar")
MAX_FILE = 16 * 2**20
"""Bytes of a checkpoint; a larger one is not read."""
_MAX_BITS = 16
"""How many checkpoints are taken whose names tell a number of bits; of others there is a place for each part."""
_MAX_LOOKS = 8
"""How many files for a place that is taken are read, to see which of the two is whole."""

_PART = re.compile(r"(?<![^_/])(?:lab_?|part_?)?(2c|2d|2e|3c|3d)(?![^_/])")
_QUANTIZED = re.compile(r"quant|qat")
_IN_BITS = re.compile(r"(?:(?<!\d)[2-8]n?bits?|(?:^|_)[2-8]_n?bits?|(?:^|_)n?bits?[_=]*[2-8])(?:_|$)")
"""No part of another word, and not 16 or 32, which are floats."""
_SPARSE = re.compile(r"sparse|prun|global|iterative")
_NEGATED = re.compile(r"(?<![a-z])(?:un|non_?|not_|no_|without_)(?:quant|sparse|prun)[a-z]*")
_TUNED = re.compile(r"fine_?tun|qat|aware")
_UNTUNED = re.compile(r"before_?(?:fine_?tun|train)|(?<![a-z])(?:un|no|not|without)_?fine_?tun")
_QUANTIZED_OTHERWISE = re.compile(r"(?<!a)symmetric|before|ptq")
_LAB_3B = re.compile(r"(?<![^_/])(?:lab_?|part_?)?3b/|(?:^|/)(?:lab_?|part_?)?3b_|(?:lab_?|part_?)3b$")
"""At another place of a name 3b are three bits."""
_BITS = (
    re.compile(r"(?<!\d)(\d{1,9})n?bit"),
    re.compile(r"bits?_?=?(\d{1,9})(?!\d)"),
    re.compile(r"(?<!\d)(\d{1,9})_n?bit"),
    re.compile(r"(?<!lab)(?<!part)_([2-8])b$"),
    re.compile(r"(?:^|_)(?!(?:epochs?|seed|run|trial|try|version|lr|0)_)[^_]+_([2-8])$"),
)
"""Where a name tells the number of bits, the surest first. Another number is an epoch, a seed or a sparsity."""

_ADVICE = "name it as the labs do, such as net_after_finetune.pt"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """One checkpoint file of a submission.

    Args:
        path: where it lies in the submission, in characters that can be printed.
        part: 2c, 2d, 2e, 3c, 3d, or EITHER.
        bits: the number of bits that its name tells.
        content: its bytes; empty where ``problem`` says why it was not read.
        problem: a sentence without its subject.
        is_tuned: whether its name says that it was fine-tuned.
    """

    path: str
    part: str
    bits: int | None = None
    content: bytes = b""
    problem: str = ""
    is_tuned: bool = False


def collect(entries: Iterable[Entry]) -> tuple[tuple[HandedIn, ...], list[str]]:
    """The checkpoints among the files of a submission, and notes.

    Of two for the same network, the one counts whose name says that it was fine-tuned, then the shallowest.
    """
    placed: dict[tuple[str, int | None], tuple[Entry, bool]] = {}
    spare: list[str] = []
    unplaced: list[str] = []
    untuned: list[str] = []
    foreign: list[str] = []
    beyond: list[str] = []
    broken: list[str] = []
    looks = 0
    named = [(entry, _plain(entry.path)) for entry in entries]
    for entry, path in sorted(named, key=lambda pair: (not _TUNED.search(pair[1]), *_order(pair[0]))):
        name = entry.name.casefold()
        slot = _slot(path)
        if name.endswith(_OTHER_SUFFIXES) and slot is not None:
            foreign.append(entry.path)
        elif name.endswith(SUFFIXES):
            if slot is None:
                unplaced.append(entry.path)
            elif _is_untuned(slot[0], path):
                untuned.append(entry.path)
            elif slot in placed:
                before, looks = placed[slot][0], looks + 1
                if looks > _MAX_LOOKS:
                    spare.append(entry.path)
                elif not _is_whole(entry):
                    broken.append(entry.path)
                elif not _is_whole(before):  # an upload that failed, and one that did not
                    broken.append(before.path)
                    placed[slot] = entry, bool(_TUNED.search(path))
                else:
                    spare.append(entry.path)
            elif slot[1] is not None and sum(bits is not None for _, bits in placed) >= _MAX_BITS:
                beyond.append(entry.path)
            else:
                placed[slot] = entry, bool(_TUNED.search(path))
    return tuple(
        _read(HandedIn(printable(entry.path), *slot, is_tuned=tuned), entry) for slot, (entry, tuned) in placed.items()
    ), [
        *note(f"Not taken, since the name does not say which network it is ({_ADVICE})", unplaced),
        *note("Not taken, since by its name it is a network before its fine-tuning, or of another part", untuned),
        *note("Not taken, since another checkpoint has its place", spare),
        *note("Not taken, since it is empty, cut off, too large, unreadable or no checkpoint", broken),
        *note(f"Not taken, since more than {_MAX_BITS} checkpoints have a number of bits in their names", beyond),
        *note(f"Not taken, since a checkpoint ends in {listed(SUFFIXES)}", foreign),
    ]


def parts_named(path: str) -> tuple[str, ...]:
    """The parts that a checkpoint at this path may belong to; none where its name tells none."""
    slot = _slot(_plain(path)) if path.casefold().endswith(SUFFIXES) else None
    if slot is None:
        return ()
    return ("3c", "3d") if slot[0] == EITHER else (slot[0],)


def _order(entry: Entry) -> tuple[int, int, str]:
    return entry.path.count("/"), len(entry.name), entry.path


def _plain(path: str) -> str:
    """A path in small letters with underscores, without its suffix and marks of a copy; ``3(c)`` becomes ``3c``."""
    path = without_copy_mark(path.casefold()).rpartition(".")[0]
    return re.sub(r"[-. ]+", "_", re.sub(r"[-_. ]*\(([a-e])\)", r"\1", path))


def _slot(path: str) -> tuple[str, int | None] | None:
    """The part and the number of bits of a plain path; a folder may name the part."""
    folders, _, stem = path.rpartition("/")
    part = _named(stem) or _named(folders) or _described(stem)
    if part is None or part.startswith("2"):
        return None if part is None else (part, None)
    return part, _bits(stem)


def _named(path: str) -> str | None:
    """The part that a path names; none where it names several."""
    found = set(_PART.findall(path))
    return found.pop() if len(found) == 1 else None


def _described(stem: str) -> str | None:
    stem = _NEGATED.sub("", stem)
    if _QUANTIZED.search(stem):
        if _SPARSE.search(stem):
            return "3d"
        return EITHER if _bits(stem) is None else "3c"
    if "global" in stem or "iterative" in stem or re.search("fine_?tun", stem):
        if _IN_BITS.search(stem):
            return "3d" if _SPARSE.search(stem) else EITHER
        return "2e" if "global" in stem else "2d" if "iterative" in stem else "2c"
    return None


def _bits(stem: str) -> int | None:
    return next((int(found[1]) for told in _BITS if (found := told.search(stem))), None)


def _is_untuned(part: str, path: str) -> bool:
    stem = path.rpartition("/")[2]
    if part.startswith("3") and (_QUANTIZED_OTHERWISE.search(stem) or (_LAB_3B.search(path) and not _named(path))):
        return True
    return _UNTUNED.search(stem) is not None


def _is_whole(entry: Entry) -> bool:
    """Whether a file begins and ends as a checkpoint does; nothing of it is unpacked."""
    try:
        content = entry.read(MAX_FILE)
    except (TooLarge, UnusableSubmission):
        return False
    if content.startswith(b"PK"):  # with the end of a zip archive, which a comment of 64 KiB may follow
        return b"PK\5\6" in content[-(1 << 16) - 22 :]
    if content[8:9] == b"{":  # safetensors: the length of the header, and the header
        return int.from_bytes(content[:8], "little") + 8 <= len(content)
    return content.startswith(b"\x80")


def _read(item: HandedIn, entry: Entry) -> HandedIn:
    try:
        return replace(item, content=entry.read(MAX_FILE))
    except TooLarge:
        limit = MAX_FILE // 2**20
        problem = f"is larger than {limit} MiB, though the network takes 1.1 MB: save net.state_dict() alone"
        return replace(item, problem=problem)
    except UnusableSubmission as error:
        return replace(item, problem=f"was not read: {error}")
