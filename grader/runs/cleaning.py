"""Which kept runs can go: folders that hold runs and nothing else, and among them those of other modules than these."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from grader.errors import GraderError

__all__ = ["INPUTS", "inputs_of", "removable", "remove"]

INPUTS = "inputs.json"
"""The file in a run's folder with what its key digests."""

_KEY = re.compile("[0-9a-f]{16}")
_WRITTEN = r"(inputs\.json|precision|metrics\.jsonl|outcome\.json|(last|best|net)\.safetensors)"
_FILE = re.compile(rf"{_WRITTEN}|\.{_WRITTEN}\.[0-9a-f]{{16}}")
"""What a run writes, also while it is being written."""


def removable(root: Path, names: Container[str], code: str | None) -> Iterator[Path]:
    """The folders of runs below ``root`` that can go, in order: real folders ``RUN/KEY`` that hold files of a run only.

    Args:
        root: where runs are kept.
        names: of the runs. A folder of another name is a run's only where it holds a record of the run's inputs.
        code: the digest of the present modules: runs of these are left out, and those without a record. None: all runs.
    """
    for folder in sorted(root.glob("*/*")):
        if not (_KEY.fullmatch(folder.name) and _is_real(folder.parent) and _is_real(folder) and _is_run(folder)):
            continue
        inputs = inputs_of(folder)
        if (inputs and inputs["code"] != code) or (code is None and folder.parent.name in names):
            yield folder


def remove(folder: Path) -> None:
    """Remove the folder of a run.

    Raises:
        GraderError: the disk refuses.
    """
    try:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
    except OSError as error:
        raise GraderError(f"{folder} cannot be removed: {error.strerror}") from None


def _is_real(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_run(folder: Path) -> bool:
    try:
        files = list(folder.iterdir())
    except OSError:  # it is not for this user
        return False
    return bool(files) and all(
        _FILE.fullmatch(file.name) and file.is_file() and not file.is_symlink() for file in files
    )


def inputs_of(folder: Path) -> dict[str, Any]:
    """The record of a run's inputs; empty where there is none, as older runs have none, or it is damaged."""
    try:
        inputs = json.loads((folder / INPUTS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return inputs if isinstance(inputs, dict) and isinstance(inputs.get("code"), str) else {}
