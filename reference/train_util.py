"""CIFAR-10, a training loop and the test accuracy. Provided, in one file.

The whole image set lies in memory as bytes, on the device that computes: 31 MB for the 10,000 test images,
154 MB for the 50,000 training images. Cropping, flipping and normalising then work on a batch at once, which
is faster than image by image. Accuracies are fractions in [0, 1].

    device = pick_device()
    trainloader = Loader(load_cifar10("train", device=device), batch_size=256, shuffle=True, augment=True)
    testloader = Loader(load_cifar10("test", device=device), batch_size=100)

CIFAR-10 is looked for in the directory that you give, else in the one that the environment variable
CIFAR10_DIR names, else in your user cache (on Linux ~/.cache/cifar10). There it is either torchvision's
``cifar-10-batches-py`` or a folder of images, ``train/<class>/*.png`` and ``test/<class>/*.png`` (or .jpg).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

__all__ = [
    "MEAN",
    "STD",
    "EpochResult",
    "ImageSet",
    "Loader",
    "Recipe",
    "accelerated",
    "evaluate_images",
    "fastest_precision",
    "finetune",
    "fit",
    "load_cifar10",
    "pick_device",
    "print_epoch",
    "test",
    "train",
    "train_epoch",
]

# Red, green, blue. A checkpoint works only with the constants of its training; these are the course's. (The
# standard deviation is a mean over images; that over all pixels, 0.2470 0.2435 0.2616, costs it a point.)
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2023, 0.1994, 0.2010)

SIZE = 32  # height and width of an image
PADDING = 4  # black pixels on every side of an image before a crop is taken from it

Split = Literal["train", "test"]


def pick_device() -> torch.device:
    """The fastest device of this machine: CUDA, Apple's MPS, or else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


# --- The image set


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in memory, all on one device.

    Attributes:
        images: uint8 (N, 3, 32, 32), values 0..255.
        labels: int64 (N,), indices into ``classes``.
        classes: the names of the classes, in alphabetical order (which is CIFAR-10's own).

    Raises:
        ValueError: a tensor has another shape or type, or there is no image.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.shape[1:] != (3, SIZE, SIZE) or not len(self.images):
            found = f"{self.images.dtype} {tuple(self.images.shape)}"
            raise ValueError(f"images is {found}, but must be torch.uint8 (N, 3, {SIZE}, {SIZE}), N at least 1")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            found = f"{self.labels.dtype} {tuple(self.labels.shape)}"
            raise ValueError(f"labels is {found}, but must be torch.int64 ({len(self.images)},), one per image")

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> ImageSet:
        """The same images on another device."""
        return ImageSet(self.images.to(device), self.labels.to(device), self.classes)


def load_cifar10(
    split: Split,
    directory: str | Path | None = None,
    *,
    device: torch.device | str = "cpu",
    download: bool = False,
) -> ImageSet:
    """Load the training or the test images of CIFAR-10 into memory.

    Args:
        split: "train" or "test".
        directory: where CIFAR-10 is; None: ``$CIFAR10_DIR``, else the user cache.
        device: where the images shall lie.
        download: whether to download CIFAR-10 (170 MB) into that directory if it is missing there.

    Raises:
        FileNotFoundError: it is not there, and ``download`` is False.
        ConnectionError: the download failed.
        ValueError: ``split`` is neither of the two, or what is there cannot be read.
    """
    if split not in ("train", "test"):
        raise ValueError(f"split is {split!r}, but must be 'train' or 'test'")
    root = _data_directory(directory)
    if (root / "train").is_dir() or (root / "test").is_dir():
        return _load_folder(root, split).to(device)
    if download or (root / "cifar-10-batches-py").is_dir():
        return _load_torchvision(root, split, download).to(device)
    raise FileNotFoundError(
        f"CIFAR-10 is not in {root}: put cifar-10-batches-py or the folders train/<class> and test/<class> "
        "there, set CIFAR10_DIR to where it is, or pass download=True"
    )


def _data_directory(directory: str | Path | None) -> Path:
    """The first that is set of: the directory given, ``$CIFAR10_DIR``, the user cache."""
    root = Path(directory or os.environ.get("CIFAR10_DIR") or _user_cache()).expanduser()
    return root.parent if root.name == "cifar-10-batches-py" else root


def _user_cache() -> Path:
    """The directory ``cifar10`` where this platform keeps what can be made again."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    base = os.path.expanduser(base)
    if not os.path.isabs(base):  # an account without a home
        base = tempfile.gettempdir()
    return Path(base, "cifar10")


def _load_torchvision(root: Path, split: Split, download: bool) -> ImageSet:
    from torchvision.datasets import CIFAR10  # not above: a folder of images does without torchvision

    try:
        data = CIFAR10(str(root), train=split == "train", download=download)
    except (OSError, RuntimeError) as error:
        if download:
            raise ConnectionError(f"CIFAR-10 could not be downloaded to {root}: {error}; try again") from error
        what = f"{root / 'cifar-10-batches-py'} is incomplete or damaged"
        raise ValueError(f"{what}: delete it and pass download=True ({error})") from error
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return ImageSet(images, torch.tensor(data.targets), tuple(data.classes))


def _load_folder(root: Path, split: Split) -> ImageSet:
    # The classes of both splits, so that a class without test images does not shift the labels of the others.
    folders = [*(root / "train").glob("[!.]*"), *(root / "test").glob("[!.]*")]
    classes = sorted({folder.name for folder in folders if folder.is_dir()})
    files = [file for name in classes for file in _image_files(root / split / name)]
    if not files:
        raise FileNotFoundError(f"{root / split} has no images: put them there as <class>/<name>.png or .jpg")
    labels = torch.tensor([classes.index(file.parent.name) for file in files])
    return ImageSet(torch.from_numpy(_decode_once(root / split, files)), labels, tuple(classes))


def _image_files(folder: Path) -> list[Path]:
    files = [file for file in folder.glob("[!.]*") if file.suffix.lower() in (".png", ".jpg", ".jpeg")]
    return sorted(files, key=lambda file: file.name)


def _decode_once(folder: Path, files: Sequence[Path]) -> np.ndarray:
    """The images uint8 (N, 3, 32, 32), from the user cache if the files are the same as last time.

    Decoding 50,000 files takes many seconds, reading the cache a fraction of one. The cache is one file for
    each folder, written anew when the names, sizes or times of the images change or when it cannot be read.
    """
    listing = hashlib.sha256()
    for file in files:
        status = file.stat()
        listing.update(f"{file.parent.name}/{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    cache = _user_cache() / f"decoded-{name}.npz"
    images = _read_decoded(cache, listing.hexdigest(), len(files))
    if images is None:
        images = np.stack([_decode(file) for file in files]).transpose(0, 3, 1, 2).copy()
        with contextlib.suppress(OSError), _replacing(cache) as stream:  # a full disk only costs time
            np.savez(stream, images=images, listing=np.array(listing.hexdigest()))
    return images


def _read_decoded(cache: Path, listing: str, count: int) -> np.ndarray | None:
    """The ``count`` images in the cache file, or None if it is absent, broken or of another listing."""
    try:
        with cache.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            images, found = arrays["images"], str(arrays["listing"])
    except Exception:  # on a damaged file numpy may fail in any way, and decoding again mends each
        return None
    return images if found == listing and images.shape == (count, 3, SIZE, SIZE) else None


def _decode(file: Path) -> np.ndarray:
    """One image as uint8 (32, 32, 3)."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # PIL calls a broken PNG a syntax error
        raise ValueError(f"{file} cannot be read as an image ({error}): replace or delete it") from error
    if pixels.shape != (SIZE, SIZE, 3):
        height, width, _ = pixels.shape
        raise ValueError(f"{file} has {width} x {height} pixels, but must have {SIZE} x {SIZE}: resize or delete it")
    return pixels


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` only once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# --- Batches


class Loader:
    """Batches of normalised images and their labels, to iterate over once per epoch.

    Each batch is (inputs float32 (B, 3, 32, 32), targets int64 (B,)) on the device of the image set. The last
    one is smaller where the batch size does not divide the number of images.

    Args:
        dataset: the images.
        batch_size: B, at least 1.
        shuffle: whether every epoch takes the images in a new random order.
        augment: whether every image is flipped at random and cropped at random from its padded self.
        seed: where the random numbers start: epochs differ, but a second loader repeats those of the first.

    Raises:
        ValueError: the batch size is less than 1.
    """

    def __init__(
        self,
        dataset: ImageSet,
        batch_size: int,
        *,
        shuffle: bool = False,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}, but must be at least 1")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.augment = augment
        self.generator = torch.Generator().manual_seed(seed)  # on the CPU: the same numbers on every device
        self._mean = torch.tensor(MEAN, device=dataset.images.device).view(3, 1, 1)
        self._std = torch.tensor(STD, device=dataset.images.device).view(3, 1, 1)

    def __len__(self) -> int:
        """The number of batches."""
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # All random numbers of an epoch are drawn here: one that is left early does not change the next one.
        count, device = len(self.dataset), self.dataset.images.device
        order = torch.randperm(count, generator=self.generator) if self.shuffle else torch.arange(count)
        if self.augment:
            corners = torch.randint(0, 2 * PADDING + 1, (count, 2), generator=self.generator).to(device)
            flips = torch.randint(0, 2, (count,), generator=self.generator).bool().to(device)
        for batch in torch.split(order.to(device), self.batch_size):
            images = self.dataset.images[batch]
            if self.augment:
                images = _crop_and_flip(images, corners[batch], flips[batch])
            yield self._normalise(images), self.dataset.labels[batch]

    def _normalise(self, images: Tensor) -> Tensor:
        return images.float().div_(255).sub_(self._mean).div_(self._std)


def _crop_and_flip(images: Tensor, corners: Tensor, flips: Tensor) -> Tensor:
    """Pad every image, cut 32 x 32 pixels from it and flip some of them from left to right.

    Args:
        images: (B, 3, 32, 32).
        corners: int64 (B, 2), the top and the left end of each crop in the padded image.
        flips: bool (B,).
    """
    every_crop = F.pad(images, (PADDING,) * 4).unfold(2, SIZE, 1).unfold(3, SIZE, 1)  # a view: (B, 3, 9, 9, 32, 32)
    top, left = corners.unbind(1)
    crops = every_crop[torch.arange(len(images), device=images.device), :, top, left]
    return torch.where(flips[:, None, None, None], crops.flip(3), crops)


# --- Layout and precision

Precision = Literal["auto", "float32", "bfloat16"]


@functools.cache
def fastest_precision(device: torch.device | str) -> Literal["float32", "bfloat16"]:
    """The precision in which this device trains a small convolutional network fastest; on a CPU it is measured.

    Not every CPU that has instructions for bfloat16 is faster with them: on a Xeon with AMX they more than double
    the images per second, on one with AVX512-BF16 alone they cost a fifth (torch 2.14).
    """
    device = torch.device(device)
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type != "cpu":
        return "float32"
    # Whoever asks may have switched gradients off, or have seeded what initialises the layers.
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=()):
        layers = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3))
        inputs = torch.ones(64, 16, SIZE, SIZE)
        taken = {"float32": 0.0, "bfloat16": 0.0}
        with _one_thread():
            for turn in range(5):  # in turns, the first of which has kernels to prepare and does not count
                taken["float32"] += _seconds_of_steps(layers, inputs, "float32") * (turn > 0)
                taken["bfloat16"] += _seconds_of_steps(layers, inputs, "bfloat16") * (turn > 0)
    return "bfloat16" if taken["bfloat16"] < 0.9 * taken["float32"] else "float32"


def _seconds_of_steps(layers: nn.Module, inputs: Tensor, precision: Precision) -> float:
    """How long two forward and backward passes keep a processor busy, whatever else the machine does."""
    with accelerated(layers, precision):
        start = time.thread_time()
        for _ in range(2):
            layers(inputs).sum().backward()
        return time.thread_time() - start


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in the calling thread alone, so that its time is all the time that is taken."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextlib.contextmanager
def accelerated(net: nn.Module, precision: Precision = "auto") -> Iterator[None]:
    """Within this context the network computes faster; the loop around it, yours too, stays as it is.

        with accelerated(net):
            finetune_after_prune(net, trainloader, criterion, optimizer)

    The channels of a pixel are brought together in memory (channels_last), and with "bfloat16" convolutions and
    matrix products are computed in that precision (automatic mixed precision). Parameters, gradients and outputs
    are float32 as ever. Use "float32" for numbers that do not depend on what the hardware has: it leaves out
    TensorFloat-32 as well, in which CUDA computes convolutions unless it is told not to.

    Args:
        net: the network, on its device; images (N, C, H, W) to logits.
        precision: "auto" is ``fastest_precision`` of the device.
    """
    device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
    if precision == "auto":
        precision = fastest_precision(device)
    if device.type == "cpu":
        _keep_freed_memory()
    layout = _fastest_layout(net, device)
    running: list[torch.autocast] = []

    def before(_net: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        running.append(torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"))
        running[-1].__enter__()
        return tuple(images.to(memory_format=layout) for images in inputs)

    def after(_net: nn.Module, _inputs: tuple[Tensor, ...], logits: Tensor | None) -> Tensor | None:
        running.pop().__exit__(None, None, None)
        return None if logits is None else logits.float()  # None: the network raised an error

    # Of two accelerations the inner one ends first, and leaves the precision of the outer one.
    handles = [net.register_forward_pre_hook(before)]
    handles += [net.register_forward_hook(after, prepend=True, always_call=True)]
    try:
        with _exact_convolutions() if precision == "float32" else contextlib.nullcontext():
            yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _exact_convolutions() -> Iterator[None]:
    """Within this context CUDA computes float32 convolutions, backward too, without TensorFloat-32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@functools.cache
def _keep_freed_memory() -> None:
    """Have glibc, where this process runs on it, keep the memory of a batch for the next one.

    What a layer puts out for a batch takes megabytes. By default such memory goes back to the system when it is freed,
    and comes again page by page, each of them cleared: a twelfth of the time of training. See mallopt(3); it holds for
    the whole process, whose memory stays at its peak from then on.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD, bytes: the largest that every glibc accepts
        mallopt(-1, -1)  # M_TRIM_THRESHOLD, bytes: without end


def _fastest_layout(net: nn.Module, device: torch.device) -> torch.memory_format:
    """Channels last, except where that is no faster or not safe.

    The gradient of a strided 1x1 convolution of under 16 channels corrupts memory then (torch 2.14, AVX-512).
    """
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    unsafe = any(
        conv.in_channels < 16 and conv.kernel_size == (1, 1) and conv.stride != (1, 1) for conv in convolutions
    )
    return torch.contiguous_format if device.type == "mps" or unsafe else torch.channels_last


# --- Test accuracy


def evaluate_images(
    net: nn.Module, image_set: ImageSet, batch_size: int | None = None, *, precision: Precision = "float32"
) -> float:
    """The accuracy of the network on an image set, which must be on the network's device.

    Measured in evaluation mode and without gradients; afterwards every layer is in the mode in which it was. BatchNorm
    is folded into the convolutions, where the network allows it.

    Args:
        net: a classifier; float32 (N, 3, 32, 32) to logits (N, classes).
        image_set: the images.
        batch_size: None: what is fast on the device. On a CPU that is what fits into its caches.
        precision: see ``accelerated``.
    """
    device = image_set.images.device
    loader = Loader(image_set, batch_size or (100 if device.type == "cpu" else 1000))
    correct = torch.zeros((), dtype=torch.int64, device=device)
    with _evaluation_mode(net), torch.no_grad():
        folded = _folded(net, next(iter(loader))[0])
        with accelerated(folded, precision):
            for inputs, targets in loader:
                correct += (folded(inputs).argmax(dim=1) == targets).sum()
    return correct.item() / len(image_set)


def _folded(net: nn.Module, inputs: Tensor) -> nn.Module:
    """A copy of the network in which BatchNorm is part of the convolution before it: one pass over memory less.

    In evaluation mode BatchNorm is (x - mean) gamma / std + beta, a factor and an offset for each channel. The factor
    goes into the weights, the offset becomes a bias (Jacob et al., 2018, section 3.2). The network must be one that
    torch.fx can trace; a quantized one is not. If it is not, or somebody listens to it with hooks, or the copy has
    other logits for ``inputs``, the network itself is returned.
    """
    if any(layer._forward_hooks or layer._forward_pre_hooks for layer in net.modules()):
        return net
    try:
        folded = fuse(net)
        same = torch.allclose(folded(inputs), net(inputs), rtol=1e-3, atol=1e-3)
    except Exception:  # whatever a network may do that tracing does not understand
        return net
    return folded if same else net


@contextlib.contextmanager
def _evaluation_mode(net: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def test(
    net: nn.Module,
    *,
    directory: str | Path | None = None,
    download: bool = False,
    batch_size: int | None = None,
    device: torch.device | str | None = None,
) -> float:
    """Print and return the accuracy of the network on the 10,000 test images of CIFAR-10.

    Args:
        net: the network; it is moved to the device.
        directory: where CIFAR-10 is; see ``load_cifar10``, also for what it raises.
        download: whether to download CIFAR-10 if it is missing.
        batch_size: see ``evaluate_images``.
        device: where to compute; None: ``pick_device()``.
    """
    device = device or pick_device()
    test_set = load_cifar10("test", directory, device=device, download=download)
    accuracy = evaluate_images(net.to(device), test_set, batch_size)
    print(f"test accuracy {accuracy:.2%}")
    return accuracy


# --- Training


@dataclass(frozen=True)
class Recipe:
    """How to train: stochastic gradient descent with momentum on the cross-entropy.

    Attributes:
        epochs: passes over the training images.
        batch_size: images per step.
        lr: the highest learning rate.
        reg: weight decay.
        momentum: momentum of the gradient.
        milestones: the fractions of all epochs after which the learning rate is divided by 10.
        seed: of the order, the crops and the flips.
        warmup: 0: the learning rate is constant between the milestones. Else it rises from zero during this fraction
            of all steps and falls to zero over the rest, in straight lines (Smith and Topin, "Super-convergence").
        nesterov: whether the momentum is Nesterov's.
        precision: see ``accelerated``.

    Raises:
        ValueError: epochs or batch size is less than 1, the learning rate is not positive, the warm-up is no fraction
            or has milestones beside it.
    """

    epochs: int
    batch_size: int
    lr: float
    reg: float
    momentum: float = 0.875
    milestones: tuple[float, ...] = ()
    seed: int = 0
    warmup: float = 0.0
    nesterov: bool = False
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 1")
        if not self.lr > 0:
            raise ValueError(f"lr is {self.lr}, but must be greater than 0")
        if not 0 <= self.warmup < 1 or (self.warmup and self.milestones):
            raise ValueError(f"warmup is {self.warmup}, but must be in [0, 1), and 0 where there are milestones")

    def lr_at(self, done: float) -> float:
        """The learning rate after ``done`` epochs (0.5: in the middle of the first)."""
        fraction = done / self.epochs
        if self.warmup:
            return self.lr * min(fraction / self.warmup, (1 - fraction) / (1 - self.warmup))
        return self.lr * 0.1 ** sum(fraction >= milestone for milestone in self.milestones)

    def optimizer(self, net: nn.Module) -> torch.optim.SGD:
        """The optimizer of all parameters of the network."""
        return torch.optim.SGD(net.parameters(), self.lr, self.momentum, weight_decay=self.reg, nesterov=self.nesterov)


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave; training loss and accuracy are means over its batches, taken as it went."""

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


def print_epoch(result: EpochResult) -> None:
    """Print one line: the default for ``progress``."""
    print(
        f"epoch {result.epoch:3d}/{result.epochs}  train loss {result.train_loss:.4f}  "
        f"train accuracy {result.train_accuracy:.2%}  test accuracy {result.test_accuracy:.2%}  "
        f"{result.seconds:.1f} s",
        flush=True,
    )


def train(
    net: nn.Module,
    epochs: int = 200,
    batch_size: int = 128,
    lr: float = 0.1,
    reg: float = 1e-4,
    *,
    momentum: float = 0.875,
    milestones: tuple[float, ...] = (0.5, 0.75),
    seed: int = 0,
    precision: Precision = "auto",
    directory: str | Path | None = None,
    download: bool = False,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = "pretrained_model.pt",
    progress: Callable[[EpochResult], None] | None = print_epoch,
) -> list[EpochResult]:
    """Train the network from scratch on CIFAR-10, in place, and return one result per epoch.

    Args:
        net: the network; it is moved to the device.
        epochs, batch_size, lr, reg, momentum, milestones, seed, precision: see ``Recipe``.
        directory: where CIFAR-10 is; see ``load_cifar10``, also for what it raises.
        download: whether to download CIFAR-10 if it is missing.
        device: where to train; None: ``pick_device()``.
        checkpoint: where to save the state dict of the epoch with the best test accuracy; None: nowhere. The
            network itself ends with the weights of the last epoch.
        progress: called after every epoch; None: silence.
    """
    recipe = Recipe(epochs, batch_size, lr, reg, momentum, milestones, seed, precision=precision)
    device = device or pick_device()
    train_set = load_cifar10("train", directory, device=device, download=download)
    test_set = load_cifar10("test", directory, device=device, download=download)
    return fit(net.to(device), train_set, test_set, recipe, checkpoint=checkpoint, progress=progress)


def finetune(
    net: nn.Module,
    epochs: int = 20,
    batch_size: int = 256,
    lr: float = 0.002,
    reg: float = 1e-4,
    *,
    milestones: tuple[float, ...] = (),
    checkpoint: str | Path | None = "net_after_finetune.pt",
    **options: Any,
) -> list[EpochResult]:
    """Train a trained network for some more epochs: as ``train`` (``options`` too), at a constant rate.

    All weights train, pruned ones too: it is for you to hold those at zero (Lab 2(c)).
    """
    options |= {"milestones": milestones, "checkpoint": checkpoint}
    return train(net, epochs, batch_size, lr, reg, **options)


def fit(
    net: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    recipe: Recipe,
    *,
    checkpoint: str | Path | None = None,
    progress: Callable[[EpochResult], None] | None = None,
) -> list[EpochResult]:
    """Train the network by a recipe, in place: what ``train`` and ``finetune`` do, on any image sets.

    The checkpoint is chosen by test accuracy, so the best test accuracy is a slightly optimistic estimate.

    Args:
        net: the network, on the device of both image sets.
        train_set: what to train on.
        test_set: what to measure the accuracy on after every epoch.
        recipe: how to train.
        checkpoint: see ``train``.
        progress: see ``train``.
    """
    loader = Loader(train_set, recipe.batch_size, shuffle=True, augment=True, seed=recipe.seed)
    optimizer = recipe.optimizer(net)
    results: list[EpochResult] = []
    for epoch in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        loss, accuracy = train_epoch(net, loader, optimizer, recipe, epoch)
        test_accuracy = evaluate_images(net, test_set)
        if checkpoint is not None and all(test_accuracy > earlier.test_accuracy for earlier in results):
            with _replacing(Path(checkpoint)) as stream:
                torch.save(net.state_dict(), stream)
        seconds = time.perf_counter() - start
        results.append(EpochResult(epoch, recipe.epochs, loss, accuracy, test_accuracy, seconds))
        if progress is not None:
            progress(results[-1])
    return results


def train_epoch(
    net: nn.Module, loader: Loader, optimizer: torch.optim.Optimizer, recipe: Recipe, epoch: int
) -> tuple[float, float]:
    """One pass over the training images: epoch ``epoch`` (1, 2, ...) of the recipe, in place.

    Returns:
        The mean loss and the accuracy over its batches, taken as it went.
    """
    net.train()
    totals = torch.zeros(2, device=loader.dataset.images.device)  # loss and right ones; read once, at the end
    with accelerated(net, recipe.precision):
        for step, (inputs, targets) in enumerate(loader):
            optimizer.param_groups[0]["lr"] = recipe.lr_at(epoch - 1 + (step + 0.5) / len(loader))
            optimizer.zero_grad()
            logits = net(inputs)
            loss = F.cross_entropy(logits, targets)
            loss.backward()
            optimizer.step()
            correct = (logits.detach().argmax(dim=1) == targets).sum()
            totals += torch.stack([loss.detach() * len(targets), correct])
    mean_loss, accuracy = (totals / len(loader.dataset)).tolist()
    return mean_loss, accuracy
