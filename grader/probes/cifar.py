"""Probes of the full profile: the images of CIFAR-10, through the provided train_util.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from grader.probes.networks import build, state_arrays
from grader.probes.plain import Array, Params, Reply
from grader.worker.student import ProbeFailed, Student

__all__ = ["images", "logits_of_bytes", "model"]

_BATCH = 100


def model(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """A new provided network, whose keys and shapes every checkpoint of it has."""
    return {}, state_arrays(build(student, params), "")


def images(student: Student, params: Params, arrays: Mapping[str, Array]) -> Reply:
    """Images (uint8) and labels of a split, from one number to another; asked of a worker of the judge's own, which may
    read the user's files.
    """
    found = _loaded(student, params["split"], params["directory"])
    part = slice(params["start"], params["stop"])
    facts = {"classes": list(found.classes), "count": len(found)}
    return facts, {"images": found.images[part].numpy(), "labels": found.labels[part].numpy()}


_kept: dict[tuple[str, str | None], Any] = {}


def _loaded(student: Student, split: str, directory: str | None) -> Any:
    """An image set; it is read once."""
    load = student.attribute("train_util", "load_cifar10")
    try:
        if (split, directory) not in _kept:
            _kept[split, directory] = load(split, directory)
    except FileNotFoundError as error:
        raise ProbeFailed("missing", str(error).partition(": ")[0]) from None  # what it advises is for Python code
    except (OSError, ValueError) as error:
        raise ProbeFailed("raised", str(error)) from None
    return _kept[split, directory]


def logits_of_bytes(student: Student, net: nn.Module, images: Tensor) -> Tensor:
    """The logits of a network in evaluation mode on images uint8 (N, 3, 32, 32), normalised as in training."""
    image_set = student.attribute("train_util", "ImageSet")(images, torch.zeros(len(images), dtype=torch.int64), ())
    batches = student.attribute("train_util", "Loader")(image_set, _BATCH)
    torch.set_flush_denormal(True)  # weights near 1e-40, of dead channels or of bad will, take a hundred times as long
    with torch.backends.mkldnn.flags(enabled=True):
        return torch.cat([net(inputs.to(memory_format=torch.channels_last)) for inputs, _ in batches])
