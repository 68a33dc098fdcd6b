"""The runs as a student would hand them in: networks under the course's names, and the numbers in answers.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Float, Trivia

from grader.errors import GraderError
from grader.files import write_atomically
from grader.runs.execute import Outcome
from grader.runs.networks import as_torch_saves
from grader.runs.plan import PRETRAIN, Run
from grader.submission import EDITABLE
from grader.written import FILE

__all__ = ["write_submission"]

# By part and method; {} is the run's value.
_NETWORKS = {
    ("2c", "finetune"): "net_after_finetune.pt",
    ("2d", "iterative"): "net_after_iterative_prune.pt",
    ("2e", "global_iterative"): "net_after_global_iterative_prune.pt",
    ("3c", "qat"): "quantized_net_after_finetune_{}bit.pt",
    ("3d", "qat"): "quantized_sparse_net_after_finetune_{}bit.pt",
}
_NUMBERS = {
    ("2a", "evaluate"): ("2a accuracy",),
    ("2b", "one_shot"): ("2b q{}",),
    ("2c", "finetune"): ("2c accuracy",),
    ("2d", "iterative"): ("2d numbers accuracy",),
    ("2e", "global_iterative"): ("2e accuracy",),
    ("3b", "ptq"): ("3b numbers bits_{}", "3c numbers before_{}", "bonus asymmetric_{}"),
    ("3c", "qat"): ("3c numbers after_{}",),
    ("3d", "ptq"): ("3d numbers before_{}",),
    ("3d", "qat"): ("3d numbers after_{}",),
    ("bonus", "ptq"): ("bonus symmetric_{}",),
}


def write_submission(
    runs: Mapping[str, Run],
    outcomes: Mapping[str, Outcome],
    folders: Mapping[str, Path],
    reference: Path,
    target: Path,
) -> tuple[list[str], list[str]]:
    """Write the reference with its networks and its measured numbers as a submission; what was not measured is empty.

    Args:
        runs: by name.
        outcomes: of those that have ended.
        folders: where each run is kept.
        reference: the solved assignment.
        target: an empty folder, made if it is missing; as it was if writing fails.

    Returns:
        The names of the runs that it lacks, and those that answers.toml has no field for.

    Raises:
        GraderError: ``target`` holds something else, or cannot be written.
    """
    answers = (reference / FILE).read_text(encoding="utf-8")
    try:
        with _whole_or_not(target):
            for name in EDITABLE:
                write_atomically(target / name, [(reference / name).read_bytes()])
            filled, homeless = fill(answers, runs, outcomes)
            write_atomically(target / FILE, [filled.encode()])
            for name, file in _networks(runs):
                if name in outcomes:
                    write_atomically(target / file, [as_torch_saves(folders[name] / "net.safetensors")])
    except OSError as error:
        raise GraderError(f"{target} cannot be written: {error.strerror}") from None
    return [name for name in runs if name not in outcomes and _kind(runs[name]) in _NUMBERS], homeless


@contextmanager
def _whole_or_not(target: Path) -> Iterator[None]:
    """An empty folder to fill, which is as it was if that fails: a later attempt would refuse a part."""
    is_new = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise GraderError(f"{target} is not empty: name a new folder")
    try:
        yield
    except BaseException:
        for path in target.iterdir():
            path.unlink()
        if is_new:
            target.rmdir()
        raise


def fill(answers: str, runs: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> tuple[str, list[str]]:
    """The text of an answers.toml with the numbers of Labs 2 and 3 as measured, empty where they were not.

    Also the names of the runs whose number has no field at all there, as those of another term.
    """
    document = tomlkit.parse(answers)
    _empty(document)
    has_field: dict[str, bool] = {}
    for run, (*tables, key), number in _numbers(runs, outcomes):
        table: Any = document
        for name in tables:
            table = table.get(name, {})
        if key in table:
            table[key] = number
        has_field[run] = has_field.get(run, False) or key in table
    document["measured"]["source"] = _source(outcomes)
    return tomlkit.dumps(document), [run for run, found in has_field.items() if not found]


def _empty(table: MutableMapping[str, Any]) -> None:
    """Take every number out: all of them were measured, with some other network."""
    for name, value in table.items():
        if isinstance(value, MutableMapping):
            _empty(value)
        elif isinstance(value, float):
            table[name] = ""


def _kind(run: Run) -> tuple[str, str]:
    return run.experiment.part, run.experiment.method


def _named(pattern: str, run: Run) -> str:
    return pattern.format("" if run.value is None else f"{run.value:g}")


def _networks(runs: Mapping[str, Run]) -> Iterator[tuple[str, str]]:
    """The runs whose network is handed in, each with the name of its file."""
    for name, run in runs.items():
        if (pattern := _NETWORKS.get(_kind(run))) is not None:
            yield name, _named(pattern, run)


def _numbers(runs: Mapping[str, Run], outcomes: Mapping[str, Outcome]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Every number that was measured, in percent: of which run, and where it stands."""
    for name, outcome in outcomes.items():
        run = runs[name]
        for pattern in _NUMBERS.get(_kind(run), ()):
            yield name, tuple(_named(pattern, run).split()), _percent(outcome.accuracy)
        if run.experiment.method == "global_iterative":
            for layer, share in outcome.sparsity_by_layer.items():
                yield name, ("2e", "zeros", layer), _percent(share)


def _percent(share: float) -> Float:
    """With the two decimals that the answers have, trailing zeros included."""
    written = f"{100 * share:.2f}"
    return Float(float(written), Trivia(), written)


def _source(outcomes: Mapping[str, Outcome]) -> str:
    """What the numbers were measured with, as far as the runs know."""
    told = "The numbers of Labs 2 and 3 are those of `grader runs`, after the last epoch of each training"
    if (base := outcomes.get("float")) is not None:
        told += f", from a pretrained network with {100 * base.accuracy:.2f} % on the same test images"
    if trained := [outcome.epochs for name, outcome in outcomes.items() if name != PRETRAIN and outcome.epochs]:
        told += f"; epochs of a training: {min(trained)}"
    return f"{told}."
