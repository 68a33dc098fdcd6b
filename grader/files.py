"""Files that are either complete or as they were before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from grader.errors import GraderError

__all__ = ["write_atomically"]


def write_atomically(path: Path, chunks: Iterable[bytes]) -> None:
    """Write the chunks, one after another, to a new file that takes the place of ``path`` once it is complete.

    Folders above it are made. Whatever goes wrong, also in making the chunks, ``path`` is as it was before.

    Raises:
        GraderError: the folder is read-only, the disk is full, and the like.
    """
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
    try:
        for chunk in chunks:
            with _explained(path):
                file.write(chunk)
        with _explained(path):
            _finish(file)
            os.replace(temporary, path)
    finally:
        with suppress(OSError):  # what a full disk did not take stays in the buffer
            file.close()
        with suppress(OSError):
            temporary.unlink()


def _finish(file: BinaryIO) -> None:
    """All bytes on the disk: a rename may be there before what was written."""
    file.flush()
    os.fsync(file.fileno())
    file.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Only what the disk says: an OSError of whoever makes the chunks is another matter."""
    try:
        yield
    except OSError as error:
        raise GraderError(f"{path} cannot be written: {error.strerror or error}; nothing was changed") from None
