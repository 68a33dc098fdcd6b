"""The gradebook as pages: one for the class, and one for every student."""

from __future__ import annotations

from pathlib import Path

from grader.files import write_atomically
from grader.gradebook.class_page import class_page, row_of
from grader.gradebook.grades import Gradebook, total_of
from grader.gradebook.statistics import Statistics
from grader.gradebook.student_page import page_name, student_page

__all__ = ["CLASS_PAGE", "write_pages"]

CLASS_PAGE = "index.html"


def write_pages(gradebook: Gradebook, folder: Path) -> Statistics:
    """Write ``index.html`` and ``students/KEY.html`` below ``folder``, and return the figures of the class.

    The same gradebook gives the same bytes. Nothing that is already there and has another name is touched.

    Raises:
        GraderError: the folder cannot be written; every page is complete or as it was.
    """
    assignment = gradebook.assignment
    statistics, rows = Statistics(assignment), []
    for grade in gradebook:
        total = total_of(grade, assignment)
        statistics.add(grade, total)
        rows.append(row_of(grade, total))
        _write(folder / page_name(grade.student), student_page(grade, total, assignment))
    _write(folder / CLASS_PAGE, class_page(assignment, statistics, rows, gradebook.unclaimed()))
    return statistics


def _write(path: Path, text: str) -> None:
    write_atomically(path, [text.encode()])
