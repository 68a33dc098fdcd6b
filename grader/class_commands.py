"""The commands for a whole class: ``grader batch``, ``grader export``, ``grader manual``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grader import locations
from grader.errors import GraderError
from grader.full_options import (
    DataOption,
    FullOption,
    PretrainedOption,
    RerunDeviceOption,
    RerunMinutesOption,
    RerunOption,
    full_options,
)

if TYPE_CHECKING:
    from grader.assignment import Assignment
    from grader.full.standard import FullOptions
    from grader.gradebook.profile import Profile
    from grader.gradebook.run import Engine
    from grader.gradebook.store import Book, Store
    from grader.worker.sandbox.policy import Policy

__all__ = ["AssignmentOption", "GRADER_FAULT", "add_to", "load_rubric"]  # noqa: RUF022  (sorted as the house sorts)

GRADER_FAULT = 3

AssignmentOption = Annotated[
    Path | None, typer.Option("--assignment", help="Another term's rubric; the course's if not given.", metavar="FILE")
]
OutArgument = Annotated[Path, typer.Argument(help="The --out of `grader batch`.")]
StoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="A PostgreSQL database in place of a file in OUT.")
]

_export_app = typer.Typer(help="Files for course sites, from a graded class.", no_args_is_help=True)
_manual_app = typer.Typer(help="Points by hand: out as a CSV, and back.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command()(batch)
    app.add_typer(_export_app, name="export")
    app.add_typer(_manual_app, name="manual")


def load_rubric(path: Path | None) -> Assignment:
    """The rubric in a file, or the course's."""
    from grader.assignment import load_assignment

    return load_assignment(path or locations.default_assignment())


class Isolation(StrEnum):
    """How much of the sandbox a class is graded in."""

    FULL = "full"
    NONE = "none"

    @property
    def policy(self) -> Policy | None:
        """What the grader is told; None is the whole sandbox."""
        from grader.worker.sandbox.policy import Policy

        return Policy.none() if self is Isolation.NONE else None


def batch(
    folder: Annotated[Path, typer.Argument(help="What the course site handed out, unpacked.")],
    out: Annotated[Path, typer.Option(help="Where gradebook, pages and exports go.")],
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Judges side by side; one for each core if not given.")
    ] = None,
    roster: Annotated[Path | None, typer.Option(metavar="FILE", help="A CSV with the students of the class.")] = None,
    store: StoreOption = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Grade on a Dask cluster, such as tcp://host:8786.")
    ] = None,
    isolation: Annotated[
        Isolation, typer.Option(help="The whole sandbox, or none: student code then has your rights.")
    ] = Isolation.FULL,
    full: FullOption = False,
    data: DataOption = None,
    pretrained: PretrainedOption = None,
    rerun: RerunOption = 0,
    rerun_minutes: RerunMinutesOption = None,
    rerun_device: RerunDeviceOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """Grade a class; a second run grades only what changed. Exit 3 if the grader itself failed for somebody."""
    from rich.console import Console

    from grader.gradebook.batch import grade_class, open_store
    from grader.gradebook.grades import Status
    from grader.gradebook.progress import ConsoleWatch
    from grader.gradebook.publish import PAGES, publish
    from grader.gradebook.roster import read_roster
    from grader.gradebook.summary import print_class

    if out.resolve() == folder.resolve():
        raise GraderError(f"{out} is the folder with the submissions: give another --out")
    if not folder.is_dir():
        what = "is no folder: unpack what the course site handed out, and" if folder.exists() else "does not exist:"
        raise GraderError(f"{folder} {what} give the folder with the submissions")
    options = full_options(full, data, pretrained, rerun, rerun_minutes, rerun_device)
    rubric, console = load_rubric(assignment), Console()
    students = read_roster(roster) if roster else None
    with open_store(out, store) as opened:
        watch, before, was_full = ConsoleWatch(console), opened.last_assignment(), opened.last_is_full()
        profile = _profile(rubric, options, isolation)
        engine = _engine(rubric, jobs, scheduler, isolation, profile)
        try:
            graded = grade_class(folder, opened, rubric, engine, watch, students, out, profile)
        except KeyboardInterrupt:
            print("grader: interrupted; the next run goes on from here", file=sys.stderr)
            raise
        finally:
            watch.end()
        book = opened.book(rubric, graded.keys)
        statistics = publish(book, out)
        print_class(statistics, book.unclaimed(), console)
        notes = [*_left_out(*opened.left_out()), *_changes(before, rubric, forgotten=was_full and not full)]
    for told in notes:
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    told = f"{graded.graded} graded now, {graded.kept} as before. Look at {out / PAGES / 'index.html'}"
    console.print(told, markup=False, highlight=False, soft_wrap=True)
    if statistics.counts[Status.FAULT]:
        raise typer.Exit(GRADER_FAULT)


def _left_out(students: int, graded_by_hand: int) -> Iterator[str]:
    """Whom the last run did not see, and what is to be done about it."""
    if students:
        yield (
            f"{students} students of earlier runs are left out: neither in this folder nor on the roster, or "
            "known by another name since the roster changed"
        )
    if graded_by_hand:
        yield (
            f"{graded_by_hand} of them had points by hand, which count for nobody now: import these again for the new "
            "names, or run with the roster of before"
        )


def _changes(before: Assignment | None, rubric: Assignment, *, forgotten: bool) -> list[str]:
    """What differs from the last run in a way that moves points."""
    told = []
    if before is not None and before.late != rubric.late:
        told.append(
            "The rule for late days is not that of the last run. Unless it was changed: is --assignment the right file?"
        )
    if forgotten:
        told.append("The last run measured networks too; pages and exports now leave them out. Was --full forgotten?")
    return told


def _profile(rubric: Assignment, options: FullOptions | None, isolation: Isolation) -> Profile:
    """The profile, with everything read that the full one measures by."""
    from grader.full.standard import read_materials
    from grader.gradebook.profile import QUICK, Profile

    if options is None:
        return QUICK
    materials = read_materials(rubric, options, locations.pristine(), isolation.policy)
    if materials.shortfall:
        print(f"grader: {materials.shortfall}", file=sys.stderr, flush=True)
    return Profile(materials)


def _engine(
    rubric: Assignment, jobs: int | None, scheduler: str | None, isolation: Isolation, profile: Profile
) -> Engine:
    from grader.gradebook.run import LocalEngine

    if scheduler is None:
        return LocalEngine(rubric, jobs or os.cpu_count() or 1, isolation.policy, profile)
    if jobs is not None:
        raise GraderError("--jobs is for this machine; a cluster has as many judges as it has workers")
    try:
        from grader.gradebook.cluster import ClusterEngine
    except ModuleNotFoundError:
        raise GraderError("--scheduler needs Dask: install compression-lab-grader[cluster]") from None
    return ClusterEngine(scheduler, rubric, isolation.policy, profile)


@contextmanager
def _graded(out: Path, url: str | None, assignment: Path | None) -> Iterator[tuple[Store, Book]]:
    """The store of a class that was graded, and its gradebook as the last run left it.

    Raises:
        GraderError: there is none, or it was graded by another rubric than this.
    """
    from grader.gradebook.batch import open_store
    from grader.gradebook.intake import STORE
    from grader.gradebook.keys import rubric_key

    if url is None and not (out / STORE).is_file():
        raise GraderError(f"{out} has no {STORE}: run `grader batch` first")
    with open_store(out, url) as store:
        keys, last = store.last_keys(), store.last_assignment()
        if keys is None or last is None:
            raise GraderError(f"nobody was graded into {out} yet: run `grader batch` first")
        rubric = load_rubric(assignment) if assignment else last
        if keys.rubric != rubric_key(rubric):
            raise GraderError(f"{out} was graded by another rubric: give its --assignment, or run `grader batch` again")
        yield store, store.book(rubric, keys)


def _export(name: str, out: Path, to: Path | None, store: str | None, assignment: Path | None, **options: Any) -> None:
    from grader.gradebook.exports import EXPORTERS
    from grader.gradebook.publish import FILES

    with _graded(out, store, assignment) as (_, book):
        done = EXPORTERS[name](book, to or out / FILES[name], **options)
    for told in (f"wrote {done.path}: {done.count} with points", *done.notes):
        print(told)


ToOption = Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Where to; in OUT if not given.")]
IntoOption = Annotated[
    Path | None, typer.Option("--into", metavar="FILE", help="What the site exported; it is filled in.")
]
ProvisionalOption = Annotated[
    bool, typer.Option("--provisional", help="Also points that written answers may still add to.")
]


@_export_app.command()
def canvas(
    out: OutArgument,
    to: ToOption = None,
    into: IntoOption = None,
    column: Annotated[str, typer.Option(help="The assignment's title in Canvas.")] = "",
    provisional: ProvisionalOption = False,
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """A CSV for Canvas's gradebook."""
    _export("canvas", out, to, store, assignment, into=into, column=column, provisional=provisional)


@_export_app.command()
def moodle(
    out: OutArgument,
    to: ToOption = None,
    into: IntoOption = None,
    identifier: Annotated[str, typer.Option(help="By what Moodle knows students.")] = "Email address",
    provisional: ProvisionalOption = False,
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """A CSV for Moodle's grades, or its grading worksheet filled in."""
    _export("moodle", out, to, store, assignment, into=into, identifier=identifier, provisional=provisional)


@_export_app.command("csv")
def plain_csv(
    out: OutArgument,
    to: ToOption = None,
    provisional: ProvisionalOption = False,
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """A CSV with every number."""
    _export("csv", out, to, store, assignment, provisional=provisional)


@_export_app.command()
def gradescope(
    out: OutArgument,
    to: ToOption = None,
    leaderboard: Annotated[bool, typer.Option("--leaderboard", help="With a leaderboard.")] = False,
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """A results.json for each student, as Gradescope's autograders write it."""
    _export("gradescope", out, to, store, assignment, leaderboard=leaderboard)


@_export_app.command()
def junit(
    out: OutArgument, to: ToOption = None, store: StoreOption = None, assignment: AssignmentOption = None
) -> None:
    """JUnit XML, for CI."""
    _export("junit", out, to, store, assignment)


@_export_app.command()
def html(out: OutArgument, to: ToOption = None, store: StoreOption = None, assignment: AssignmentOption = None) -> None:
    """The pages of the class and of its students."""
    from grader.gradebook.pages import write_pages
    from grader.gradebook.publish import PAGES

    folder = to or out / PAGES
    with _graded(out, store, assignment) as (_, book):
        write_pages(book.with_curves(), folder)
    print(f"wrote {folder / 'index.html'}")


@_manual_app.command("template")
def manual_template(
    out: OutArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to.")] = Path("manual.csv"),
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """Write a row for each written answer that a person grades."""
    from grader.gradebook.manual import write_template

    with _graded(out, store, assignment) as (_, book):
        count = write_template(book, to)
    print(f"wrote {to}: {count} answers; fill in points and comment, then `grader manual import`")


@_manual_app.command("import")
def manual_import(
    out: OutArgument,
    file: Annotated[Path, typer.Argument(help="The filled CSV.")],
    store: StoreOption = None,
    assignment: AssignmentOption = None,
) -> None:
    """Read the points back; pages and exports follow. A file with a wrong row changes nothing."""
    from grader.gradebook.manual import read_scores
    from grader.gradebook.publish import publish

    with _graded(out, store, assignment) as (opened, book):
        scores = read_scores(file, book.assignment, (grade.student.key for grade in book))
        opened.give(scores)
        statistics = publish(book, out)
    taken = sum(score is None for _, _, score in scores)
    told = f"{len(scores) - taken} scores imported" + (f", {taken} taken back" if taken else "")
    print(f"{told}; {statistics.waiting_answers} written answers still wait")
