"""The checkpoints in a submission: which file is which network of the assignment, by its name. None is opened here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from grader.entries import Entry, note
from grader.errors import TooLarge, UnusableSubmission
from grader.notebook import listed

__all__ = ["EITHER", "HandedIn", "MAX_FILE", "SUFFIXES", "collect"]  # noqa: RUF022  (sorted as the house sorts)

EITHER = "3c or 3d"
"""The part of ``quantized_net_after_finetune.pt``, which the labs write in both; the network itself tells which."""

SUFFIXES = (".pt", ".pth", ".safetensors")
"""How the name of a checkpoint ends."""
_OTHER_SUFFIXES = (".bin", ".ckpt", ".h5", ".npy", ".npz", ".onnx", ".pkl", ".tar")
MAX_FILE = 16 * 2**20
"""Bytes of a checkpoint; a larger one is not read."""
_MAX_FILES = 16

_PART = re.compile(r"(?:^|_)(?:lab_?)?(2c|2d|2e|3c|3d)(?:_|$)")
_QUANTIZED = re.compile(r"quant|qat")
_SPARSE = re.compile(r"sparse|prun|global|iterative")
_BITS = re.compile(r"(\d+)_?n?bits?|n?bits?_?=?(\d+)|_(\d+)$")
_COPY = re.compile(r"_?\(\d+\)$|_copy$")
"""What browsers and file managers add to the name of a second copy."""

_ADVICE = "name it as the labs do, such as net_after_finetune.pt"


@dataclass(frozen=True, slots=True)
class HandedIn:
    """One checkpoint file of a submission.

    Args:
        path: where it lies in the submission.
        part: 2c, 2d, 2e, 3c, 3d, or EITHER.
        bits: the number of bits that its name tells.
        content: its bytes; empty where ``problem`` says why it was not read.
        problem: a sentence without its subject.
    """

    path: str
    part: str
    bits: int | None = None
    content: bytes = b""
    problem: str = ""


def collect(entries: Iterable[Entry]) -> tuple[tuple[HandedIn, ...], list[str]]:
    """The checkpoints among the files of a submission, the shallowest of each network, and notes."""
    placed: dict[tuple[str, int | None], Entry] = {}
    spare: list[str] = []
    unplaced: list[str] = []
    foreign: list[str] = []
    for entry in sorted(entries, key=lambda entry: (entry.path.count("/"), len(entry.name), entry.path)):
        name = entry.name.casefold()
        slot = _slot(entry.path.casefold().rpartition(".")[0])
        if name.endswith(_OTHER_SUFFIXES) and slot is not None:
            foreign.append(entry.path)
        elif name.endswith(SUFFIXES):
            if slot is None:
                unplaced.append(entry.path)
            elif slot in placed or len(placed) >= _MAX_FILES:
                spare.append(entry.path)
            else:
                placed[slot] = entry
    return tuple(_read(entry, *slot) for slot, entry in placed.items()), [
        *note(f"Not taken, since the name does not say which network it is ({_ADVICE})", unplaced),
        *note("Not taken, since another checkpoint has its place", spare),
        *note(f"Not taken, since a checkpoint ends in {listed(SUFFIXES)}", foreign),
    ]


def _slot(path: str) -> tuple[str, int | None] | None:
    """The part and the number of bits of a path in small letters, without its suffix; a folder may name the part."""
    path = _COPY.sub("", re.sub(r"[-. ]+", "_", path))
    stem = path.rpartition("/")[2]
    part = named[1] if (named := _PART.search(path.replace("/", "_"))) else _described(stem)
    if part is None or part.startswith("2"):
        return None if part is None else (part, None)
    bits = next((int(digits) for found in _BITS.findall(stem) for digits in found if digits), None)
    return part, bits


def _described(stem: str) -> str | None:
    if _QUANTIZED.search(stem):
        if _SPARSE.search(stem):
            return "3d"
        return "3c" if any(_BITS.findall(stem)) else EITHER
    if "global" in stem:
        return "2e"
    if "iterative" in stem:
        return "2d"
    return "2c" if re.search("fine_?tun", stem) else None


def _read(entry: Entry, part: str, bits: int | None) -> HandedIn:
    try:
        return HandedIn(entry.path, part, bits, entry.read(MAX_FILE))
    except TooLarge:
        limit = MAX_FILE // 2**20
        problem = f"is larger than {limit} MiB, though the network takes 1.1 MB: save net.state_dict() alone"
        return HandedIn(entry.path, part, bits, problem=problem)
    except UnusableSubmission as error:
        return HandedIn(entry.path, part, bits, problem=f"was not read: {error}")
