"""What handed-in networks are held against: the test images of CIFAR-10, and the pre-trained network."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grader import locations
from grader.assignment import Assignment, Limits
from grader.cases import Arrays, CaseSet
from grader.errors import CheckFailed, GraderError, InternalError
from grader.evaluator import Evaluator
from grader.full.reading import read_network
from grader.interview import Interview, InterviewFactory
from grader.notebook import listed
from grader.worker.sandbox.policy import Policy

__all__ = ["FullOptions", "Images", "Materials", "Standard", "empty_interview", "load_standard", "no_images",
           "patient_limits", "pretrained_content", "read_materials", "read_pretrained", "require_cifar10"]  # fmt: skip

_WHOLE = {"train": 50_000, "test": 10_000}
"""How many images CIFAR-10 has."""
_CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
_LARGEST = 64 * 2**20


@dataclass(frozen=True, slots=True)
class FullOptions:
    """Where CIFAR-10 is (None: ``$CIFAR10_DIR`` or the user cache), and the pre-trained network (None: our own).

    ``rerun`` is how many epochs the student's own training functions run; 0 for not at all. ``rerun_minutes`` is what
    each of them may take, ``rerun_device`` where they train.
    """

    data: Path | None = None
    pretrained: Path | None = None
    rerun: int = 0
    rerun_minutes: float = 60
    rerun_device: Literal["cpu", "cuda"] = "cpu"


@dataclass(frozen=True)
class Images:
    """Images uint8 (N, 3, 32, 32) and labels (N,) in parts that fit into a message."""

    parts: tuple[Arrays, ...]

    def __len__(self) -> int:
        return sum(len(part["labels"]) for part in self.parts)


@dataclass(frozen=True)
class Materials:
    """What a full grading measures by, read and checked: plain data, which may cross to another process.

    Args:
        options: where they are from, and how trainings are run again.
        name: what reports call the file of the pre-trained network.
        digest: of everything that results depend on: images, labels, network, epochs of a re-run.
        pretrained: every tensor of the network.
        test: the test images.
        train: the training images; none where no training is run again.
    """

    options: FullOptions
    name: str
    digest: str
    pretrained: Arrays = field(compare=False, repr=False)
    test: Images = field(compare=False, repr=False)
    train: Images = field(compare=False, repr=False)

    @property
    def shortfall(self) -> str:
        """How many images were found, where these are not all; empty where they are."""
        found = [("test", self.test), ("train", self.train)]
        few = [f"{len(images):,} of {_WHOLE[split]:,} {split} images" for split, images in found
               if images.parts and len(images) < _WHOLE[split]]  # fmt: skip
        return f"CIFAR-10 is not whole: only {' and '.join(few)} are there, and these are used" if few else ""


@dataclass(frozen=True)
class Standard:
    """The pre-trained network and how to measure one like it; one serves every submission.

    Args:
        pretrained: every tensor of the network.
        name: what reports call its file.
        images: how many test images there are.
        shortfall: what ``Materials`` say of them.
        evaluator: measures on them; its baseline is the pre-trained network.
        train: the training images, where students' code is run again.
    """

    pretrained: Arrays
    name: str
    images: int
    shortfall: str
    evaluator: Evaluator
    train: Images


@contextmanager
def empty_interview(make: InterviewFactory, assignment: Assignment, isolation: Policy | None) -> Iterator[Interview]:
    """A worker that holds no file at all."""
    with (
        tempfile.TemporaryDirectory(prefix="grader-") as scratch,
        make(Path(scratch).resolve(), assignment.limits, isolation=isolation) as interview,
    ):
        yield interview


def read_materials(
    assignment: Assignment, options: FullOptions, pristine: Path, isolation: Policy | None = None
) -> Materials:
    """Read the pre-trained network and the images.

    Raises:
        GraderError: one of them is not there, or is something else.
    """
    path = options.pretrained or locations.pretrained()
    content = pretrained_content(path)
    # A worker without student code reads the user's files, and torch stays out of this process.
    with Interview(pristine, patient_limits(assignment), isolation=Policy.none()) as trusted:
        _, model = _asked(trusted, "cifar.model", {"net": {}})
        test = _image_set(trusted, "test", options.data)
        train = _image_set(trusted, "train", options.data) if options.rerun else Images(())
    pretrained = read_pretrained(path.name, content, model, assignment, isolation)
    digest = _digest(options.rerun, pretrained, *test.parts, *train.parts)
    return Materials(options, path.name, digest, pretrained, test, train)


def patient_limits(assignment: Assignment) -> Limits:
    """The limits of workers that measure, and hold no student's code."""
    seconds = assignment.full.evaluation_seconds
    return assignment.limits.model_copy(
        update={"probe_seconds": seconds, "least_seconds": seconds, "submission_seconds": math.inf}
    )


def _digest(epochs: int, *groups: Arrays) -> str:
    digest = hashlib.sha256(f"{epochs} epochs".encode())
    for arrays in groups:
        for name, array in sorted(arrays.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load_standard(
    assignment: Assignment, full: FullOptions | Materials, pristine: Path, isolation: Policy | None = None
) -> Standard:
    """What networks are held against, from materials that are read first where they are only named.

    Raises:
        GraderError: one of them is not there, or is something else.
    """
    materials = full if isinstance(full, Materials) else read_materials(assignment, full, pristine, isolation)
    network = {f"net.{name}": array for name, array in materials.pretrained.items()}
    images, labels = (np.concatenate([part[name] for part in materials.test.parts]) for name in ("images", "labels"))
    shared = {"test.images": images, "test.labels": labels, **network}
    evaluator = Evaluator(pristine, patient_limits(assignment), CaseSet({}, shared), isolation=isolation)
    return Standard(materials.pretrained, materials.name, len(images), materials.shortfall, evaluator, materials.train)


def pretrained_content(path: Path) -> bytes:
    """The bytes of a pre-trained network.

    Raises:
        GraderError: it is not there, no regular file, or larger than any network that is meant.
    """
    try:
        # A pipe would be waited for, and a device has no end.
        what = "" if stat.S_ISREG(path.stat().st_mode) else "is no regular file"
        if not what:
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) <= _LARGEST:
                return content
            what = f"is larger than {_LARGEST // 2**20} MiB"
    except OSError as error:
        what = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    raise GraderError(f"the pre-trained network {path} {what}: name the class's checkpoint with --pretrained FILE")


def read_pretrained(
    name: str, content: bytes, model: Arrays, assignment: Assignment, isolation: Policy | None = None
) -> Arrays:
    """Every tensor of a pre-trained network, float32, by the rules for networks that are handed in.

    Args:
        name: what messages call its file.
        content: of that file.
        model: a network whose keys and shapes it has to have.
        assignment: the rubric.
        isolation: what the sandbox should consist of in which it is opened; None for all that the machine offers.

    Raises:
        GraderError: it is not such a network.
    """
    with empty_interview(Interview, assignment, isolation) as interview:
        try:
            return read_network(interview, name, content, model).state
        except CheckFailed as failure:
            raise GraderError(f"the pre-trained network cannot be used: {failure.message}") from None


_PART = 16_000
"""Images in one message: 49 MB."""


def no_images(split: str, told: str) -> GraderError:
    """The error for images that cannot be read: why not, in words, and what to do."""
    return GraderError(
        f"the {split} images cannot be read: {told}; name the folder of CIFAR-10 "
        f"(cifar-10-batches-py, or {split}/<class>/*.png) with --data DIR, or set CIFAR10_DIR"
    )


def require_cifar10(split: str, classes: Sequence[str], labels: NDArray[np.int64], data: Path | None) -> None:
    """Require that images are of CIFAR-10's classes, as many of each; ``data`` is where they were looked for, if said.

    Raises:
        GraderError: they are of others, or some are missing.
    """
    where = data or os.environ.get("CIFAR10_DIR") or "the user cache"
    if list(classes) != _CLASSES:
        if set(classes) > set(_CLASSES):
            stray = listed(sorted(set(classes) - set(_CLASSES)))
            raise GraderError(f"the images in {where} are not CIFAR-10's alone: remove the folders of {stray}")
        raise GraderError(f"the images in {where} are not CIFAR-10's, but of classes {listed(classes, len(_CLASSES))}")
    counts = np.bincount(labels, minlength=len(_CLASSES))
    if counts.min() < counts.max():
        few, many = (f"{counts[index]:,} of {_CLASSES[index]}" for index in (counts.argmin(), counts.argmax()))
        raise GraderError(f"the {split} images in {where} are incomplete: {few}, but {many}; unpack CIFAR-10 again")


def _image_set(trusted: Interview, split: str, data: Path | None) -> Images:
    directory = str(data) if data else os.environ.get("CIFAR10_DIR") or None
    params = {"split": split, "directory": directory and os.path.abspath(os.path.expanduser(directory))}
    parts: list[Arrays] = []
    facts: Mapping[str, Any] = {"count": 1}
    while len(images := Images(tuple(parts))) < facts["count"]:
        start = len(parts) * _PART
        try:
            facts, arrays = trusted.ask("cifar.images", {**params, "start": start, "stop": start + _PART}, {})
        except CheckFailed as failure:
            raise no_images(split, failure.message) from None
        parts.append(arrays)
    require_cifar10(split, facts["classes"], np.concatenate([part["labels"] for part in parts]), data)
    return images


def _asked(trusted: Interview, probe: str, params: Mapping[str, Any]) -> tuple[Mapping[str, Any], Arrays]:
    try:
        return trusted.ask(probe, params, {})
    except CheckFailed as failure:  # no student code ran
        raise InternalError(f"the provided files cannot be used: {failure.message}") from None
