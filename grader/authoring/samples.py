"""The sample submissions: the reference with one mistake each, as students hand them in, and what they score."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from grader import locations
from grader.catalogue import entry, with_entries
from grader.errors import StaleOutput
from grader.submission import EDITABLE

__all__ = ["SAMPLES", "Sample", "build", "check", "folder_of", "generate"]


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


# Scores are written as points * weight of what passed / weight of the part's checks.
SAMPLES = (
    Sample("trimmed_by_gradient", ("lab1.trimmed_set_by_gradient",), {"1f": 5 * 4 / 9}),
    Sample(
        "inverted_mask",
        ("lab3.mask_inverted",),
        {"3a": 15 * 8.5 / 22, "3b": 4 * 3.5 / 4.5, "3c": 4 * 3.5 / 5, "3d": 4 * 3 / 4, "bonus": 0},
    ),
    Sample("mean_loss", ("lab1.mean_instead_of_sum",), {"1a": 2 * 2.5 / 4}),
    Sample("forgotten_mask", ("lab2.forgets_the_mask",), {"2c": 6 * 5.5 / 10.5, "2d": 4 * 4 / 6, "2e": 6 * 5.5 / 7}),
    Sample(
        "notebook_for_gpu",
        ("lab1.threshold_without_learning_rate", "lab2.mean_of_batch_accuracies"),
        {"1e": 5 * 4.5 / 9.5, "2a": 2 * 3 / 4.5},
        is_notebook=True,
    ),
    Sample("two_labs_only", (), {"3b": 0, "3c": 0, "3d": 0}, left_out=("lab3_quantization.py",)),
)


def folder_of(fixtures: Path) -> Path:
    """Where the samples lie."""
    return fixtures / "sample_submissions"


def generate(sample: Sample) -> dict[str, bytes]:
    """A sample's files by name."""
    reference = locations.instructor_folder("reference")
    files = {name: (reference / name).read_bytes() for name in EDITABLE if name not in sample.left_out}
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
