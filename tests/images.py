"""Image folders of the shape of CIFAR-10, with random pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["CLASSES", "random_pixels", "write_folder"]

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def random_pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def write_folder(root: Path, per_class: int = 2, classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """A folder of lossless images; returns its test images (N, 32, 32, 3), class by class."""
    for split, seed in (("train", 1), ("test", 2)):
        pixels = random_pixels(per_class * len(classes), seed)
        for index, image in enumerate(pixels):
            folder = root / split / sorted(classes)[index // per_class]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{index % per_class:04d}.png")
    return pixels
