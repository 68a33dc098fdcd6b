"""Files that a disk has damaged since they were written count as not there; nothing breaks, and no number changes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save
from typer.testing import CliRunner

from grader.assignment import Assignment
from grader.cli import app
from grader.errors import GraderError
from grader.runs.code import Code
from grader.runs.execute import Executor
from grader.runs.networks import pack, unpack
from grader.runs.plan import Run
from grader.runs.pretrained import keep
from tests.runs.conftest import Silence

Damage = Callable[[bytes], bytes]


def with_tensor(name: str, value: torch.Tensor) -> Damage:
    """A snapshot with another value of a tensor."""

    def damage(content: bytes) -> bytes:
        path = Path("damaged.safetensors")
        path.write_bytes(content)
        tensors, facts = unpack(path) or ({}, {})
        return pack({**tensors, name: value}, **facts)

    return damage


def flipped(content: bytes) -> bytes:
    """With another bit in its last number."""
    return content[:-1] + bytes([content[-1] ^ 1])


def line(epoch: int) -> bytes:
    """Of the metrics."""
    return json.dumps({"epoch": epoch, "train_loss": 1, "train_accuracy": 0, "test_accuracy": 0,
                       "images_per_second": 1}).encode()  # fmt: skip


ENDED = {
    "outcome.json": {
        "empty": lambda content: b"",
        "truncated": lambda content: content[:40],
        "other fields": lambda content: b'{"accuracy": 0.5}',
        "one field more": lambda content: content.replace(b'"accuracy"', b'"lucky": true, "accuracy"'),
        "no fraction": lambda content: content.replace(b'"accuracy": 0', b'"accuracy": 10'),
        "no text": lambda content: b"\xff\0",
    },
    "net.safetensors": {
        "empty": lambda content: b"",
        "truncated": lambda content: content[:-1],
        "a bit flipped": flipped,
        "another network": lambda content: pack({"weight": torch.zeros(2)}),
        "by another program": lambda content: save(load(content)),
        "in bfloat16": lambda content: pack({name: value.bfloat16() for name, value in load(content).items()}),
    },
}
SNAPSHOT = {
    "last.safetensors": {
        "truncated": lambda content: content[:-1],
        "a bit flipped": flipped,
        "no epoch": lambda content: pack({"generator": torch.Generator().get_state()}),
        "another network": lambda content: pack({"generator": torch.Generator().get_state()}, epoch="1"),
        "another shape": with_tensor("net.final_fc.linear.bias", torch.zeros(3)),
        "a momentum of nothing": with_tensor("momentum.weight", torch.zeros(3)),
        "no state of a generator": with_tensor("generator", torch.zeros(3)),
    },
    "metrics.jsonl": {
        "empty": lambda content: b"",
        "truncated": lambda content: content[:-9],
        "no text": lambda content: content[:20] + b"\xff\0" + content[22:],
        "another order": lambda content: line(2) + b"\n" + line(1),
        "no numbers": lambda content: b'{"epoch": 1}\n{"epoch": 2}\n',
    },
}


def cases(damages: dict[str, dict[str, Damage]]) -> list[object]:
    return [
        pytest.param(file, damage, id=f"{file}: {name}")
        for file, kinds in damages.items()
        for name, damage in kinds.items()
    ]


@pytest.fixture(scope="module")
def ended(code: Code, short: Assignment, images: Path, runs: dict[str, Run], tmp_path_factory: pytest.TempPathFactory
          ) -> Path:  # fmt: skip
    """Where a pre-training is kept."""
    made = Executor(code, short, tmp_path_factory.mktemp("ended"), images, precision="float32")
    made.carry_out(runs["pretrain"], runs, Silence())
    return made.root


@pytest.fixture
def folder(ended: Path, executor: Executor, runs: dict[str, Run], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which may be damaged."""
    shutil.copytree(ended, executor.root)
    monkeypatch.chdir(executor.root)
    return executor.folder(runs["pretrain"], runs)


def spoil(path: Path, damage: Damage) -> None:
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize(("file", "damage"), cases(ENDED))
def test_a_run_whose_result_is_damaged_is_ended_again(
    folder: Path, executor: Executor, runs: dict[str, Run], file: str, damage: Damage
) -> None:
    """From its last epoch: nothing is trained twice."""
    before = {name: (folder / name).read_bytes() for name in ENDED}
    spoil(folder / file, damage)
    assert executor.outcome(runs["pretrain"], runs) is None
    assert executor.damage(runs["pretrain"], runs).startswith(f"{folder / file} is missing or damaged")
    watch = Silence()
    executor.carry_out(runs["pretrain"], runs, watch)
    assert watch.epochs == 0
    assert executor.damage(runs["pretrain"], runs) == ""
    assert {name: (folder / name).read_bytes() for name in ENDED} == before


@pytest.mark.parametrize(("file", "damage"), cases(SNAPSHOT))
def test_a_run_that_cannot_go_on_starts_again(
    folder: Path, executor: Executor, runs: dict[str, Run], file: str, damage: Damage
) -> None:
    before = {name: (folder / name).read_bytes() for name in ENDED}
    (folder / "outcome.json").unlink()
    spoil(folder / file, damage)
    watch = Silence()
    executor.carry_out(runs["pretrain"], runs, watch)
    assert watch.epochs == 2
    assert {name: (folder / name).read_bytes() for name in ENDED} == before


def test_half_a_line_after_the_last_epoch_is_dropped(folder: Path, executor: Executor, runs: dict[str, Run]) -> None:
    """No snapshot came after it, so its epoch is trained in any case."""
    (folder / "outcome.json").unlink()
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(line(3)[:20])
    watch = Silence()
    executor.carry_out(runs["pretrain"], runs, watch)
    assert watch.epochs == 0


def test_an_unknown_precision_is_measured_again(executor: Executor, runs: dict[str, Run], tmp_path: Path) -> None:
    auto = Executor(executor.code, executor.assignment, tmp_path, executor.data)
    folder = auto.folder(runs["pretrain"], runs)
    folder.mkdir(parents=True)
    (folder / "precision").write_bytes(b"\xff")
    assert auto._precision(folder).encode() == (folder / "precision").read_bytes()


def test_a_descendant_says_which_network_it_lacks(folder: Path, executor: Executor, runs: dict[str, Run]) -> None:
    (folder / "net.safetensors").unlink()
    with pytest.raises(GraderError, match="float starts from pretrain, whose network is missing or damaged"):
        executor.carry_out(runs["float"], runs, Silence())


def test_what_only_reads_says_what_it_leaves_out(
    folder: Path, executor: Executor, runs: dict[str, Run], short_rubric: Path, images: Path, tmp_path: Path
) -> None:
    for name in ("float", "ptq-3", "ptq-2"):
        executor.carry_out(runs[name], runs, Silence())
    damaged = executor.folder(runs["ptq-3"], runs) / "net.safetensors"
    spoil(damaged, lambda content: content[:-1])
    (folder / "metrics.jsonl").unlink()
    options = ["--assignment", short_rubric, "--data", images, "--out", executor.root, "--precision", "float32",
               "--device", "cpu"]  # fmt: skip
    told = f"{damaged} is missing or damaged, so ptq-3 is not counted: `grader runs run ptq-3` mends it\n"
    for command in (["table"], ["figures", tmp_path / "figures"], ["submission", tmp_path / "mine"]):
        result = CliRunner().invoke(app, ["runs", *map(str, [*command, *options])], catch_exceptions=False)
        assert (result.exit_code, told in result.stderr) == (0, True), result.output
        assert ("so pretrain has no training curve" in result.stderr) == (command[0] == "figures")
    with pytest.raises(GraderError, match=r"metrics\.jsonl is missing or damaged"):
        keep(folder, executor.assignment.training, "jpeg", tmp_path / "kept.safetensors")
