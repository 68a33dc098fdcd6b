"""reference/answers.toml: complete, a template without a trace of its answers, and numbers that are true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lab1_sparse_optimization as lab1
import numpy as np
import pytest
from lab2_pruning import prunable_layers
from resnet20 import ResNetCIFAR

from grader import locations
from grader.assignment import Assignment, load_assignment
from grader.authoring.template import strip_answers
from grader.written import manual_items, read_written

ROOT = Path(__file__).resolve().parents[2]
SOURCE = (ROOT / "reference" / "answers.toml").read_text(encoding="utf-8")
ANSWERS = tomllib.loads(SOURCE)
TEMPLATE_SOURCE = strip_answers(SOURCE)
TEXTS = ("explanation", "answer")
VERDICTS = {"p1.1": "false", "p1.2": "false", "p1.3": "true", "p1.4": "false", "p1.5": "false"}
PROBLEM = (lab1.X, lab1.Y, lab1.W0, lab1.LEARNING_RATE, lab1.STEPS)
BITS = (6, 5, 4, 3, 2)
FINETUNED_BITS = (4, 3, 2)


@pytest.fixture(scope="module")
def assignment() -> Assignment:
    return load_assignment(ROOT / "grader" / "assignment.toml")


def leaves(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value that is not a table, with the names that lead to it."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def questions(table: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every table that holds a value."""
    if any(not isinstance(value, dict) for value in table.values()):
        yield table
    for value in table.values():
        if isinstance(value, dict):
            yield from questions(value)


# --- Complete


def test_a_table_for_every_part_and_for_nothing_else(assignment: Assignment) -> None:
    assert set(ANSWERS) == {"measured", *assignment.parts} - {"3a"}  # 3(a) is code alone


def test_every_question_has_a_prompt() -> None:
    for table in questions(ANSWERS):
        assert len(table["prompt"]) > 20
        assert len(table) > 1


def test_verdicts() -> None:
    assert {part: table["verdict"] for part, table in ANSWERS.items() if part.startswith("p1.")} == VERDICTS


def test_texts_are_where_a_person_gives_points(assignment: Assignment) -> None:
    for part in assignment.parts.values():
        texts = [value for path, value in leaves(ANSWERS.get(part.id, {})) if path[-1] in TEXTS]
        assert bool(texts) == bool(part.manual), part.id
        assert all(len(text) > 100 for text in texts)


def test_model_answers_await_a_person(assignment: Assignment) -> None:
    written, template = read_written(SOURCE.encode()), read_written(TEMPLATE_SOURCE.encode())
    items = manual_items(assignment, template, written)
    assert [item.part for item in items] == [part.id for part in assignment.parts.values() if part.manual]
    assert all(item.prompt and item.text for item in items)
    assert next(item for item in items if item.part == "1f").prompt.count("1(f): ") == 2


def test_lines_are_of_a_length_that_is_read_without_scrolling() -> None:
    assert max(map(len, SOURCE.splitlines())) <= 110


# --- The template


def test_template_asks_the_same_and_answers_nothing() -> None:
    given, template = dict(leaves(ANSWERS)), dict(leaves(tomllib.loads(TEMPLATE_SOURCE)))
    assert list(template) == list(given)
    for path, value in template.items():
        assert value == (given[path] if path[-1] == "prompt" else "")


def test_template_earns_nothing(assignment: Assignment) -> None:
    template = read_written(TEMPLATE_SOURCE.encode())
    assert not any(item.text for item in manual_items(assignment, template, template))


def test_comments_tell_no_answer() -> None:
    comments = " ".join(line for line in SOURCE.splitlines() if line.startswith("#"))
    numbers = {f"{value:.2f}" for _, value in leaves(ANSWERS) if isinstance(value, float)}
    assert not numbers & set(re.findall(r"\d+\.\d+", comments))


@pytest.mark.skipif(not (ROOT / "student_template" / "answers.toml").is_file(), reason="student_template is not built")
def test_template_can_be_read_where_it_is_generated() -> None:
    folder = locations.instructor_folder("student_template")
    assert read_written((folder / "answers.toml").read_bytes()).problem is None


# --- Reported numbers: all of them were measured, with the project's own network; docs/results.md has the same


def test_reported_numbers_are_percentages() -> None:
    for path, value in leaves(ANSWERS):
        if path[-1] not in {"prompt", "verdict", "source", *TEXTS}:
            assert isinstance(value, float) and 0 <= value <= 100 and round(value, 2) == value, path


def test_reported_numbers_are_those_of_the_table_of_results() -> None:
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in results.splitlines() if "|" in line]
    measured = {(cells[0], cells[1]): cells[2] for cells in lines if len(cells) > 5}
    numbers = {
        ("2a", "float"): ANSWERS["2a"]["accuracy"],
        **{("2b", f"one-shot pruning, {q} %"): ANSWERS["2b"][f"q{q}"] for q in (30, 50, 70)},
        ("2c", "one-shot, then fine-tuned"): ANSWERS["2c"]["accuracy"],
        ("2d", "iterative pruning"): ANSWERS["2d"]["numbers"]["accuracy"],
        ("2e", "iterative pruning, global threshold"): ANSWERS["2e"]["accuracy"],
    }
    for bits in BITS:
        numbers["3b", f"quantized, {bits} bits"] = ANSWERS["3b"]["numbers"][f"bits_{bits}"]
        numbers["bonus", f"quantized symmetrically, {bits} bits"] = ANSWERS["bonus"][f"symmetric_{bits}"]
    for bits in FINETUNED_BITS:
        sparse = ANSWERS["3d"]["numbers"]
        numbers["3c", f"quantized and fine-tuned, {bits} bits"] = ANSWERS["3c"]["numbers"][f"after_{bits}"]
        numbers["3d", f"sparse, quantized, {bits} bits"] = sparse[f"before_{bits}"]
        numbers["3d", f"sparse, quantized and fine-tuned, {bits} bits"] = sparse[f"after_{bits}"]
    assert {row: f"{number:.2f}" for row, number in numbers.items()} == {row: measured.get(row) for row in numbers}


def test_names_of_the_reported_numbers() -> None:
    def names(*path: str) -> list[str]:
        table: Any = ANSWERS
        for name in path:
            table = table[name]
        return [name for name, value in table.items() if name != "prompt" and not isinstance(value, dict)]

    assert [names(*path) for path in (("2a",), ("2c",), ("2d", "numbers"), ("2e",))] == [["accuracy"]] * 4
    assert names("2b") == ["q30", "q50", "q70"]
    assert names("2e", "zeros") == list(prunable_layers(ResNetCIFAR()))
    assert names("3b", "numbers") == [f"bits_{bits}" for bits in BITS]
    tuned = [f"{when}_{bits}" for bits in FINETUNED_BITS for when in ("before", "after")]
    assert names("3c", "numbers") == names("3d", "numbers") == tuned
    assert names("bonus") == [f"{kind}_{bits}" for kind in ("symmetric", "asymmetric") for bits in BITS]


def test_what_was_measured_twice_is_the_same() -> None:
    after_training = ANSWERS["3b"]["numbers"]
    for bits in BITS:
        assert ANSWERS["bonus"][f"asymmetric_{bits}"] == after_training[f"bits_{bits}"]
    for bits in FINETUNED_BITS:
        assert ANSWERS["3c"]["numbers"][f"before_{bits}"] == after_training[f"bits_{bits}"]


def test_accuracies_that_the_texts_quote_are_the_reported_ones() -> None:
    float_accuracy = ANSWERS["2a"]["accuracy"]
    assert f"{float_accuracy:.2f} % on these images" in text("measured", "source")
    assert f"from {float_accuracy:.2f} % to {ANSWERS['2b']['q70']:.2f} %" in text("2d", "comparison", "answer")
    comment, numbers = text("3b", "comment", "answer"), ANSWERS["3b"]["numbers"]
    drops = [f"{float_accuracy - numbers[f'bits_{bits}']:.2f}" for bits in BITS]
    falls = f"{drops[0]} points at 6 bits, {drops[1]} at 5, {drops[2]} at 4, {drops[3]} at 3 and {drops[4]} at 2"
    assert f"falls by {falls} bits" in comment
    assert f"{numbers['bits_2']:.2f} % is no better than chance" in comment
    assert f"at 4 bits, where {drops[2]} points" in text("3c", "comment", "answer")
    dense, sparse = ([ANSWERS[part]["numbers"][f"after_{bits}"] for bits in FINETUNED_BITS] for part in ("3c", "3d"))
    reached = f"{dense[0]:.2f} % are reached at 4 bits, {dense[1]:.2f} % at 3 and {dense[2]:.2f} % at 2"
    assert reached in text("3c", "comment", "answer")
    below = [f"{before - after:.2f}" for before, after in zip(dense, sparse, strict=True)]
    ends = f"ends {below[0]} and {below[1]} points below 3(c) at 4 and 3 bits, and {below[2].lstrip('-')} above it at 2"
    assert ends in text("3d", "comment", "answer")
    both = f"{ANSWERS['2c']['accuracy']:.2f} % in 2(c), {ANSWERS['2d']['numbers']['accuracy']:.2f} % here"
    assert both in text("2d", "comparison", "answer")


# --- What the texts say about Lab 1 is what the reference does


def text(*path: str) -> str:
    """An answer as one line."""
    value: Any = ANSWERS
    for name in path:
        value = value[name]
    return " ".join(value.split())


def short(vector: Any) -> str:
    """Weights as the texts write them: up to five decimals, without trailing zeros."""
    rounded = [f"{value:.5f}".rstrip("0").rstrip(".") for value in np.where(np.abs(vector) < 1e-12, 0, vector)]
    return f"({', '.join(rounded)})"


def first_step_without(history: lab1.History, element: int) -> int:
    """The step from which on element w_1 .. w_5 is zero for good."""
    return int(np.flatnonzero(history.weights[:, element - 1])[-1]) + 1


def l1(lam: float) -> lab1.History:
    return lab1.l1_gradient_descent(*PROBLEM, lam)


def proximal(lam: float) -> lab1.History:
    return lab1.proximal_gradient_descent(*PROBLEM, lam)


def trimmed(lam: float) -> lab1.History:
    return lab1.trimmed_l1_gradient_descent(*PROBLEM, lam, 3)


def test_1a_first_step() -> None:
    answer = text("1a", "derivation", "answer")
    assert f"-2 X^T y = {short(lab1.gradient(lab1.X, lab1.Y, lab1.W0))}" in answer
    assert f"w_1 = {short(lab1.gradient_step(lab1.X, lab1.Y, lab1.W0, 0.02))}" in answer
    assert f"y^T y = {lab1.loss(lab1.X, lab1.Y, lab1.W0):g}" in answer


def test_1b_gradient_descent() -> None:
    answer, history = text("1b", "convergence", "answer"), lab1.gradient_descent(*PROBLEM)
    assert f"({', '.join(f'{value:.5f}' for value in history.weights[-1])})" in answer
    assert history.losses[-1] < 1e-28
    assert f"2/{np.linalg.eigvalsh(2 * lab1.X.T @ lab1.X).max():.2f}" in answer
    np.testing.assert_allclose(history.weights[-1], np.linalg.pinv(lab1.X) @ lab1.Y, rtol=1e-12)


def test_1b_1c_1f_a_sparse_exact_solution_exists() -> None:
    assert lab1.loss(lab1.X, lab1.Y, np.array([1.0, 3, 0, 0, 0])) == 0
    for path in (("1b", "convergence"), ("1c", "convergence"), ("1f", "plain_l1")):
        assert "(1, 3, 0, 0, 0)" in text(*path, "answer")


def test_1c_projected() -> None:
    answer, history = text("1c", "convergence", "answer"), lab1.projected_gradient_descent(*PROBLEM, 2)
    assert f"ends at {short(history.weights[-1])}" in answer
    assert f"ends at {history.losses[-1]:.5f}" in answer
    chosen = [tuple(np.flatnonzero(w) + 1) for w in history.weights[1:]]
    assert set(chosen[:7]) == {(1, 2)}
    assert set(chosen[7:]) == {(2, 5)}
    assert "kept from step 8 on" in answer


def test_1d_l1() -> None:
    answer, runs = text("1d", "lambda", "answer"), [l1(lam) for lam in (0.2, 0.5, 1, 2)]
    assert ", ".join(f"{np.abs(run.weights[-1]).sum():.2f}" for run in runs) in answer
    losses = [f"{run.losses[-1]:.7f}".rstrip("0")[:9] for run in runs]
    assert f"L = {runs[0].losses[-1]:.5g}, {losses[1]}, {runs[2].losses[-1]:.6f}, {runs[3].losses[-1]:.5f}" in answer
    assert all(run.weights[1:].all() for run in runs)
    for run, lam in zip(runs[1:], (0.5, 1, 2), strict=True):
        assert np.ptp(run.weights[-40:, 3]) == pytest.approx(2 * 0.02 * lam, rel=0.2)
        assert f"{2 * 0.02 * lam:g} at λ = {lam:g}" in answer
    tail = runs[3].losses[-40:]
    assert f"between {tail.min():.3f} and {tail.max():.3f}" in answer
    assert f"it is at {runs[0].weights[-1, 0]:.5f}" in answer


def test_1d_larger_lambda_is_sooner_near_its_solution_and_stays_farther_from_it() -> None:
    steps, distances = [], []
    for lam in (0.5, 1, 2):
        solution = lab1.proximal_gradient_descent(*PROBLEM[:4], 5000, lam).weights[-1]
        distance = np.linalg.norm(l1(lam).weights - solution, axis=1)
        steps.append(int(np.argmax(distance < 0.1)))
        distances.append(distance[-40:].max())
    assert steps == sorted(steps, reverse=True)
    assert distances == sorted(distances)


def test_1e_proximal() -> None:
    answer, lams = text("1e", "comparison", "answer"), (0.2, 0.5, 1, 2)
    runs = [proximal(lam) for lam in lams]
    assert f"L = {', '.join(f'{run.losses[-1]:.6g}' for run in runs)}" in answer
    counts = [np.count_nonzero(run.weights[-1]) for run in runs]
    assert f"with {counts[0]}, {counts[1]}, {counts[2]} and {counts[3]} non-zero weights" in answer
    moves = [np.abs(run.weights[-1] - run.weights[-2]).max() for run in runs]
    assert max(moves[1:]) < 1e-9
    assert f"still moves by {moves[0]:.3f}" in answer
    assert short(runs[2].weights[-1]) in answer


def test_1e_objectives() -> None:
    def objectives(solver: Any) -> str:
        runs = {lam: solver(lam) for lam in (0.2, 0.5, 1, 2)}
        values = (run.losses[-1] + lam * np.abs(run.weights[-1]).sum() for lam, run in runs.items())
        return ", ".join(f"{value:.4f}" for value in values)

    assert f"{objectives(proximal)} against {objectives(l1)}" in text("1e", "comparison", "answer")


def test_1f_trimmed() -> None:
    answer, runs = text("1f", "plain_l1", "answer"), {lam: trimmed(lam) for lam in (1, 2, 5, 10)}
    for lam in (2, 5, 10):
        final = runs[lam].weights[-1], runs[lam].losses[-1]
        assert f"at {short(final[0])} with L = {final[1]:.5f}" in answer
    assert f"{short(runs[1].weights[-1])} with L = {runs[1].losses[-1]:.5f}" in answer
    assert f"the same λ has L = {proximal(1).losses[-1]:.5f}" in answer
    assert f"to {l1(2).losses[-1]:.5f} in 1(d) and {proximal(2).losses[-1]:g} in 1(e)" in answer
    gone = {lam: first_step_without(runs[lam], 1) for lam in (5, 10)}
    assert f"zero at step {gone[5]} with λ = 5, at step {gone[10]} with λ = 10" in answer
    slope = lab1.gradient(lab1.X, lab1.Y, runs[5].weights[-1])
    assert slope[2] == pytest.approx(2)
    assert np.abs(slope).max() == pytest.approx(2)


def test_1f_first_steps() -> None:
    answer, runs = text("1f", "iterative_pruning", "answer"), {lam: trimmed(lam) for lam in (1, 5, 10)}
    w = runs[5].weights
    assert not w[:, 2].any()
    assert f"w_4 is zero from step {first_step_without(runs[5], 4)} on" in answer
    assert f"w_1 grows to {w[:, 0].min():.3f} at step {w[:, 0].argmin()}" in answer
    assert f"shrinks to zero at step {first_step_without(runs[5], 1)}" in answer
    assert np.flatnonzero(runs[10].weights[:, 4] == 0).tolist() == [0, 1, 2]
    assert "w_5 is zero after steps 1 and 2, returns at step 3" in answer
    assert [np.count_nonzero(runs[lam].weights[20]) for lam in (1, 5)] == [4, 2]
    assert "four weights are still non-zero after 20 steps, with λ = 5 two" in answer


def test_p1_5_bias() -> None:
    explanation = text("p1.5", "explanation")
    shrunk, free = proximal(1).weights[-1], trimmed(5).weights[-1]
    assert f"w_2 = {shrunk[1]:.4g} and w_5 = {shrunk[4]:.4g}" in explanation
    assert f"gives {free[1]:.4g} and {free[4]:.5f}" in explanation
