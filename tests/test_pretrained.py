"""The project's own pre-trained network: what its record says of it is so."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import train_util
from resnet20 import ResNetCIFAR
from safetensors.torch import load_file

from grader import locations
from grader.assignment import Assignment

WANTED = 0.88


@pytest.fixture(scope="module")
def record() -> Any:
    return json.loads(locations.pretrained().with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def net() -> ResNetCIFAR:
    network = ResNetCIFAR()
    network.load_state_dict(load_file(locations.pretrained()))
    return network


def test_the_record_is_of_this_file_and_of_the_rubrics_recipe(record: Any, assignment: Assignment) -> None:
    content = locations.pretrained().read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(content) < 1.3e6
    assert record["recipe"] == assignment.training.pretrain.model_dump(mode="json")
    assert record["seed"] == assignment.training.seed


def test_the_curve_has_every_epoch_and_ends_at_the_accuracy(record: Any) -> None:
    assert {name: len(values) for name, values in record["curve"].items()} == dict.fromkeys(
        ("train_loss", "train_accuracy", "test_accuracy"), record["recipe"]["epochs"]
    )
    assert record["accuracy"]["jpeg"] == record["curve"]["test_accuracy"][-1] >= WANTED
    assert record["accuracy"].keys() == {"jpeg", "lossless"}


def test_it_is_float32_finite_and_dense(net: ResNetCIFAR) -> None:
    for name, value in net.state_dict().items():
        assert value.dtype in (torch.float32, torch.int64), name
        assert bool(torch.isfinite(value).all()), name
        assert not name.endswith("conv.weight") or bool((value != 0).all()), name


def test_its_accuracy_is_what_the_record_says(
    net: ResNetCIFAR, record: Any, jpeg_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_util, "_user_cache", lambda: tmp_path)
    accuracy = train_util.evaluate_images(net, train_util.load_cifar10("test", jpeg_images))
    assert accuracy == pytest.approx(record["accuracy"]["jpeg"], abs=0.0005)
