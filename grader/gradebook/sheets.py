"""CSV for spreadsheets, and for the importers of course sites."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.errors import GraderError
from grader.render.view import clean

__all__ = ["Sheet", "csv_lines", "harmless", "number", "parsed", "read_sheet"]

_FORMULAS = tuple("=+-@＝＋－＠")
_MARK = "\ufeff"
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A CSV as it was read.

    Args:
        titles: the first row.
        rows: the others that have any text, each as long as the first.
        numbers: where each of them stands in the file; the titles are the first.
        delimiter: between cells.
        mark: whether a byte order mark stood before it.
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()
    delimiter: str = ","
    mark: bool = False


def harmless(text: str) -> str:
    """Text that a spreadsheet takes for text: what looks like a formula gets an apostrophe before it."""
    plain = clean(text)
    return f"'{plain}" if plain.lstrip().startswith(_FORMULAS) else plain


def number(value: float | None) -> str:
    """A number of points with up to four decimals, as many as the gradebook has; empty where there is none."""
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")


def parsed(text: str) -> float | None:
    """The number that a course site wrote, with a point or a comma; None where it is none."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def csv_lines(rows: Iterable[Sequence[object]], *, delimiter: str = ",", mark: bool = True) -> Iterator[bytes]:
    """The rows as UTF-8 with CRLF, and with a byte order mark, without which Excel takes it for something else.

    Every cell is quoted: where another delimiter is usual, a cell could otherwise be read as two, the second a formula.
    """
    if mark:
        yield _MARK.encode()
    for row in rows:
        line = io.StringIO(newline="")
        csv.writer(line, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerow(row)
        yield line.getvalue().encode("utf-8", "replace")


def read_sheet(path: Path, called: str = "") -> Sheet:
    """Read a CSV with commas, semicolons (as Excel saves it in much of Europe) or tabs.

    Args:
        path: the file.
        called: what a person calls it; its path if not given.

    Raises:
        GraderError: it cannot be read, or is no CSV in UTF-8.
    """
    called = called or str(path)
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise GraderError(f"{called} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GraderError(f"{called} is not UTF-8: export it again, or save it as CSV UTF-8") from None
    plain = text.removeprefix(_MARK)
    first = plain.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(1 << 24)
    try:
        titles, *rows = csv.reader(io.StringIO(plain, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise GraderError(f"{called} is not a CSV with a row of titles: {error}") from None
    width = len(titles)
    numbered = [(number, row) for number, row in enumerate(rows, 2) if any(cell.strip() for cell in row)]
    even = [[*row, *[""] * (width - len(row))][:width] for _, row in numbered]
    return Sheet([title.strip() for title in titles], even, [n for n, _ in numbered], delimiter, text != plain)
