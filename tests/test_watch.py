"""``--watch``: which parts a saved file concerns, and that saving one grades it again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.watch import changed_parts, noting_interrupts, parts_of
from tests.conftest import ROOT

PARTS = ["p1.1", "1a", "1f", "2a", "3a", "3b", "3d", "bonus"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"lab1_sparse_optimization.py"}, ["1a", "1f"]),
        ({"lab2_pruning.py"}, ["2a"]),
        ({"FP_layers.py"}, ["3a", "3b", "3d", "bonus"]),
        ({"lab3_quantization.py"}, ["3b", "3d"]),
        ({"answers.toml"}, ["p1.1"]),
        ({"answers.toml", "lab2_pruning.py"}, ["p1.1", "2a"]),
        ({"hw4.ipynb"}, PARTS),
        ({"notes.txt", "lab1_sparse_optimization.py~"}, []),
    ],
)
def test_the_parts_of_a_file(names: set[str], expected: list[str]) -> None:
    assert parts_of(names, PARTS) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"answers.toml"}, ["p1.1", "2a", "2c", "3b", "3d", "bonus"]),
        ({"net_after_finetune.pt"}, ["2c"]),
        ({"Lab 3(d)/qat_4bit.pt"}, ["3d"]),
        ({"hw4/quantized_net_after_finetune.safetensors", "best.pt"}, ["3d"]),
        ({"lab2_pruning.py"}, ["2a", "2c"]),
    ],
)
def test_the_full_profile_grades_networks_and_numbers_again(names: set[str], expected: list[str]) -> None:
    parts = ["p1.1", "1a", "2a", "2c", "3b", "3d", "bonus"]
    assert parts_of(names, parts, full=True) == expected


class _Interrupting:
    """Interrupts the process while it is finalized, where Python drops the KeyboardInterrupt."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_that_a_finalizer_swallows_still_ends_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swallowed: list[sys.UnraisableHookArgs] = []
    monkeypatch.setattr(sys, "unraisablehook", swallowed.append)
    with noting_interrupts() as interrupted:
        _Interrupting()
        assert [hook.exc_type for hook in swallowed] == [KeyboardInterrupt]
        assert not list(changed_parts(tmp_path, PARTS, interrupted))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="interrupting a child process differs on Windows")
def test_saving_a_file_grades_it_again(tmp_path: Path) -> None:
    work, result = tmp_path / "work", tmp_path / "report.json"
    shutil.copytree(ROOT / "student_template", work)
    command = [sys.executable, "-c", "from grader.cli import main; main()", "check", str(work), "--watch"]
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([*command, "--json", str(result)], stdout=log, stderr=log)
    try:
        _wait(lambda: b"Watching" in (tmp_path / "log").read_bytes(), 120)
        assert json.loads(result.read_text())["score"] == 0
        first = result.stat().st_mtime_ns
        shutil.copy(ROOT / "reference" / "lab1_sparse_optimization.py", work)
        _wait(lambda: result.stat().st_mtime_ns != first, 60)
        report = json.loads(result.read_text())
        scores = {part["id"]: part["score"] for part in report["parts"]}
        assert (report["score"], report["max_score"]) == (23, 79)
        assert (scores["1e"], scores["2a"]) == (5, 0)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
