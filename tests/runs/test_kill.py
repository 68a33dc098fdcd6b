"""Killed at any moment, ``grader runs all`` goes on from the last finished epoch and ends with the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.conftest import ROOT

KILLS = 10


def _command(rubric: Path, images: Path, out: Path) -> list[str]:
    options = ["--assignment", rubric, "--data", images, "--out", out, "--precision", "float32", "--device", "cpu"]
    return [sys.executable, "-c", "from grader.cli import main; main()", "runs", "all", "--extras", *map(str, options)]


def _environment(cache: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONUNBUFFERED": "1"}


def _numbers(out: Path) -> dict[str, object]:
    """Everything that a run leaves for good, without what the clock decides."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        if path.name in ("net.safetensors", "best.safetensors", "outcome.json"):
            found[str(path.relative_to(out))] = path.read_bytes()
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[str(path.relative_to(out))] = [{**line, "images_per_second": None} for line in lines]
    return found


def test_ten_kills_change_no_number(tmp_path: Path, short_rubric: Path, images: Path) -> None:
    environment = _environment(tmp_path / "cache")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(_command(short_rubric, images, whole), cwd=ROOT, env=environment, check=True, capture_output=True)
    random = np.random.default_rng(0)
    for _ in range(KILLS):
        with subprocess.Popen(
            _command(short_rubric, images, killed), cwd=ROOT, env=environment, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the libraries are loaded, and something is on the disk
            time.sleep(random.uniform(0, 0.3))
            assert process.poll() is None, "it ended before it was killed: the experiments are too short"
            process.kill()
    left = [path.name for path in killed.rglob("outcome.json")]
    subprocess.run(_command(short_rubric, images, killed), cwd=ROOT, env=environment, check=True, capture_output=True)
    expected = _numbers(whole)
    assert len(left) < sum(name.endswith("outcome.json") for name in expected)
    assert _numbers(killed) == expected
