"""From the bytes of a checkpoint to a network that can be measured, or a sentence that says why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from grader.cases import Arrays
from grader.errors import CheckFailed, CheckTimedOut
from grader.interview import BROKEN, Interview
from grader.notebook import listed

__all__ = ["ReadNetwork", "counters", "read_network"]

_Word = Annotated[str, StringConstraints(max_length=1000)]
_COUNTER = "num_batches_tracked"
_SAVE = "save net.state_dict() of the provided ResNet-20"


class _Told(BaseModel):
    """The facts of ``checkpoints.load``; a worker is not trusted to keep to them."""

    model_config = ConfigDict(strict=True, extra="forbid")

    wrapper: _Word
    prefix: _Word
    dtypes: list[_Word]
    masked: int
    missing: list[_Word]
    extra: list[_Word]
    extras: int
    wrong: dict[_Word, _Word]


@dataclass(frozen=True)
class ReadNetwork:
    """Every tensor of the network, float32, and notes on what was done to get it."""

    state: Arrays
    notes: tuple[str, ...]


def counters(network: Mapping[str, Any]) -> Arrays:
    """BatchNorm's counts of batches, as zeros: no evaluation reads them, so none is asked for."""
    return {name: np.zeros((), np.int64) for name in network if name.endswith(_COUNTER)}


def read_network(interview: Interview, name: str, content: bytes, model: Arrays) -> ReadNetwork:
    """Open a checkpoint in a worker.

    Args:
        interview: the worker; it needs no file.
        name: what messages call it.
        content: its bytes.
        model: a network whose keys and shapes it has to have.

    Raises:
        CheckFailed: it is not such a network: what is wrong, where, and what to do.
    """
    shapes = {key: list(array.shape) for key, array in model.items()}
    shown = f"`{listed([name])}`"
    question = ("checkpoints.load", {"shapes": shapes})
    if interview.refusal(*question):
        raise CheckFailed(f"{shown} was not opened, since other files broke too many processes or took too long")
    try:
        facts, arrays = interview.ask(*question, {"file": np.frombuffer(content, np.uint8)})
    except CheckTimedOut:
        raise CheckFailed(f"{shown} took too long to open: {_SAVE}") from None
    except CheckFailed as failure:
        if failure.message.startswith(BROKEN):
            what = failure.message.removeprefix(BROKEN)
            raise CheckFailed(f"{shown} broke the process that opened it{what}: {_SAVE}") from None
        raise CheckFailed(f"{shown} {failure.message}") from None
    try:
        told = _Told.model_validate(dict(facts))
    except ValidationError:
        raise CheckFailed(f"{shown} broke the process that opened it, whose answer makes no sense: {_SAVE}") from None
    _require_keys(shown, told, model)
    return ReadNetwork({**_state(shown, arrays, model), **counters(model)}, tuple(_notes(shown, told)))


def _require_keys(shown: str, told: _Told, model: Arrays) -> None:
    weights = len(model) - len(counters(model))
    if len(told.missing) >= weights:
        raise CheckFailed(f"{shown} holds none of the network's {weights} tensors: {_SAVE}",
                          received=f"keys such as {listed(told.extra)}" if told.extra else None)  # fmt: skip
    if told.missing:
        raise CheckFailed(f"{shown} lacks {len(told.missing)} of the network's {weights} tensors: {_SAVE}",
                          expected=listed(told.missing),
                          received=f"instead {listed(told.extra)}" if told.extra else None)  # fmt: skip
    if told.wrong:
        key, problem = next(iter(told.wrong.items()))
        others = f", and so on for {len(told.wrong) - 1} more" if len(told.wrong) > 1 else ""
        raise CheckFailed(f"{key} in {shown} {problem}{others}: {_SAVE}")


def _state(shown: str, arrays: Arrays, model: Arrays) -> Arrays:
    """The arrays, if they are what an honest worker sends and hold numbers only."""
    found: Arrays = {}
    for key, expected in model.items():
        if key.endswith(_COUNTER):
            continue
        array = arrays.get(key)
        if array is None or array.shape != expected.shape or array.dtype != np.float32:
            raise CheckFailed(f"{shown} broke the process that opened it, whose answer makes no sense: {_SAVE}")
        if not np.isfinite(array).all():
            raise CheckFailed(
                f"{key} in {shown} holds NaN or infinite values: the training diverged or divided by zero",
                advice="Look at the learning rate, and at what the quantizer divides by in a layer of one value.",
            )
        found[key] = array
    return found


def _notes(shown: str, told: _Told) -> list[str]:
    notes = []
    if told.wrapper:
        notes.append(f"{shown} holds more than a state dict; the network was taken from its key {told.wrapper!r}.")
    if told.prefix:
        notes.append(f"The keys in {shown} begin with {told.prefix!r}, which was left out.")
    if told.dtypes:
        notes.append(f"{shown} holds {' and '.join(told.dtypes)}, which was converted to float32.")
    if told.masked:
        notes.append(f"{shown} holds weights and pruning masks apart; they were multiplied.")
    if told.extras:
        notes.append(f"Tensors of {shown} that belong to no layer were left out ({told.extras}): {listed(told.extra)}.")
    return notes
