"""reference/hw4.ipynb: what it may contain, and a run from end to end on a handful of images."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import numpy as np
import pytest
import torch
from lab2_pruning import prunable_layers, sparsity_by_layer
from PIL import Image
from resnet20 import ResNetCIFAR

REFERENCE = Path(__file__).resolve().parents[2] / "reference"
LABS = ("lab1_sparse_optimization", "lab2_pruning", "FP_layers", "lab3_quantization")
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CHECKPOINTS = (
    "net_after_finetune.pt",
    "net_after_iterative_prune.pt",
    "net_after_global_iterative_prune.pt",
    *(f"quantized_sparse_net_after_finetune_{bits}bit.pt" for bits in (4, 3, 2)),
)
DENSE_CHECKPOINTS = tuple(f"quantized_net_after_finetune_{bits}bit.pt" for bits in (4, 3, 2))


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(REFERENCE / "hw4.ipynb", as_version=nbformat.NO_CONVERT)


def code_cells(notebook: Any) -> Iterator[tuple[str, ast.Module]]:
    """The id and the syntax tree of every code cell, its magics left out."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            yield cell.id, ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE))


def lab_functions() -> set[str]:
    """Every public name that a lab file defines."""
    trees = (ast.parse((REFERENCE / f"{lab}.py").read_text(encoding="utf-8")) for lab in LABS)
    return {node.name for tree in trees for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


# --- What it contains


def test_is_a_valid_notebook_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_cell_ids_are_names(notebook: Any) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) for name in ids)
    assert not any(re.fullmatch(r"[0-9a-f]{8}", name) for name in ids)  # what nbformat makes up


def test_defines_nothing_of_the_labs(notebook: Any) -> None:
    defined = {
        node.name
        for _, tree in code_cells(notebook)
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    assert not defined & lab_functions()


def test_every_lab_name_that_it_uses_exists(notebook: Any) -> None:
    modules = {"lab1": "lab1_sparse_optimization", "lab2": "lab2_pruning", "lab3": "lab3_quantization"}
    used = {
        (modules[node.value.id], node.attr)
        for _, tree in code_cells(notebook)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert {module for module, _ in used} == set(modules.values())
    for module, name in used:
        assert hasattr(importlib.import_module(module), name)


def test_every_solver_and_plot_of_lab_1_is_used(notebook: Any) -> None:
    source = "\n".join(cell.source for cell in notebook.cells)
    solvers = {name for name in lab_functions() if name.endswith("gradient_descent") or name.startswith("plot_")}
    assert len(solvers) == 7
    assert all(f"lab1.{name}(" in source for name in solvers)


def test_names_no_device(notebook: Any) -> None:
    source = "\n".join(cell.source for cell in notebook.cells)
    assert "pick_device()" in source
    assert not re.search(r"cuda", source)


# --- A run from end to end


def write_images(root: Path) -> None:
    """Ten classes, told apart by their colour, with three training images and two test images each."""
    random = np.random.default_rng(0)
    for index, name in enumerate(CLASSES):
        colour = np.array([index / 9, 1 - index / 9, index % 2])
        for split, count in (("train", 3), ("test", 2)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = 255 * (0.7 * colour + 0.3 * random.random((32, 32, 3)))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, notebook: Any) -> tuple[Any, Path]:
    """The notebook after a run beside copies of the reference's files, and the folder of that run."""
    root = tmp_path_factory.mktemp("hw4")
    write_images(root / "images")
    work = root / "work"
    shutil.copytree(REFERENCE, work, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as environment:
        # What the person who runs the tests has set, cached or configured must not matter.
        for name in ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR"):
            environment.setenv(name, str(root / name))
        for name in ("OUT", "PRETRAINED", "PRETRAIN_EPOCHS", "EPOCHS", "RAMP_EPOCHS", "BATCH_SIZE"):
            environment.delenv(f"HW4_{name}", raising=False)
        environment.delenv("CIFAR10_DIR", raising=False)
        environment.setenv("HW4_TINY", str(root / "images"))
        environment.setenv("OMP_NUM_THREADS", "1")  # images so few make threads wait, not work
        book = nbformat.from_dict(notebook)
        client = nbclient.NotebookClient(
            book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(work)}}
        )
        client.execute()
    return book, work


def output(book: Any, cell_id: str) -> str:
    """What a cell printed."""
    cell = next(cell for cell in book.cells if cell.id == cell_id)
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def figures(book: Any, cell_id: str) -> int:
    """How many figures a cell drew."""
    cell = next(cell for cell in book.cells if cell.id == cell_id)
    return sum("image/png" in out.get("data", {}) for out in cell.outputs)


def test_runs_end_to_end(executed: tuple[Any, Path]) -> None:
    book, _ = executed
    counts = [cell.execution_count for cell in book.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert output(book, "lab2-setup").startswith("30 training images, 20 test images, on ")


def test_nothing_warns(executed: tuple[Any, Path]) -> None:
    book, _ = executed
    streams = [out for cell in book.cells for out in cell.get("outputs", []) if out.output_type == "stream"]
    assert [out.text for out in streams if out.name == "stderr"] == []


@pytest.mark.parametrize(
    ("cell_id", "count"), [("run-1b", 2), ("run-1c", 2), ("run-1d", 5), ("run-1e", 5), ("run-1f", 9)]
)
def test_every_figure_is_drawn_once(executed: tuple[Any, Path], cell_id: str, count: int) -> None:
    assert figures(executed[0], cell_id) == count


def test_table_of_lab_1(executed: tuple[Any, Path]) -> None:
    table = output(executed[0], "table").splitlines()
    assert len(table) == 1 + 14
    row = next(line for line in table if line.startswith("proximal, λ = 1 "))
    assert row.removeprefix("proximal, λ = 1 ").split() == [
        "0",
        "2.10000",
        "-0.03333",
        "0",
        "-0.60000",
        "0.166667",
        "3",
    ]


def load(path: Path) -> ResNetCIFAR:
    net = ResNetCIFAR()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net


def total_sparsity(net: ResNetCIFAR) -> float:
    layers = prunable_layers(net).values()
    zeros = sum(int((layer.weight == 0).sum()) for layer in layers)
    return zeros / sum(layer.weight.numel() for layer in layers)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_are_sparse(executed: tuple[Any, Path], name: str) -> None:
    net = load(executed[1] / name)
    assert total_sparsity(net) == pytest.approx(0.7, abs=1e-3)
    by_layer = sparsity_by_layer(net).values()
    if "global" in name or "quantized" in name:
        assert max(by_layer) - min(by_layer) > 0.05
    else:
        assert all(0.69 < sparsity < 0.71 for sparsity in by_layer)


def test_quantized_checkpoint_keeps_the_zeros_it_started_from(executed: tuple[Any, Path]) -> None:
    before = load(executed[1] / "net_after_global_iterative_prune.pt")
    after = load(executed[1] / "quantized_sparse_net_after_finetune_2bit.pt")
    pairs = [(prunable_layers(before)[name].weight, layer.weight) for name, layer in prunable_layers(after).items()]
    assert all(bool((new[old == 0] == 0).all()) for old, new in pairs)
    assert any(bool((new != old).any()) for old, new in pairs)


# --- What it prints fits answers.toml

TABLES = {
    "run-2a": ("2a",),
    "run-2b": ("2b",),
    "run-2c": ("2c",),
    "run-2d": ("2d", "numbers"),
    "run-2e": ("2e",),
    "run-3b": ("3b", "numbers"),
    "run-3c": ("3c", "numbers"),
    "run-3d": ("3d", "numbers"),
    "run-bonus": ("bonus",),
}


@pytest.mark.parametrize("cell_id", TABLES)
def test_printed_lines_are_the_keys_of_the_answers(executed: tuple[Any, Path], cell_id: str) -> None:
    printed = re.findall(r"^(\S+) = (\S+)$", output(executed[0], cell_id), flags=re.MULTILINE)
    numbers = tomllib.loads("\n".join(f"{key} = {value}" for key, value in printed))
    table = tomllib.loads((REFERENCE / "answers.toml").read_text(encoding="utf-8"))
    for name in TABLES[cell_id]:
        table = table[name]
    nested = table.get("zeros", {}) if cell_id == "run-2e" else {}
    assert set(numbers) == (set(table) | set(nested)) - {"prompt", "zeros"}
    assert all(0 <= value <= 100 for value in numbers.values())
