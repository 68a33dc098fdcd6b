"""Evaluating a checkpoint on the 10,000 test images against the plain loop of most notebooks.

Target: at least 2.2 times the images per second, in one run, in the precision that is fastest on this processor. In
float32 the predictions are the same, in bfloat16 at most a few in a thousand differ.
The plain loop: decoded PIL images in memory, ToTensor and Normalize for each image, a DataLoader with batches
of 100 and 0 or 2 workers, whichever is faster. Rounds alternate, so that a busy machine slows all of them.
"""

from __future__ import annotations

import functools
import statistics
import time
from pathlib import Path

import pytest
import torch
import train_util
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from resnet20 import ResNetCIFAR
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from tests.conftest import SHARED_DATA

TARGET = 2.2
ROUNDS = 5
STEP = 2  # every second image is timed; the predictions are compared on all
DIFFERENT = 0.005


class PlainImages(Dataset[tuple[Tensor, int]]):
    """The images as PIL images in memory, transformed one by one."""

    def __init__(self, images: train_util.ImageSet) -> None:
        self.images = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images.images]
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(train_util.MEAN, train_util.STD)]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index]), self.labels[index]


def evaluate_plainly(net: nn.Module, images: PlainImages, workers: int) -> float:
    net.eval()
    correct = 0
    with torch.no_grad():
        for inputs, targets in DataLoader(images, batch_size=100, num_workers=workers):
            correct += (net(inputs).argmax(dim=1) == targets).sum().item()
    return correct / len(images)


@pytest.fixture(scope="module")
def images(jpeg_images: Path, tmp_path_factory: pytest.TempPathFactory) -> train_util.ImageSet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_util, "_user_cache", lambda: tmp_path_factory.mktemp("user-cache"))
        return train_util.load_cifar10("test", jpeg_images)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    checkpoint = SHARED_DATA / "checkpoints" / "course_pretrained.pt"
    if not checkpoint.is_file():
        pytest.skip("the course's checkpoint is not beside the repository")
    network = ResNetCIFAR()
    network.load_state_dict(torch.load(checkpoint, weights_only=True, map_location="cpu"))
    return network


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the workers of the plain loop, from Python 3.12
def test_evaluation_is_faster_than_the_plain_loop(
    benchmark: BenchmarkFixture, net: nn.Module, images: train_util.ImageSet
) -> None:
    with torch.no_grad():
        loader = DataLoader(PlainImages(images), batch_size=100)
        predictions = torch.cat([net.eval()(inputs).argmax(dim=1) for inputs, _ in loader])
    predicted = train_util.ImageSet(images.images, predictions, images.classes)
    assert train_util.evaluate_images(net, predicted) == 1
    assert train_util.evaluate_images(net, predicted, precision="bfloat16") >= 1 - DIFFERENT

    part = train_util.ImageSet(images.images[::STEP], images.labels[::STEP], images.classes)
    plain_part = PlainImages(part)
    plain_times: dict[int, list[float]] = {0: [], 2: []}

    def plain_rounds() -> None:
        for workers, times in plain_times.items():
            start = time.perf_counter()
            evaluate_plainly(net, plain_part, workers)
            times.append(time.perf_counter() - start)

    evaluate = functools.partial(train_util.evaluate_images, net, part, precision="auto")
    benchmark.pedantic(evaluate, setup=plain_rounds, rounds=ROUNDS)
    plain_time = min(statistics.median(times) for times in plain_times.values())
    time_taken = benchmark.stats.stats.median
    ratio = plain_time / time_taken
    rates = {
        "plain_images_per_second": round(len(part) / plain_time),
        "images_per_second": round(len(part) / time_taken),
        "precision": train_util.fastest_precision("cpu"),
        "ratio": round(ratio, 2),
    }
    benchmark.extra_info.update(rates)
    print(rates)
    assert ratio >= TARGET, rates
