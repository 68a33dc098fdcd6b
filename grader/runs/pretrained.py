"""The pre-trained network as the project keeps it: its weights, and beside them how they came to be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Literal, get_args

from grader.assignment import Training
from grader.errors import GraderError
from grader.files import write_atomically
from grader.runs.execute import read_outcome
from grader.runs.rounds import read_curve

__all__ = ["ImageKind", "keep"]


ImageKind = Literal["jpeg", "lossless"]
"""Which CIFAR-10 a network was trained and tested on: accuracies on the two cannot be compared."""


def keep(folder: Path, training: Training, images: ImageKind, target: Path) -> None:
    """Copy the network of an ended pre-training to ``target``, with a record of the same name beside it.

    The record (JSON, a line for each fact) holds the recipe, the seed, the curve, what it was computed with, and the
    test accuracy by kind of images: null for the kind on which it is not known.

    Args:
        folder: where the run is kept.
        training: the rubric's.
        images: what the run was trained and tested on.
        target: a file of safetensors.

    Raises:
        GraderError: the run has not ended, its curve is damaged, or the target cannot be written.
    """
    outcome = read_outcome(folder)
    if outcome is None or not outcome.epochs:
        raise GraderError(f"{folder} holds no ended pre-training: run `grader runs pretrain` first")
    curve = read_curve(folder, outcome.epochs)
    if not curve:
        raise GraderError(f"{folder / 'metrics.jsonl'} is missing or damaged: remove {folder}, and train again")
    weights = (folder / "net.safetensors").read_bytes()
    record = {
        "network": f"ResNet-{training.num_layers}",
        "sha256": hashlib.sha256(weights).hexdigest(),
        "recipe": training.pretrain.model_dump(mode="json"),
        "seed": training.seed,
        "precision": outcome.precision,
        "device": outcome.device,
        "torch": outcome.torch,
        "trained_on": images,
        "accuracy": {kind: outcome.accuracy if kind == images else None for kind in get_args(ImageKind)},
        "curve": {
            name: [round(epoch[name], 5) for epoch in curve]
            for name in ("train_loss", "train_accuracy", "test_accuracy")
        },
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in record.items())
    write_atomically(target, [weights])
    write_atomically(target.with_suffix(".json"), [f"{{\n{lines}\n}}\n".encode()])
