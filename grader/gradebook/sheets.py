"""CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

__all__ = ["csv_lines", "harmless"]

_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def harmless(text: str) -> str:
    """Text that a spreadsheet takes for text: what looks like a formula gets an apostrophe before it."""
    return f"'{text}" if text.startswith(_FORMULAS) else text


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """The rows as UTF-8 with a byte order mark, without which Excel takes it for something else, and CRLF."""
    yield "\ufeff".encode()
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line).writerow(row)
        yield line.getvalue().encode("utf-8", "replace")
