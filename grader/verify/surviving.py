"""One run of ``grader mutants``: grade every mutant, and compare those that survive with the explained ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from grader.assignment import Assignment
from grader.errors import CatalogueError
from grader.grade import Grader
from grader.render.pen import Pen
from grader.verify.mutants import Mutant, Verdict, grade, impatient, load_survivors, mutants, stale, unexplained
from grader.verify.progress import with_progress
from grader.verify.running import spread
from grader.verify.subjects import reference_files

__all__ = ["Survey", "print_survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """The mutants that were graded, those that cost no check, and where these differ from the explained ones."""

    mutants: Sequence[Mutant]
    survivors: Sequence[str]
    unexplained: Sequence[str]
    stale: Sequence[str]

    @property
    def clean(self) -> bool:
        """Whether every survivor has a reason and every reason a survivor."""
        return not self.unexplained and not self.stale


def survey(
    assignment: Assignment, *, only: Sequence[str] = (), jobs: int = 2, console: Console | None = None
) -> Survey:
    """Grade all mutants of the reference's solutions, or those whose ids begin with ``only``.

    Raises:
        CatalogueError: ``only`` names none.
        GraderError: the list of explained survivors cannot be read.
    """
    chosen = [mutant for mutant in mutants(reference_files()) if not only or mutant.id.startswith(tuple(only))]
    if not chosen:
        raise CatalogueError(f"--only {only[0]}: no mutant has such an id")
    explained = {name: why for name, why in load_survivors().items() if not only or name.startswith(tuple(only))}
    work = functools.partial(_grade, assignment=assignment)
    graded = spread(impatient(assignment), chosen, work, jobs)
    verdicts = {verdict.mutant: verdict for verdict in with_progress(graded, len(chosen), "Mutants", console)}
    survivors = [mutant.id for mutant in chosen if verdicts[mutant.id].survived]
    return Survey(chosen, survivors, unexplained(survivors, explained), stale(survivors, explained))


def _grade(grader: Grader, mutant: Mutant, *, assignment: Assignment) -> Verdict:
    return grade(mutant, reference_files(), grader, assignment)


def print_survey(found: Survey, console: Console) -> None:
    """Counts, then every survivor that needs a look, with its change."""
    pen = Pen(console)
    for mutant in found.mutants:
        if mutant.id in found.unexplained:
            pen.line(f"{mutant.id} survives, and nobody has said why:", "red")
            pen.line(f"{mutant.file} line {mutant.line}: {mutant.before}  ->  {mutant.after}", indent=2)
    for name in found.stale:
        pen.line(f"{name} has a reason in survivors.toml, but does not survive", "red")
    killed = len(found.mutants) - len(found.survivors)
    pen.heading("All explained" if found.clean else "Not all explained", "bold green" if found.clean else "bold red")
    pen.line(f"mutants: {len(found.mutants)}, noticed: {killed}, survivors with a reason: "
             f"{len(found.survivors) - len(found.unexplained)}, without: {len(found.unexplained)}")  # fmt: skip
