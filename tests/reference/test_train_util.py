"""reference/train_util.py: on tiny image folders, a tiny fake of torchvision's files, and the real test images."""

from __future__ import annotations

import hashlib
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import train_util
from PIL import Image
from resnet20 import ResNetCIFAR
from torch import Tensor, nn
from torchvision import transforms
from torchvision.datasets import CIFAR10
from train_util import ImageSet, Loader, Recipe, evaluate_images, load_cifar10

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the cache, the data or the files of the person who runs it."""
    cache = tmp_path / "user-cache" / "cifar10"
    monkeypatch.setattr(train_util, "_user_cache", lambda: cache)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return cache


def random_pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def write_folder(root: Path, per_class: int = 2, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """An image folder of lossless images; returns the test images (N, 32, 32, 3) in the order of the classes."""
    for split, seed in (("train", 1), ("test", 2)):
        pixels = random_pixels(per_class * len(classes), seed)
        for index, image in enumerate(pixels):
            folder = root / split / sorted(classes)[index // per_class]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{index % per_class:04d}.png")
    return pixels


def write_batches(root: Path) -> dict[str, str]:
    """The files of torchvision's CIFAR-10, with one random image per class in each; returns their checksums."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    contents: dict[str, object] = {"batches.meta": {"label_names": list(CLASSES)}}
    for seed, name in enumerate(["test_batch", *(f"data_batch_{number}" for number in range(1, 6))]):
        data = random_pixels(10, seed).transpose(0, 3, 1, 2).reshape(10, 3072)
        contents[name] = {"data": data, "labels": list(range(10))}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in contents}


@pytest.fixture
def fake_checksums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision takes the files of ``write_batches`` for the real ones."""
    sums = write_batches(tmp_path / "for-checksums")
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in sums if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})


def image_set(count: int = 10, seed: int = 0) -> ImageSet:
    images = torch.from_numpy(random_pixels(count, seed)).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.arange(count) % 10, CLASSES)


def small_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return ResNetCIFAR(num_layers=8, width=4)


# --- Finding and loading


def test_image_folder(tmp_path: Path) -> None:
    pixels = write_folder(tmp_path / "data", per_class=2)
    (tmp_path / "data" / "test" / ".DS_Store").write_bytes(b"")
    (tmp_path / "data" / "test" / "cat" / "notes.txt").write_text("no image")
    loaded = load_cifar10("test", tmp_path / "data")
    assert loaded.classes == CLASSES
    assert loaded.images.dtype == torch.uint8
    assert np.array_equal(loaded.images.permute(0, 2, 3, 1), pixels)
    assert loaded.labels.tolist() == [index // 2 for index in range(20)]
    assert len(load_cifar10("train", str(tmp_path / "data"))) == 20


def test_a_class_without_test_images_shifts_no_label(tmp_path: Path) -> None:
    write_folder(tmp_path, per_class=1)
    (tmp_path / "test" / "airplane" / "0000.png").unlink()
    (tmp_path / "test" / "airplane").rmdir()
    assert load_cifar10("test", tmp_path).labels.tolist() == list(range(1, 10))


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
@pytest.mark.usefixtures("fake_checksums")
def test_torchvision_files(tmp_path: Path, inside: str) -> None:
    write_batches(tmp_path / "data")
    test_set = load_cifar10("test", tmp_path / "data" / inside)
    assert np.array_equal(test_set.images.permute(0, 2, 3, 1), random_pixels(10, seed=0))
    assert test_set.classes == CLASSES
    assert test_set.labels.tolist() == list(range(10))
    assert len(load_cifar10("train", tmp_path / "data" / inside)) == 50


def test_order_of_the_places(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for count, place in enumerate((tmp_path / "given", tmp_path / "environment", own_cache), start=1):
        write_folder(place, per_class=count, classes=("cat", "dog"))
    assert len(load_cifar10("test")) == 6
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "environment"))
    assert len(load_cifar10("test")) == 4
    assert len(load_cifar10("test", tmp_path / "given")) == 2
    with pytest.raises(FileNotFoundError):  # never silently other images than those asked for
        load_cifar10("test", tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("platform", "variable", "value", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "/caches", "/caches/cifar10"),
        ("linux", "XDG_CACHE_HOME", "", "/home/ada/.cache/cifar10"),
        ("darwin", "XDG_CACHE_HOME", "/caches", "/home/ada/Library/Caches/cifar10"),
        ("win32", "LOCALAPPDATA", "/local", "/local/cifar10"),
        ("win32", "LOCALAPPDATA", "", "/home/ada/AppData/Local/cifar10"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="the expected paths are POSIX paths")
def test_user_cache(platform: str, variable: str, value: str, expected: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.undo()
    original = _user_cache_of_the_module()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.platform", platform)
        patch.setenv("HOME", "/home/ada")
        patch.setenv(variable, value)
        assert original() == Path(expected)
