"""Carry out runs: each once for its inputs, in a folder of its own, from what an earlier process left of it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from grader.assignment import Assignment
from grader.errors import GraderError
from grader.files import write_atomically
from grader.runs.cleaning import INPUTS
from grader.runs.code import Code
from grader.runs.methods import Making, make
from grader.runs.plan import PRETRAIN, Run
from grader.runs.rounds import Rounds, Watch

__all__ = ["Executor", "Outcome", "read_outcome"]

Precision = Literal["auto", "float32", "bfloat16"]


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

    accuracy: float
    sparsity: float
    sparsity_by_layer: Mapping[str, float]
    epochs: int
    planned: int
    device: str
    precision: str
    torch: str


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
            GraderError: it does not fit the network.
        """
        if self.pretrained is None:
            return {}
        return read_checkpoint(self.pretrained, self.code.network.ResNetCIFAR(self.assignment.training.num_layers))

    def _is_given(self, run: Run) -> bool:
        """Whether a checkpoint takes the place of the run."""
        return run.name == PRETRAIN and self.pretrained is not None

    def inputs(self, run: Run, runs: Mapping[str, Run]) -> dict[str, Any]:
        """Everything that a run's numbers depend on; plain data."""
        if self._is_given(run):
            weights = {name: _digest_of_tensor(value) for name, value in self.weights.items()}
            return {"code": self.code.digest, "images": self._images_digest, "weights": weights}
        return {
            "code": self.code.digest,
            "images": self._images_digest,
            "experiment": run.experiment.model_dump(mode="json", exclude={"title", "published", "optional"}),
            "value": run.value,
            "epochs": run.epochs,
            "training": self.assignment.training.model_dump(mode="json"),
            "target": self.assignment.term.target_sparsity,
            "ramp": self.assignment.term.ramp_epochs,
            "precision": self.precision if run.experiment.trains else "",
            "start": self.key(runs[run.start], runs) if run.start else "",
        }

    def key(self, run: Run, runs: Mapping[str, Run]) -> str:
        """A digest of the inputs."""
        return _digest(self.inputs(run, runs))

    def folder(self, run: Run, runs: Mapping[str, Run]) -> Path:
        """Where a run is kept: by its name, and by its key."""
        return self.root / run.name / self.key(run, runs)[:16]

    def outcome(self, run: Run, runs: Mapping[str, Run]) -> Outcome | None:
        """What a run came to; None if it has not ended."""
        return read_outcome(self.folder(run, runs))

    def carry_out(self, run: Run, runs: Mapping[str, Run], watch: Watch) -> Outcome:
        """Carry out a run, unless it has ended before; the one that it starts from must have.

        Raises:
            GraderError: the images or the disk refuse.
        """
        folder = self.folder(run, runs)
        if (before := read_outcome(folder)) is not None:
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
        write_atomically(folder / "net.safetensors", [save(_on_cpu(net.state_dict()))])
        write_atomically(folder / "outcome.json", [json.dumps(asdict(outcome), indent=1).encode()])
        return outcome

    def _made(self, making: Making) -> nn.Module:
        if self._is_given(making.run):
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
            sparsity=(weights == 0).double().mean().item(),
            sparsity_by_layer=self.code.lab2.sparsity_by_layer(net),
            epochs=0 if self._is_given(run) else run.epochs,
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
        return load_file(self.folder(runs[run.start], runs) / "net.safetensors") if run.start else {}

    def _rounds(self, run: Run, folder: Path, watch: Watch, precision: str) -> Rounds | None:
        if not run.experiment.trains or self._is_given(run):
            return None
        training, term = self.assignment.training, self.assignment.term
        ramp = run.experiment.method in ("iterative", "global_iterative")
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
            settled=min(term.ramp_epochs, run.epochs) if ramp else 1,
            accelerated=partial(self.code.train_util.accelerated, precision=precision),
        )

    def _precision(self, folder: Path) -> Literal["float32", "bfloat16"]:
        """What "auto" means is measured once for each run, since going on in another precision gives other numbers."""
        if self.precision != "auto":
            return self.precision
        path = folder / "precision"
        if not path.is_file():
            write_atomically(path, [self.code.train_util.fastest_precision(self.device).encode()])
        return "bfloat16" if path.read_text() == "bfloat16" else "float32"

    def _images(self, split: str) -> Any:
        try:
            return self.code.train_util.load_cifar10(split, self.data, device=self.device)
        except (FileNotFoundError, ValueError) as error:
            raise GraderError(str(error)) from None

    @cached_property
    def _images_digest(self) -> str:
        digest = hashlib.sha256()
        for images in (self.train_set, self.test_set):
            digest.update(_digest_of_tensor(images.images).encode() + _digest_of_tensor(images.labels).encode())
        return digest.hexdigest()


def read_checkpoint(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """The weights of a checkpoint, safetensors or ``torch.save``, that fit a network.

    Raises:
        GraderError: it cannot be read, or does not fit.
    """
    load: Callable[[Path], Any] = (
        load_file if path.suffix == ".safetensors" else partial(torch.load, weights_only=True, map_location="cpu")
    )
    try:
        state: dict[str, Tensor] = dict(load(path))
        net.load_state_dict(state)
    except Exception as error:
        told = str(error).splitlines()[0][:200]
        raise GraderError(f"{path} is no checkpoint of this network: {told}") from None
    return state


def read_outcome(folder: Path) -> Outcome | None:
    """What the run in a folder came to; None if it has not ended."""
    path = folder / "outcome.json"
    return Outcome(**json.loads(path.read_text())) if path.is_file() else None


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest_of_tensor(tensor: Tensor) -> str:
    array = tensor.detach().cpu().contiguous().numpy()
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()


def _called(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() or device.type
