"""The cases of Lab 3: tensors and layers to quantize, and the small network on the tiny images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grader.assignment import Term
from grader.authoring.cases_lab2 import TRAINING, repeated_batch
from grader.authoring.tiny import NETWORK
from grader.cases import Arrays, Case

__all__ = ["hidden", "public"]

Array = NDArray[Any]
_NET = {"net.": "net."}
_SPARSE = {"net.": "sparse."}


def _tensor(seed: int, zeros: float, low: float, high: float, shape: tuple[int, ...] = (12, 8, 3, 3)) -> Array:
    """Bell-shaped weights in [low, high], a fraction of them pruned."""
    random = np.random.default_rng(seed)
    w = low + (high - low) * random.beta(3, 3, size=shape)
    w[random.random(shape) < zeros] = 0.0
    return w.astype(np.float32)


def _ste(name: str, w: Array, bit: int | None, symmetric: bool = False) -> Case:
    g = np.random.default_rng(3).normal(size=w.shape).astype(w.dtype)
    params = {"bit": bit, "symmetric": symmetric}
    return Case(id=f"lab3/ste/{name}", probe="lab3.ste", module="FP_layers", params=params, inputs={"w": w, "g": g})


def _degenerate() -> Iterator[Case]:
    shape = (4, 3, 3, 3)
    single = np.zeros(shape, dtype=np.float32)
    single[1, 1, 1, 1] = 0.3
    for name, w in (("all_zero", np.zeros(shape, np.float32)), ("one_non_zero", single),
                    ("constant", np.full(shape, -0.2, np.float32))):  # fmt: skip
        yield _ste(f"degenerate/{name}", w, 3)


def _conv(name: str, kernel: int, stride: int, padding: int, size: int, seed: int, **more: Any) -> Case:
    """One layer; ``more`` are options that the network does not use: symmetric, bias, dilation and groups."""
    options = {"in_channels": 6, "out_channels": 8, "kernel_size": kernel, "stride": stride, "padding": padding, **more}
    out = (size + 2 * padding - more.get("dilation", 1) * (kernel - 1) - 1) // stride + 1
    shape = (8, 6 // more.get("groups", 1), kernel, kernel)
    random = np.random.default_rng(seed)
    inputs = {
        "x": random.normal(size=(2, 6, size, size)).astype(np.float32),
        "weight": _tensor(seed + 1, 0.3, -0.5, 0.8, shape),
        "weight2": _tensor(seed + 2, 0.3, -0.9, 0.4, shape),
    }
    if more.get("bias"):
        inputs["bias"] = random.normal(size=8).astype(np.float32)
    return _layer(name, "FP_Conv", options, (2, 8, out, out), inputs)


def _linear(name: str, seed: int, **more: Any) -> Case:
    random = np.random.default_rng(seed)
    inputs = {
        "x": random.normal(size=(5, 12)).astype(np.float32),
        "weight": _tensor(seed + 1, 0.3, -0.5, 0.8, (10, 12)),
        "weight2": _tensor(seed + 2, 0.3, -0.9, 0.4, (10, 12)),
        "bias": random.normal(size=10).astype(np.float32),
    }
    return _layer(name, "FP_Linear", {"in_features": 12, "out_features": 10, **more}, (5, 10), inputs)


def _layer(name: str, kind: str, options: dict[str, Any], output: tuple[int, ...], inputs: Arrays) -> Case:
    params = {"class": kind, "options": {**options, "Nbits": 3}, "output_shape": list(output)}
    return Case(id=f"lab3/{name}", probe="lab3.layer", module="FP_layers", params=params, inputs=inputs)


def _by_bits(name: str, tiny: Arrays, bits: tuple[int, ...], stand_in: bool) -> Case:
    params = {"net": NETWORK, "bits": list(bits), "stand_in": stand_in, "effective": not stand_in}
    return Case(
        id=f"lab3/accuracy_by_bits/{name}",
        probe="lab3.accuracy_by_bits",
        module="lab3_quantization",
        params=params,
        shared=_NET,
        inputs={"images": tiny["train.images"][:16]},
    )


def _qat(name: str, bit: int, stand_in: bool, sparse: bool, batches: int, **more: float) -> Case:
    """``more`` are options of ``finetune_quantized`` in place of the usual ones."""
    options = {"epochs": 2 if stand_in else 1, "lr": TRAINING["lr"], **more}
    params = {
        "net": NETWORK,
        "bit": bit,
        "stand_in": stand_in,
        "batch_size": TRAINING["batch_size"],
        "batches": batches,
    }
    return Case(
        id=f"lab3/finetune_quantized/{name}",
        probe="lab3.finetune_quantized",
        module="lab3_quantization",
        params={**params, "options": options},
        shared={**(_SPARSE if sparse else _NET), "": "train."},
    )


def public(term: Term, tiny: Arrays) -> Iterator[Case]:
    """Cases that students may see."""
    for bit in term.bits:
        low, high = (-0.6, 0.9) if bit % 2 == 0 else (-0.9, 0.6)
        yield _ste(f"pruned/{bit}", _tensor(60 + bit, 0.4, low, high), bit)
    for bit in term.finetuned_bits:
        yield _ste(f"positive/{bit}", _tensor(70 + bit, 0.4, 0.2, 0.7), bit)
    yield _ste("double", _tensor(80, 0.4, -0.6, 0.9).astype(np.float64), 4)
    yield _ste("none", _tensor(81, 0.4, -0.6, 0.9), None)
    yield _ste("zero", _tensor(82, 0.4, -0.6, 0.9), 0)
    yield from _degenerate()
    yield _conv("layer/conv/same", 3, 1, 1, 6, 90)
    yield _conv("layer/conv/strided", 3, 2, 1, 7, 100)
    yield _conv("layer/conv/shortcut", 1, 2, 0, 6, 110)
    yield _conv("conv_options/bias", 3, 1, 1, 6, 200, bias=True)
    yield _conv("conv_options/dilation", 3, 1, 2, 7, 210, dilation=2)
    yield _conv("conv_options/groups", 3, 1, 1, 6, 220, groups=2)
    yield _linear("layer/linear", 120)
    yield _conv("symmetric_layer/conv", 3, 1, 1, 6, 180, symmetric=True)
    yield _linear("symmetric_layer/linear", 190, symmetric=True)
    some = tuple(sorted({max(term.bits), sorted(term.bits)[1], min(term.bits)}, reverse=True))
    yield _by_bits("stand_in", tiny, some, True)
    yield _by_bits("own", tiny, some, False)
    lowest = min(term.finetuned_bits)
    yield _qat("stand_in", 3, True, False, 2)
    yield _qat("dense", lowest, False, False, 6)
    yield _qat("sparse_stand_in", 3, True, True, 1)
    yield _qat("recipe", 3, True, False, 3, lr=1e-4, momentum=0.5, reg=100.0)
    again = _qat("same_batch", 3, True, False, 3, epochs=3, lr=1e-3, momentum=0.0, reg=0.0)
    yield again.model_copy(update={"shared": _NET, "inputs": repeated_batch(tiny, 3)})
    yield _qat("sparse", lowest + 1, False, True, 6)
    for bit in term.finetuned_bits:
        low, high = (-0.35, 0.9) if bit % 2 == 0 else (-0.9, 0.35)
        yield _ste(f"symmetric/{bit}", _tensor(130 + bit, 0.4, low, high), bit, symmetric=True)


def hidden(term: Term, tiny: Arrays) -> Iterator[Case]:
    """Other tensors and other numbers of bits."""
    yield _ste("other/negative", _tensor(140, 0.5, -0.8, -0.1), 3)
    yield _ste("other/dense", _tensor(141, 0.0, -0.4, 0.5), 5)
    yield _ste("other/far", _tensor(142, 0.7, 2.0, 3.0), 2)
    yield _ste("other/linear", _tensor(143, 0.2, -1.5, 1.0, (40, 24)), 4)
    yield _ste("other/eight_bits", _tensor(146, 0.3, -0.5, 0.8, (24, 16, 3, 3)), 8)
    yield _ste("symmetric/negative", _tensor(144, 0.3, -0.9, 0.3), 4, symmetric=True)
    yield _ste("symmetric/linear", _tensor(145, 0.3, -0.5, 1.4, (40, 24)), 2, symmetric=True)
