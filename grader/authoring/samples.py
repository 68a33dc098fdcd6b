"""The sample submissions: the reference with one mistake each, as students hand them in, and what they score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grader import locations
from grader.catalogue import entry, with_entries
from grader.errors import StaleOutput

__all__ = ["SAMPLES", "Sample", "build", "check", "folder_of", "generate"]

_EDITABLE = (
    "answers.toml",
    "lab1_sparse_optimization.py",
    "lab2_pruning.py",
    "FP_layers.py",
    "lab3_quantization.py",
)


@dataclass(frozen=True)
class Sample:
    """One sample.

    Attributes:
        name: its folder.
        mistakes: ids of catalogue entries.
        lost: the part scores that are not full, by part.
        is_notebook: whether it is one notebook, written for a GPU, instead of files.
        left_out: files that were not handed in.
    """

    name: str
    mistakes: tuple[str, ...]
    lost: Mapping[str, float]
    is_notebook: bool = False
    left_out: tuple[str, ...] = field(default=())


SAMPLES = (
    Sample("trimmed_by_gradient", ("lab1.trimmed_set_by_gradient",), {"1f": 0}),
    Sample("inverted_mask", ("lab3.mask_inverted",), {"3a": 0}),
    Sample("mean_loss", ("lab1.mean_instead_of_sum",), {"1a": 0}),
    Sample("forgotten_mask", ("lab2.forgets_the_mask",), {"2c": 0}),
    Sample("notebook_for_gpu", ("lab1.mean_instead_of_sum",), {"1a": 0}, is_notebook=True),
    Sample("two_labs_only", (), {"3b": 0}, left_out=("lab3_quantization.py",)),
)


def folder_of(fixtures: Path) -> Path:
    """Where the samples lie."""
    return fixtures / "sample_submissions"


def generate(sample: Sample) -> dict[str, bytes]:
    """A sample's files by name."""
    reference = locations.instructor_folder("reference")
    files = {name: (reference / name).read_bytes() for name in _EDITABLE if name not in sample.left_out}
    files = with_entries(files, [entry(mistake) for mistake in sample.mistakes])
    return _as_notebook(files) if sample.is_notebook else files


def _as_notebook(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The labs as cells of one notebook, as they are written on a rented GPU; answers.toml stays a file."""
    intro = "%matplotlib inline\n!pip install torch\nfrom google.colab import drive\ndrive.mount('/content/drive')"
    cells = [intro, 'import torch\ndevice = "cuda"\nprint(torch.cuda.get_device_name(0))']
    for name, content in files.items():
        if name.endswith(".py"):
            code = content.decode().replace(".to(device)", ".cuda()")
            kept = [line for line in code.splitlines() if line != "from __future__ import annotations"]
            cells.append("\n".join(kept).strip())
    cells.append("net = ResNetCIFAR().cuda()\nfor epoch in range(20):\n    train(net, epoch)")
    notebook = {
        "cells": [_cell(number, source) for number, source in enumerate(cells)],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return {"hw4_solution.ipynb": text.encode(), "answers.toml": files["answers.toml"]}


def _cell(number: int, source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": f"cell-{number}",
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }


def build(fixtures: Path) -> None:
    """Write every sample below ``fixtures``."""
    for sample in SAMPLES:
        folder = folder_of(fixtures) / sample.name
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in generate(sample).items():
            (folder / name).write_bytes(content)


def check(fixtures: Path) -> None:
    """Compare the samples with what the reference and the catalogue give now.

    Raises:
        StaleOutput: naming the first folder that differs.
    """
    for sample in SAMPLES:
        folder, files = folder_of(fixtures) / sample.name, generate(sample)
        found = {p.name: p.read_bytes() for p in folder.iterdir()} if folder.is_dir() else {}
        if found != files:
            raise StaleOutput(f"{folder} is not what the catalogue gives: run `grader fixtures build`")
