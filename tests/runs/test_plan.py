"""The rubric's experiments as runs: their names, values, epochs and what they need."""

from __future__ import annotations

import pytest

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.errors import GraderError
from grader.runs.plan import Run, chosen, plan

COURSE = load_assignment(locations.default_assignment())


def test_the_course_has_every_number_of_the_assignment() -> None:
    runs = plan(COURSE)
    by_part: dict[str, list[str]] = {}
    for name, run in runs.items():
        by_part.setdefault(run.experiment.part, []).append(name)
    assert by_part["2b"] == ["one-shot-30", "one-shot-50", "one-shot-70"]
    assert [*by_part["2c"], *by_part["2d"], *by_part["2e"]] == ["finetuned", "iterative", "global-iterative"]
    assert by_part["3b"] == [f"ptq-{bits}" for bits in (6, 5, 4, 3, 2)]
    assert by_part["3c"] == [f"qat-{bits}" for bits in (4, 3, 2)]
    assert {runs[name].start for name in by_part["3d"]} == {"global-iterative"}
    assert runs["qat-4"].epochs == 20
    assert runs["ptq-4"].epochs == 0
    assert runs["one-shot-70"].published == 42.04
    assert runs["sparse-qat-4"].published is None


def test_fewer_epochs_are_for_all_but_the_pretraining() -> None:
    runs = plan(COURSE, epochs=2)
    assert runs["qat-4"].epochs == runs["iterative"].epochs == 2
    assert runs["pretrain"].epochs == COURSE.training.pretrain.epochs
    assert runs["ptq-4"].epochs == 0


def test_a_term_without_a_part_has_only_those_of_its_runs_that_others_start_from() -> None:
    def without(*parts: str) -> list[str]:
        kept = {name: part for name, part in COURSE.parts.items() if name not in parts}
        return list(plan(COURSE.model_copy(update={"parts": kept})))

    assert without("bonus") == [name for name in plan(COURSE) if not name.startswith("symmetric")]
    runs = without("2e", "2d", "3c")
    assert "global-iterative" in runs and not {"iterative", "qat-4"} & set(runs)


def test_a_run_needs_what_it_starts_from(runs: dict[str, Run]) -> None:
    assert [run.name for run in chosen(runs, ["sparse-qat-3"])] == ["pretrain", "global-iterative", "sparse-qat-3"]


def test_optional_runs_wait_to_be_asked_for(runs: dict[str, Run]) -> None:
    assert {run.name for run in runs.values()} - {run.name for run in chosen(runs, [])} == {"regrown-3", "regrown-2"}
    assert chosen(runs, [], extras=True) == list(runs.values())
    assert "regrown-3" in {run.name for run in chosen(runs, ["regrown-3"])}


def test_an_unknown_run_is_said() -> None:
    with pytest.raises(GraderError, match="there is no run 'qat-9'; `grader runs list` names them"):
        chosen(plan(COURSE), ["qat-9"])


def test_a_start_that_is_not_there_is_said(short: Assignment) -> None:
    experiments = {name: item for name, item in short.experiments.items() if name != "global-iterative"}
    with pytest.raises(GraderError, match=r"experiments\.sparse-ptq starts from 'global-iterative', but no experiment"):
        plan(short.model_copy(update={"experiments": experiments}))
