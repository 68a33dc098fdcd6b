"""Carry out runs: each once for its inputs, in a folder of its own, from what an earlier process left of it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from torch import Tensor, nn

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.files import write_atomically
from grader.full.standard import no_images, pretrained_content, read_pretrained, require_cifar10
from grader.runs.cleaning import INPUTS
from grader.runs.code import Code
from grader.runs.methods import Making, make
from grader.runs.networks import digest_of_tensor, pack, read_network, state_on_cpu
from grader.runs.plan import PRETRAIN, Run
from grader.runs.rounds import Rounds, Watch

__all__ = ["Executor", "Outcome", "read_outcome"]

_VERSION = 1
"""Of how runs are carried out; raised when ``methods`` or ``rounds`` come to other numbers from the same inputs."""

Precision = Literal["auto", "float32", "bfloat16"]
_Share = Annotated[float, Field(ge=0, le=1)]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        accuracy: on the test images, a fraction, of the network after the last epoch.
        sparsity: the fraction of zeros among all prunable weights.
        sparsity_by_layer: the same by layer.
        epochs: passes over the training images.
        planned: passes that the rubric asks for.
        device, precision, torch: what it was computed with.
    """

    accuracy: _Share
    sparsity: _Share
    sparsity_by_layer: Mapping[str, _Share]
    epochs: int
    planned: int
    device: str
    precision: str
    torch: str


_OUTCOMES = TypeAdapter(Outcome)
_OUTCOME, _NETWORK = "outcome.json", "net.safetensors"


@dataclass(frozen=True, eq=False)
class Executor:
    """Carries out runs on one image set.

    Args:
        code: the assignment's modules.
        assignment: the rubric.
        root: where runs are kept.
        data: the directory of CIFAR-10; None for where ``train_util`` looks.
        device: where to compute.
        precision: in which to train.
        pretrained: a checkpoint in place of the pre-training; None to train from nothing.
    """

    code: Code
    assignment: Assignment
    root: Path
    data: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "auto"
    pretrained: Path | None = None

    @cached_property
    def train_set(self) -> Any:
        """The training images."""
        return self._images("train")

    @cached_property
    def test_set(self) -> Any:
        """The test images."""
        return self._images("test")

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The checkpoint that is given in place of the pre-training.

        Raises:
            GraderError: it cannot be read, or is not such a network.
        """
        if self.pretrained is None:
            return {}
        content = pretrained_content(self.pretrained)
        model = {name: np.zeros(value.shape, np.float32) for name, value in self._like.items()}
        found = read_pretrained(self.pretrained.name, content, model, self.assignment)
        return {name: torch.tensor(array) for name, array in found.items()}

    def is_given(self, run: Run) -> bool:
        """Whether a checkpoint takes the place of the run."""
        return run.name == PRETRAIN and self.pretrained is not None

    def inputs(self, run: Run, runs: Mapping[str, Run]) -> dict[str, Any]:
        """What is asked of a run, as plain data: it decides the numbers, but for the machine and torch.

        Those are left out, so that a run that was begun or made elsewhere serves here; the outcome names them.
        """
        if self.is_given(run):
            weights = {name: digest_of_tensor(value) for name, value in self.weights.items()}
            return {"code": self.code.digest, "images": self._images_digest, "weights": weights}
        return {
            "version": _VERSION,
            "code": self.code.digest,
            "images": self._images_digest,
            "experiment": run.experiment.model_dump(mode="json", exclude={"title", "published", "optional"}),
            "value": run.value,
            "epochs": run.epochs,
            "training": self._recipe(run),
            "target": self.assignment.term.target_sparsity if run.experiment.prunes_to_target else None,
            "ramp": self._ramp(run),
            "precision": self.precision if run.experiment.trains else "",
            "start": self.key(runs[run.start], runs) if run.start else "",
        }

    def _recipe(self, run: Run) -> dict[str, Any]:
        """What of the recipes in the rubric a run follows."""
        training = self.assignment.training
        followed: dict[str, Any] = {}
        if run.name == PRETRAIN:
            followed = training.pretrain.model_dump(mode="json")
        elif run.experiment.trains:
            followed = training.model_dump(mode="json", exclude={"pretrain"})
        return {**followed, "num_layers": training.num_layers, "seed": training.seed}

    def _ramp(self, run: Run) -> int | None:
        """Over how many epochs a run prunes; None where it does so at once or not at all."""
        return min(self.assignment.term.ramp_epochs, run.epochs) if run.experiment.ramps else None

    def key(self, run: Run, runs: Mapping[str, Run]) -> str:
        """A digest of the inputs."""
        return _digest(self.inputs(run, runs))

    def folder(self, run: Run, runs: Mapping[str, Run]) -> Path:
        """Where a run is kept: by its name, and by its key."""
        return self.root / run.name / self.key(run, runs)[:16]

    def outcome(self, run: Run, runs: Mapping[str, Run]) -> Outcome | None:
        """What a run came to; None if it has not ended, or its outcome or network is damaged."""
        folder = self.folder(run, runs)
        outcome = read_outcome(folder)
        return outcome if outcome is not None and self._network(folder) is not None else None

    def damage(self, run: Run, runs: Mapping[str, Run]) -> str:
        """Which file of an ended run is missing or damaged, and what to do; empty if none is."""
        folder = self.folder(run, runs)
        if not (folder / _OUTCOME).exists() or self.outcome(run, runs) is not None:
            return ""
        file = folder / (_OUTCOME if read_outcome(folder) is None else _NETWORK)
        return f"{file} is missing or damaged, so {run.name} is not counted: `grader runs run {run.name}` mends it"

    def _network(self, folder: Path) -> dict[str, Tensor] | None:
        return read_network(folder / _NETWORK, self._like)

    @cached_property
    def _like(self) -> dict[str, Tensor]:
        """The state that every network of the assignment has, without values."""
        with torch.device("meta"):
            net: nn.Module = self.code.network.ResNetCIFAR(num_layers=self.assignment.training.num_layers)
        return net.state_dict()

    def carry_out(self, run: Run, runs: Mapping[str, Run], watch: Watch) -> Outcome:
        """Carry out a run, unless it has ended before; the one that it starts from must have.

        One of which the outcome or the network is damaged has not ended.

        Raises:
            GraderError: the images or the disk refuse.
        """
        folder = self.folder(run, runs)
        if (before := self.outcome(run, runs)) is not None:
            return before
        write_atomically(folder / INPUTS, [json.dumps(self.inputs(run, runs), indent=1).encode()])
        precision = self._precision(folder) if run.experiment.trains else "float32"
        making = Making(
            code=self.code,
            assignment=self.assignment,
            run=run,
            start=self._start(run, runs),
            rounds=self._rounds(run, folder, watch, precision),
            device=self.device,
            precision=precision,
        )
        net = self._made(making)
        outcome = self._measured(net, run, precision)
        write_atomically(folder / _NETWORK, [pack(state_on_cpu(net))])
        write_atomically(folder / _OUTCOME, [json.dumps(asdict(outcome), indent=1).encode()])
        return outcome

    def _made(self, making: Making) -> nn.Module:
        if self.is_given(making.run):
            net = making.fresh()
            net.load_state_dict(self.weights)
            return net
        with making.rounds.keeping() if making.rounds else nullcontext():
            return make(making)

    def _measured(self, net: nn.Module, run: Run, precision: str) -> Outcome:
        layers = self.code.lab2.prunable_layers(net)
        weights = torch.cat([layer.weight.detach().flatten() for layer in layers.values()])
        return Outcome(
            accuracy=self.test(net),
            sparsity=(weights == 0).sum().item() / weights.numel(),
            sparsity_by_layer=self.code.lab2.sparsity_by_layer(net),
            epochs=0 if self.is_given(run) else run.epochs,
            planned=self._planned(run),
            device=_called(self.device),
            precision=precision,
            torch=torch.__version__,
        )

    def _planned(self, run: Run) -> int:
        if not run.experiment.trains:
            return 0
        return self.assignment.training.pretrain.epochs if run.name == PRETRAIN else self.assignment.term.epochs

    def test(self, net: nn.Module) -> float:
        """The accuracy on the test images, a fraction; in float32, so that runs can be compared."""
        return float(self.code.train_util.evaluate_images(net, self.test_set))

    def _start(self, run: Run, runs: Mapping[str, Run]) -> dict[str, Tensor]:
        if run.start is None:
            return {}
        state = self._network(self.folder(runs[run.start], runs))
        if state is None:
            raise GraderError(
                f"{run.name} starts from {run.start}, whose network is missing or damaged: run that first"
            )
        return state

    def _rounds(self, run: Run, folder: Path, watch: Watch, precision: str) -> Rounds | None:
        if not run.experiment.trains or self.is_given(run):
            return None
        training = self.assignment.training
        loader = self.code.train_util.Loader(
            self.train_set,
            training.pretrain.batch_size if run.name == PRETRAIN else training.batch_size,
            shuffle=True,
            augment=True,
            seed=training.seed,
        )
        return Rounds(
            loader,
            folder,
            self.test,
            watch,
            settled=self._ramp(run) or 1,
            accelerated=partial(self.code.train_util.accelerated, precision=precision),
            like=self._like,
        )

    def _precision(self, folder: Path) -> Literal["float32", "bfloat16"]:
        """What "auto" means is measured once for each run, since going on in another precision gives other numbers."""
        if self.precision != "auto":
            return self.precision
        path = folder / "precision"
        if not path.is_file() or path.read_bytes() not in (b"bfloat16", b"float32"):
            write_atomically(path, [self.code.train_util.fastest_precision(self.device).encode()])
        return "bfloat16" if path.read_bytes() == b"bfloat16" else "float32"

    def _images(self, split: str) -> Any:
        try:
            found = self.code.train_util.load_cifar10(split, self.data, device=self.device)
        except (OSError, ValueError) as error:
            what, _, advice = str(error).partition(": ")
            # What it advises on downloading is for Python code.
            raise no_images(split, what if "download=True" in advice else str(error)) from None
        require_cifar10(split, found.classes, found.labels.cpu().numpy(), self.data)
        return found

    @cached_property
    def _images_digest(self) -> str:
        digest = hashlib.sha256()
        for images in (self.train_set, self.test_set):
            digest.update(digest_of_tensor(images.images).encode() + digest_of_tensor(images.labels).encode())
        return digest.hexdigest()


def read_outcome(folder: Path) -> Outcome | None:
    """What the run in a folder came to; None if it has not ended, or the file is damaged."""
    try:
        return _OUTCOMES.validate_json((folder / _OUTCOME).read_bytes())
    except (OSError, ValidationError):
        return None


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _called(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.machine() if device.type == "cpu" else device.type
