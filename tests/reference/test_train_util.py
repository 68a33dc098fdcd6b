"""reference/train_util.py, on tiny image folders, a fake of torchvision's files, and the real test images."""

from __future__ import annotations

import copy
import hashlib
import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
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

from tests.conftest import SHARED_DATA
from tests.images import CLASSES, random_pixels, write_folder

USER_CACHE = train_util._user_cache  # the fixture own_cache takes its place


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the cache, the data or the files of the person who runs it."""
    cache = tmp_path / "user-cache" / "cifar10"
    monkeypatch.setattr(train_util, "_user_cache", lambda: cache)
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return cache


def write_batches(root: Path) -> dict[str, str]:
    """torchvision's files with one random image per class in each; returns their checksums."""
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
def test_user_cache(platform: str, variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv(variable, value)
    assert USER_CACHE() == Path(expected)


def test_user_cache_of_an_account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert USER_CACHE().is_absolute()


def test_missing_data_says_what_to_do(own_cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="set CIFAR10_DIR to where it is, or pass download=True") as caught:
        load_cifar10("train")
    assert str(own_cache) in str(caught.value)


def test_missing_split(tmp_path: Path) -> None:
    (tmp_path / "test" / "cat").mkdir(parents=True)
    for split in ("train", "test"):
        with pytest.raises(FileNotFoundError, match=f"{split} has no images: put them there as"):
            load_cifar10(split, tmp_path)


def test_unknown_split() -> None:
    with pytest.raises(ValueError, match="split is 'val', but must be 'train' or 'test'"):
        load_cifar10("val")  # type: ignore[arg-type]


@pytest.mark.usefixtures("fake_checksums")
def test_download_when_asked(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "download", lambda self: write_batches(Path(self.root)))
    assert len(load_cifar10("test", download=True)) == 10
    assert (own_cache / "cifar-10-batches-py").is_dir()
    assert len(load_cifar10("train")) == 50  # found from now on


def test_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(self: CIFAR10) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(CIFAR10, "download", download)
    with pytest.raises(ConnectionError, match=r"could not be downloaded to .*no route to host.*; try again"):
        load_cifar10("test", tmp_path, download=True)


def test_damaged_torchvision_files(tmp_path: Path) -> None:
    write_batches(tmp_path)  # with checksums other than torchvision's
    with pytest.raises(ValueError, match="cifar-10-batches-py is incomplete or damaged: delete it"):
        load_cifar10("test", tmp_path)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_broken_image(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path, per_class=1)
    (tmp_path / "test" / "cat" / "0001.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"0001\.png cannot be read as an image .*: replace or delete it"):
        load_cifar10("test", tmp_path)


def test_image_of_another_size(tmp_path: Path) -> None:
    write_folder(tmp_path, per_class=1)
    Image.new("RGB", (40, 30)).save(tmp_path / "test" / "cat" / "0001.png")
    with pytest.raises(ValueError, match="has 40 x 30 pixels, but must have 32 x 32"):
        load_cifar10("test", tmp_path)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_images_of_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    (tmp_path / "test" / "cat").mkdir(parents=True)
    Image.new("RGB", (32, 32), (255, 255, 255)).convert(mode).save(tmp_path / "test" / "cat" / "grey.PNG")
    assert (load_cifar10("test", tmp_path).images == 255).all()


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 3, 32, 32), torch.zeros(2, dtype=torch.int64), "images is torch.float32"),
        (
            torch.zeros(2, 32, 32, 3, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.int64),
            "images is torch.uint8",
        ),
        (torch.zeros(0, 3, 32, 32, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), "N at least 1"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), "one per image"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2), "labels is torch.float32"),
    ],
)
def test_image_set_validates(images: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageSet(images, labels, CLASSES)


# --- The cache of decoded images


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were decoded, one entry each time."""
    files: list[Path] = []
    original = train_util._decode
    monkeypatch.setattr(train_util, "_decode", lambda file: files.append(file) or original(file))
    return files


def test_images_are_decoded_once(tmp_path: Path, own_cache: Path, decoded: list[Path]) -> None:
    write_folder(tmp_path, per_class=1)
    first = load_cifar10("test", tmp_path)
    assert len(decoded) == 10
    again = load_cifar10("test", tmp_path)
    assert len(decoded) == 10
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert [file.suffix for file in own_cache.iterdir()] == [".npz"]  # complete, and nothing left over


@pytest.mark.parametrize("change", ["touched", "renamed", "added"])
def test_changed_folder_is_decoded_again(tmp_path: Path, own_cache: Path, decoded: list[Path], change: str) -> None:
    write_folder(tmp_path, per_class=1)
    load_cifar10("test", tmp_path)
    file = tmp_path / "test" / "cat" / "0000.png"
    if change == "touched":
        os.utime(file, ns=(1, 1))
    elif change == "renamed":
        file.rename(file.with_name("0001.png"))
    else:
        Image.new("RGB", (32, 32)).save(file.with_name("0001.png"))
    decoded.clear()
    loaded = load_cifar10("test", tmp_path)
    assert len(decoded) == len(loaded) == (11 if change == "added" else 10)
    assert len(list(own_cache.iterdir())) == 1  # written anew, not piled up


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped"])
def test_broken_cache_is_rebuilt(tmp_path: Path, own_cache: Path, decoded: list[Path], damage: str) -> None:
    write_folder(tmp_path, per_class=1)
    before = load_cifar10("test", tmp_path)
    (cache,) = own_cache.iterdir()
    content = bytearray(cache.read_bytes())
    content[len(content) // 2] ^= 1
    cache.write_bytes({"empty": b"", "truncated": bytes(content[:5000]), "flipped": bytes(content)}[damage])
    assert torch.equal(load_cifar10("test", tmp_path).images, before.images)
    assert len(decoded) == 20
    load_cifar10("test", tmp_path)
    assert len(decoded) == 20


def test_cache_that_cannot_be_written_only_costs_time(tmp_path: Path, own_cache: Path) -> None:
    own_cache.parent.mkdir()
    own_cache.write_text("a file where the directory should be")
    write_folder(tmp_path, per_class=1)
    assert len(load_cifar10("test", tmp_path)) == 10


# --- Batches


def test_batches_equal_those_of_torchvision() -> None:
    data = image_set(10)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(train_util.MEAN, train_util.STD)])
    expected = torch.stack([transform(image.permute(1, 2, 0).numpy()) for image in data.images])
    loader = Loader(data, batch_size=4)
    batches = list(loader)
    assert [len(targets) for _, targets in batches] == [4, 4, 2]
    assert len(loader) == 3
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), expected)
    assert torch.equal(torch.cat([targets for _, targets in batches]), data.labels)
    assert batches[0][0].dtype == torch.float32
    assert batches[0][0].is_contiguous()
    assert batches[0][1].dtype == torch.int64


def test_batch_size_is_validated() -> None:
    with pytest.raises(ValueError, match="batch_size is 0, but must be at least 1"):
        Loader(image_set(), 0)


def order_of(loader: Loader) -> list[int]:
    return torch.cat([targets for _, targets in loader]).tolist()


def test_shuffled_epochs_differ_but_runs_repeat() -> None:
    data = ImageSet(torch.zeros(50, 3, 32, 32, dtype=torch.uint8), torch.arange(50), CLASSES)
    torch.manual_seed(1)
    first = Loader(data, 8, shuffle=True, seed=3)
    epochs = [order_of(first), order_of(first)]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = Loader(data, 8, shuffle=True, seed=3)
    assert [order_of(second), order_of(second)] == epochs
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(50))
    assert order_of(Loader(data, 8, shuffle=True, seed=4)) != epochs[0]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone


def test_an_epoch_left_early_does_not_change_the_next() -> None:
    whole, partial = (Loader(image_set(), 3, shuffle=True, augment=True, seed=5) for _ in range(2))
    list(whole)
    next(iter(partial))
    for (expected, _), (got, _) in zip(whole, partial, strict=True):
        assert torch.equal(expected, got)


def test_crops_and_flips_are_those_of_each_image() -> None:
    images = image_set(200).images
    generator = torch.Generator().manual_seed(0)
    corners = torch.randint(0, 9, (200, 2), generator=generator)
    flips = torch.randint(0, 2, (200,), generator=generator).bool()
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    expected = torch.stack(
        [
            padded[index, :, top : top + 32, left : left + 32].flip(2 if flip else ())
            for index, ((top, left), flip) in enumerate(zip(corners.tolist(), flips.tolist(), strict=True))
        ]
    )
    cropped = train_util._crop_and_flip(images, corners, flips)
    assert torch.equal(cropped, expected)
    assert cropped.is_contiguous()  # with the channels last, torch's gradients can corrupt memory


def test_augmentation_reaches_every_corner_and_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr(
        train_util, "_crop_and_flip", lambda images, corners, flips: seen.append((corners, flips)) or images
    )
    list(Loader(image_set(1000), 100, augment=True))
    corners, flips = (torch.cat(parts) for parts in zip(*seen, strict=True))
    assert len(corners.unique(dim=0)) == 81
    assert 400 < int(flips.sum()) < 600


# --- Test accuracy


class Mode(nn.Module):
    """Answers class 0 and records in which mode it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, inputs: Tensor) -> Tensor:
        self.modes.append((self.training, torch.is_grad_enabled()))
        return torch.eye(10)[torch.zeros(len(inputs), dtype=torch.int64)]


def test_accuracy_counts_a_last_partial_batch_rightly() -> None:
    images = torch.zeros(5, 3, 32, 32, dtype=torch.uint8)
    data = ImageSet(images, torch.tensor([0, 0, 1, 1, 0]), CLASSES)
    for batch_size in (None, 1, 2, 3, 4, 5, 6):
        assert evaluate_images(Mode(), data, batch_size) == 3 / 5


def test_evaluation_leaves_the_network_as_it_was() -> None:
    net = small_net().train()
    net.head_conv[1].eval()  # a frozen BatchNorm
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    evaluate_images(net, image_set(), 4)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())


def test_evaluation_is_in_evaluation_mode_without_gradients() -> None:
    net = Mode().train()
    evaluate_images(net, image_set(), 4)
    assert net.modes == [(False, False)] * 3
    assert net.training


def test_folding_keeps_the_logits_and_takes_batchnorm_out() -> None:
    net = small_net()
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for _ in range(3):  # statistics of its own
        net.train()(inputs)
    folded = train_util._folded(net.eval(), inputs)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert torch.allclose(folded(inputs), net(inputs), atol=1e-5)


class Scaled(nn.Module):
    """Every call has another scale, whereas a traced copy keeps that of the tracing."""

    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, inputs: Tensor) -> Tensor:
        Scaled.calls += 1
        return self.bn(self.conv(inputs)).mean(dim=(2, 3)) * Scaled.calls


def test_what_cannot_be_folded_is_evaluated_as_it_is() -> None:
    inputs = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    quantized = ResNetCIFAR(8, Nbits=4).eval()
    scaled, heard = Scaled().eval(), small_net().eval()
    heard.body_op[0].register_forward_hook(lambda *_: None)
    for net in (quantized, scaled, heard):
        assert train_util._folded(net, inputs) is net


def test_mode_is_restored_after_an_error() -> None:
    net = nn.Sequential(nn.Linear(1, 1)).train()
    with pytest.raises(RuntimeError):
        evaluate_images(net, image_set())
    assert net.training


def test_test_prints_and_returns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, per_class=1)
    assert train_util.test(Mode(), directory=tmp_path, device="cpu") == 0.1
    assert capsys.readouterr().out == "test accuracy 10.00%\n"


def test_pick_device() -> None:
    assert train_util.pick_device().type in ("cuda", "mps", "cpu")


# --- Layout and precision


class Seen(nn.Module):
    """One weight; records the layout and the precision in which it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.seen: list[tuple[bool, torch.dtype]] = []

    def forward(self, images: Tensor) -> Tensor:
        logits = self.layer(images.mean(dim=1).flatten(1))
        self.seen.append((images.is_contiguous(memory_format=torch.channels_last), logits.dtype))
        return logits


@pytest.mark.parametrize(("precision", "inside"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_accelerated_brings_channels_together_and_keeps_float32_outside(
    precision: train_util.Precision, inside: torch.dtype
) -> None:
    net, images = Seen(), torch.rand(3, 3, 2, 2)
    with train_util.accelerated(net, precision):
        logits = net(images)
    logits.sum().backward()
    net(images)
    assert net.seen == [(True, inside), (False, torch.float32)]
    assert logits.dtype == net.layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("inner", ["float32", "bfloat16"])
def test_accelerated_twice_leaves_no_precision_behind(inner: train_util.Precision) -> None:
    """As an evaluation does within an accelerated training."""
    net = Seen()
    with train_util.accelerated(net, "bfloat16"), train_util.accelerated(net, inner):
        net(torch.rand(1, 3, 2, 2))
        assert not torch.is_autocast_enabled("cpu")
    assert net.seen == [(True, getattr(torch, inner))]


def test_accelerated_reaches_copies_and_survives_errors() -> None:
    """Students evaluate on copies of their network; a network that fails leaves no precision behind."""
    net = Seen()
    with train_util.accelerated(net, "bfloat16"):
        copied = copy.deepcopy(net)
        copied(torch.rand(1, 3, 2, 2))
        with pytest.raises(RuntimeError):
            net(torch.rand(1, 3, 9, 9))
        assert not torch.is_autocast_enabled("cpu")
    assert copied.seen == [(True, torch.bfloat16)]
    assert net.seen == []


@pytest.mark.parametrize("allowed", [True, False])
def test_float32_leaves_out_tensor_float_32_and_puts_back_what_was(
    allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch of CUDA's convolutions, which can be set without CUDA."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    net = ResNetCIFAR(num_layers=8)
    with train_util.accelerated(net, "float32"):
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32 is allowed
    with train_util.accelerated(net, "bfloat16"):
        assert torch.backends.cudnn.allow_tf32 is allowed


def test_layouts_that_corrupt_memory_are_not_chosen() -> None:
    inputs = torch.rand(1, 3, 8, 8)
    for width, together in ((6, False), (16, True)):
        net = ResNetCIFAR(num_layers=8, width=width)
        seen: list[bool] = []
        net.head_conv.register_forward_pre_hook(
            lambda _, given, seen=seen: seen.append(given[0].is_contiguous(memory_format=torch.channels_last))
        )
        with train_util.accelerated(net, "float32"):
            net(inputs)
        assert seen == [together]


@pytest.mark.parametrize(("seconds", "chosen"), [((1.0, 0.5), "bfloat16"), ((1.0, 0.95), "float32")])
def test_the_fastest_precision_of_a_cpu_is_measured(
    seconds: tuple[float, float], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = dict(zip(("float32", "bfloat16"), seconds, strict=True))
    monkeypatch.setattr(train_util, "_seconds_of_steps", lambda layers, inputs, precision: taken[precision])
    train_util.fastest_precision.cache_clear()
    assert train_util.fastest_precision("cpu") == chosen
    train_util.fastest_precision.cache_clear()


def test_what_else_the_machine_does_does_not_choose_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(nn.Module):
        threads = 0

        def forward(self, x: Tensor) -> Tensor:
            Waiting.threads = torch.get_num_threads()
            time.sleep(0.1)
            return x

    assert train_util._seconds_of_steps(Waiting(), torch.ones(1, 1, 1, 1, requires_grad=True), "float32") < 0.1
    before = torch.get_num_threads()
    monkeypatch.setattr(train_util.nn, "ReLU", Waiting)
    train_util.fastest_precision.cache_clear()
    train_util.fastest_precision("cpu")
    train_util.fastest_precision.cache_clear()
    assert (Waiting.threads, torch.get_num_threads()) == (1, before)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_the_fastest_precision_is_measured_where_gradients_are_off(
    off: Callable[[], AbstractContextManager[None]],
) -> None:
    train_util.fastest_precision.cache_clear()
    before = torch.get_rng_state()
    with off():
        assert train_util.fastest_precision("cpu") in ("float32", "bfloat16")
    assert torch.equal(torch.get_rng_state(), before)
    train_util.fastest_precision.cache_clear()


def test_the_first_evaluation_may_be_in_the_fastest_precision() -> None:
    train_util.fastest_precision.cache_clear()
    assert 0 <= evaluate_images(small_net(), image_set(20), precision="auto") <= 1


# --- Training


def test_training_learns_and_repeats() -> None:
    data = image_set(40)
    recipe = Recipe(epochs=8, batch_size=16, lr=0.05, reg=1e-4)
    nets = [small_net(), small_net()]
    first, second = (train_util.fit(net, data, data, recipe) for net in nets)
    assert [result.epoch for result in first] == list(range(1, 9))
    assert first[-1].train_loss < first[0].train_loss
    assert [result.train_loss for result in first] == [result.train_loss for result in second]
    assert first[-1].test_accuracy == evaluate_images(nets[0], data)
    assert all(0 <= result.train_accuracy <= 1 and result.seconds > 0 for result in first)


def test_checkpoint_holds_the_first_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies: Iterator[float] = iter([0.2, 0.5, 0.5, 0.3])
    states: list[dict[str, Tensor]] = []

    def evaluate(net: nn.Module, data: ImageSet) -> float:
        states.append({name: value.clone() for name, value in net.state_dict().items()})
        return next(accuracies)

    monkeypatch.setattr(train_util, "evaluate_images", evaluate)
    path = tmp_path / "new" / "best.pt"
    train_util.fit(small_net(), image_set(), image_set(), Recipe(4, 5, 0.1, 0.0), checkpoint=path)
    saved = torch.load(path, weights_only=True)
    assert saved.keys() == states[1].keys()
    assert all(torch.equal(saved[name], value) for name, value in states[1].items())
    assert [file.name for file in path.parent.iterdir()] == ["best.pt"]


def test_train_and_finetune_save_where_the_course_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "data", per_class=1)
    for function, name in (
        (train_util.train, "pretrained_model.pt"),
        (train_util.finetune, "net_after_finetune.pt"),
    ):
        results = function(small_net(), 1, 4, 0.01, 1e-4, directory=tmp_path / "data", device="cpu")
        assert small_net().load_state_dict(torch.load(tmp_path / name, weights_only=True))
        assert f"test accuracy {results[0].test_accuracy:.2%}" in capsys.readouterr().out


def test_options_of_finetune_reach_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path, per_class=1)
    seen: list[train_util.EpochResult] = []
    results = train_util.finetune(
        small_net(), epochs=2, directory=tmp_path, device="cpu", checkpoint=None, progress=seen.append
    )
    assert seen == results
    assert len(seen) == 2
    assert capsys.readouterr().out == ""
    assert not list(tmp_path.glob("*.pt"))


def test_learning_rate_falls_after_the_milestones() -> None:
    recipe = Recipe(epochs=8, batch_size=1, lr=0.1, reg=0.0, milestones=(0.5, 0.75))
    assert [recipe.lr_at(done) for done in range(8)] == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 2)
    assert Recipe(epochs=8, batch_size=1, lr=0.1, reg=0.0).lr_at(7.9) == 0.1


def test_learning_rate_of_one_cycle() -> None:
    recipe = Recipe(epochs=10, batch_size=1, lr=0.4, reg=0.0, warmup=0.2)
    assert [recipe.lr_at(done) for done in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 1, 0.1, 0.0), "epochs is 0, but must be at least 1"),
        ((1, 0, 0.1, 0.0), "batch_size is 0, but must be at least 1"),
        ((1, 1, 0.0, 0.0), "lr is 0.0, but must be greater than 0"),
        ((1, 1, float("nan"), 0.0), "lr is nan"),
        ((1, 1, 0.1, 0.0, 0.9, (), 0, 1.0), "warmup is 1.0, but must be in"),
        ((1, 1, 0.1, 0.0, 0.9, (0.5,), 0, 0.2), "warmup is 0.2, but must be .* 0 where there are milestones"),
    ],
)
def test_recipe_validates(values: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(*values)


def test_public_names() -> None:
    assert sorted(train_util.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == (
        train_util.__all__
    )
    assert all(hasattr(train_util, name) for name in train_util.__all__)


# --- The real test images


def test_course_checkpoint_on_the_real_test_images(jpeg_images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = SHARED_DATA / "checkpoints" / "course_pretrained.pt"
    if not checkpoint.is_file():
        pytest.skip("the course's checkpoint is not beside the repository")
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    net = ResNetCIFAR()
    assert len(state) == 128
    assert state.keys() == net.state_dict().keys()
    net.load_state_dict(state)
    accuracy = train_util.test(net, directory=jpeg_images, device="cpu")
    assert accuracy == pytest.approx(0.8093, abs=0.0005)
    assert capsys.readouterr().out.startswith("test accuracy 80.9")
