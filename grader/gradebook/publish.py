"""Everything that a class is handed on as: pages, and a file for each course site; written again only if it changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from grader.files import write_atomically
from grader.gradebook.equal_networks import write_equal_networks
from grader.gradebook.exports import EXPORTERS
from grader.gradebook.grades import total_of
from grader.gradebook.keys import digest_of
from grader.gradebook.pages import write_pages
from grader.gradebook.statistics import Statistics
from grader.gradebook.store import Book

__all__ = ["FILES", "PAGES", "publish"]

PAGES = "pages"
FILES: Mapping[str, str] = {
    "canvas": "exports/canvas.csv",
    "csv": "gradebook.csv",
    "gradescope": "exports/gradescope",
    "junit": "exports/junit.xml",
    "moodle": "exports/moodle.csv",
}
"""Where each export lies in the output folder, by its name."""

_MARK = ".published.json"
_EQUAL_NETWORKS = "equal_networks.csv"


def publish(book: Book, out: Path) -> Statistics:
    """Write pages and exports, unless they are there already, and return the figures of the class.

    Raises:
        GraderError: the folder cannot be written; what it held is still there.
    """
    wanted = _state(book)
    if _published(out) == wanted and all((out / path).exists() for path in (PAGES, *FILES.values())):
        statistics = _figures(book)
        if not (out / _EQUAL_NETWORKS).exists():
            write_equal_networks(statistics.networks, out / _EQUAL_NETWORKS)
        return statistics
    (out / _MARK).unlink(missing_ok=True)
    statistics = write_pages(book.with_curves(), out / PAGES)
    for name, path in FILES.items():
        EXPORTERS[name](book, out / path)
    write_equal_networks(statistics.networks, out / _EQUAL_NETWORKS)
    write_atomically(out / _MARK, [json.dumps(wanted).encode()])
    return statistics


def _figures(book: Book) -> Statistics:
    statistics = Statistics(book.assignment)
    for grade in book:
        statistics.add(grade, total_of(grade, book.assignment))
    return statistics


def _published(out: Path) -> object:
    try:
        return json.loads((out / _MARK).read_bytes())
    except (OSError, ValueError):
        return None


def _state(book: Book) -> str:
    """A digest of all that pages and exports depend on: the gradebook, the rubric, and the code that draws them."""
    package = Path(__file__).resolve().parents[1]
    code = digest_of([package / "gradebook", package / "render", package / "report.py"], package)
    rubric = book.assignment.model_dump_json(exclude={"left_out"})
    return hashlib.sha256("\n".join([code, rubric, *book.fingerprint()]).encode()).hexdigest()
