"""The comparators of quantized weights, on what the probe of `STE` answers: right quantizers pass all of them.

A wrong one fails the comparator that is for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from grader.cases import Case
from grader.checks import lab3, quantized
from grader.errors import CheckFailed
from grader.probes.lab3 import ste
from grader.probes.plain import Reply
from grader.session import Answer
from grader.worker.student import ProbeFailed, Student

Array = NDArray[Any]
Rounding = Callable[[Array], Array]
Quantizer = Callable[[Array, int], Array]
Forward = Callable[..., Any]

ROUNDINGS: dict[str, Rounding] = {"half up": lambda x: np.floor(x + 0.5), "half even": np.rint}


class FakeStudent:
    """A student whose `STE` is made of two functions: of (w, bit) in the forward pass, of g in the backward pass."""

    def __init__(self, forward: Forward, backward: Callable[[torch.Tensor], Any] = lambda g: g) -> None:
        class STE(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, w: torch.Tensor, *rest: Any) -> Any:
                ctx.more = len(rest)
                return forward(w, *rest)

            @staticmethod
            def backward(ctx: Any, g: torch.Tensor) -> Any:
                return backward(g), *[None] * ctx.more

        self.ste = STE

    def attribute(self, module: str, name: str) -> Any:
        assert (module, name) == ("FP_layers", "STE")
        return self.ste

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            raise ProbeFailed("raised", f"{type(error).__name__}: {error}") from None


def probe(student: FakeStudent, params: Mapping[str, Any], w: Array, g: Array | None = None) -> Reply:
    return ste(cast(Student, student), params, {"w": w, "g": np.ones_like(w) if g is None else g})


def answer(quantizer: Quantizer, w: Array, bit: int) -> Answer:
    """What the judge gets to see of a quantizer that is written in numpy."""
    student = FakeStudent(lambda t, b: torch.from_numpy(np.asarray(quantizer(t.detach().numpy(), b))))
    params, g = {"bit": bit, "symmetric": False}, np.arange(w.size, dtype=w.dtype).reshape(w.shape)
    facts, outputs = probe(student, params, w, g)
    return Answer(Case(id="case", probe="lab3.ste", module="", params=params), {"w": w, "g": g}, facts, outputs)


def fails(comparator: Callable[..., None], *arguments: object) -> bool:
    """Whether a comparator refuses; anything but a CheckFailed is a fault."""
    try:
        comparator(*arguments)
    except CheckFailed:
        return True
    return False


# --- tensors


@st.composite
def tensors(
    draw: st.DrawFn, dense: bool = False, fewest_bits: int = 1, crosses_zero: bool = False
) -> tuple[Array, int]:
    """Weights of any range, some of them pruned, and a number of bits.

    At least two neighbouring levels are in use, without which nobody could tell the distance of levels, and some
    weights lie halfway between two. ``dense`` puts weights in all quarters of all steps.
    """
    bit = draw(st.integers(fewest_bits, 6))
    steps = 2**bit - 1
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.floats(0.25, 4.0))
    low = -width * draw(st.floats(0.3, 0.7)) if crosses_zero else draw(st.floats(-4.0, 4.0))
    first = draw(st.integers(0, steps - 1))
    offsets = random.choice([-0.5, 0.5, 0.25, -0.49, *random.uniform(-0.5, 0.5, size=6)], size=40 + 2**bit)
    places = np.concatenate([[0, steps, first, first + 1], random.integers(0, steps + 1, size=offsets.size) + offsets])
    if dense:
        places = np.concatenate([places, np.arange(0, steps, 0.125)])
    unit = 2.0 ** draw(st.integers(-10, 10))
    w = (low + width * np.clip(places, 0, steps) / steps) * unit
    assume((np.abs(w) > 1e-3 * width * unit).all())
    w = random.permutation(np.concatenate([w, np.zeros(1 + len(w) // 3)]))
    w = np.resize(w, (2, (len(w) + 1) // 2))
    return w.astype(draw(st.sampled_from([np.float32, np.float64]))), bit


def quantize(w: Array, levels: int, rounding: Rounding) -> Array:
    """The nearest of ``levels`` levels that divide the range of the non-zero weights evenly, by the formula."""
    kept = w != 0
    beta, alpha = w[kept].min(), (w[kept].max() - w[kept].min()) / (levels - 1)
    wq = rounding((w - beta) / alpha) * alpha + beta
    return np.asarray(np.where(kept, wq, 0), dtype=w.dtype)


# --- right quantizers


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("precise", [False, True], ids=["own dtype", "float64"])
@given(tensor=tensors())
def test_a_right_quantizer_passes_every_comparator(rounding: str, precise: bool, tensor: tuple[Array, int]) -> None:
    def right(w: Array, b: int) -> Array:
        computed = w.astype(np.float64) if precise else w
        return quantize(computed, 2**b, ROUNDINGS[rounding]).astype(w.dtype)

    found = answer(right, *tensor)
    w, wq, what = lab3.nonzero(found)
    quantized.require_few_levels(wq, tensor[1], what)
    quantized.require_enough_levels(wq, 2 ** tensor[1], what)
    quantized.require_evenly_spaced(wq, what)
    quantized.require_nearest(w, wq, what)
    lab3.require_extremes(found)
    lab3.require_zeros_kept(found)
    lab3.require_gradient(found, found.inputs["w"] != 0)
    lab3.require_gradient(found, found.inputs["w"] == 0)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@given(tensor=tensors(fewest_bits=2, dense=True), middle=st.booleans())
def test_symmetric_levels_pass_with_zero_among_them_or_without(
    rounding: str, tensor: tuple[Array, int], middle: bool
) -> None:
    """2^bit - 1 levels around one at zero, or 2^bit levels around none."""

    def right(w: Array, b: int) -> Array:
        largest, steps = np.abs(w).max(), 2**b - 1 - middle
        wq = ROUNDINGS[rounding]((w / largest + 1) / 2 * steps) / steps * 2 * largest - largest
        return np.asarray(np.where(w == 0, 0, wq), dtype=w.dtype)

    w, bit = tensor
    w = np.where(np.arange(w.size).reshape(w.shape) % 2, w, -w)
    assume(np.ptp(np.abs(w[w != 0])) > 0.5 * np.abs(w).max())  # else only the outermost levels are in use
    found = answer(right, w, bit)
    _, wq, what = lab3.nonzero(found)
    lab3.require_symmetric_levels(wq, bit, what)
    quantized.require_symmetric(wq, what)
    lab3.require_outermost(found)
    lab3.require_zeros_kept(found)


# --- wrong quantizers, each before the comparator that is for it


def nonzero(quantizer: Quantizer, tensor: tuple[Array, int]) -> tuple[Array, Array, str]:
    return lab3.nonzero(answer(quantizer, *tensor))


@given(tensor=tensors(dense=True), more=st.integers(1, 5))
def test_a_level_too_many_fails(tensor: tuple[Array, int], more: int) -> None:
    _, wq, what = nonzero(lambda w, b: quantize(w, 2**b + more, np.rint), tensor)
    assert fails(quantized.require_few_levels, wq, tensor[1], what)


@given(tensor=tensors(dense=True, fewest_bits=2, crosses_zero=True))
def test_half_as_many_levels_fail(tensor: tuple[Array, int]) -> None:
    _, wq, what = nonzero(lambda w, b: quantize(w, 2 ** (b - 1), np.rint), tensor)
    assert fails(quantized.require_enough_levels, wq, 2 ** tensor[1], what)


@pytest.mark.parametrize("rounding", [np.floor, np.ceil, np.trunc])
@given(tensor=tensors(dense=True))
def test_rounding_to_another_than_the_nearest_level_fails(rounding: Rounding, tensor: tuple[Array, int]) -> None:
    w, wq, what = nonzero(lambda w, b: quantize(w, 2**b, rounding), tensor)
    assert fails(quantized.require_nearest, w, wq, what)
    assert not fails(quantized.require_evenly_spaced, wq, what), "its levels are right"


@given(tensor=tensors(dense=True), early=st.floats(0.15, 0.45), sign=st.sampled_from([-1, 1]))
def test_rounding_a_little_too_early_or_too_late_fails(tensor: tuple[Array, int], early: float, sign: int) -> None:
    top = 2 ** tensor[1] - 1
    w, wq, what = nonzero(
        lambda w, b: quantize(w, top + 1, lambda x: np.clip(np.rint(x + sign * early), 0, top)), tensor
    )
    assert fails(quantized.require_nearest, w, wq, what)


@given(tensor=tensors(), step=st.floats(0.01, 1.0), sign=st.sampled_from([-1, 1]))
def test_levels_that_are_shifted_fail(tensor: tuple[Array, int], step: float, sign: int) -> None:
    """By a hundredth of a step or more; neither their number nor their spacing shows it."""

    def shifted(w: Array, b: int) -> Array:
        alpha = np.ptp(w[w != 0]) / (2**b - 1)
        return np.asarray(np.where(w == 0, 0, quantize(w, 2**b, np.rint) + sign * step * alpha), dtype=w.dtype)

    assume(not any((shifted(*tensor)[tensor[0] != 0]) == 0))
    found = answer(shifted, *tensor)
    assert fails(lab3.require_extremes, found)
    assert not fails(quantized.require_evenly_spaced, *lab3.nonzero(found)[1:])


@given(tensor=tensors())
def test_zeros_on_the_nearest_level_fail(tensor: tuple[Array, int]) -> None:
    def filled(w: Array, b: int) -> Array:
        levels = np.unique(quantize(w, 2**b, np.rint)[w != 0])
        return np.where(w == 0, levels[np.abs(levels).argmin()], quantize(w, 2**b, np.rint))

    assume((filled(*tensor) != 0).all())  # a level at zero is right
    assert fails(lab3.require_zeros_kept, answer(filled, *tensor))


@given(tensor=tensors(), value=st.sampled_from([np.nan, 1e-30, -1e-7]))
def test_a_zero_that_is_almost_one_fails(tensor: tuple[Array, int], value: float) -> None:
    found = answer(lambda w, b: np.asarray(np.where(w == 0, value, quantize(w, 2**b, np.rint)), w.dtype), *tensor)
    assert fails(lab3.require_zeros_kept, found)


@given(tensor=tensors())
def test_a_range_that_includes_the_zeros_fails(tensor: tuple[Array, int]) -> None:
    """Weights of one sign, whose range reaches to the pruned ones."""
    w, bit = np.abs(tensor[0]), tensor[1]

    def from_zero(w: Array, b: int) -> Array:
        alpha = w.max() / (2**b - 1)
        return np.asarray(np.rint(w / alpha) * alpha, dtype=w.dtype)

    smallest = w[w != 0].min()
    assume(abs(from_zero(w, bit)[w != 0].min() - smallest) > 1e-4 * w.max())
    assert fails(lab3.require_extremes, answer(from_zero, w, bit))


@given(tensor=tensors(dense=True, fewest_bits=2), which=st.integers(1, 62), part=st.floats(0.1, 0.3))
def test_a_level_out_of_place_fails(tensor: tuple[Array, int], which: int, part: float) -> None:
    def uneven(w: Array, b: int) -> Array:
        wq = quantize(w, 2**b, np.rint)
        levels = np.unique(wq[w != 0])
        moved = levels[1 + which % (len(levels) - 2)]
        return np.where((wq == moved) & (w != 0), moved + part * np.diff(levels).max(), wq).astype(w.dtype)

    _, wq, what = nonzero(uneven, tensor)
    assert fails(quantized.require_evenly_spaced, wq, what)


@given(tensor=tensors(dense=True, fewest_bits=2), part=st.floats(0.1, 0.4), sign=st.sampled_from([-1, 1]))
def test_levels_around_another_number_than_zero_fail(tensor: tuple[Array, int], part: float, sign: int) -> None:
    half = 2 ** (tensor[1] - 1)
    levels = np.arange(-half, half + 1) + sign * part
    quantized.require_symmetric(levels - sign * part, "a grid")
    assert fails(quantized.require_symmetric, levels, "a grid")


@given(tensor=tensors(), value=st.sampled_from([np.nan, np.inf]))
def test_what_is_not_a_number_or_not_quantized_fails(tensor: tuple[Array, int], value: float) -> None:
    w, bit = tensor
    assert fails(lab3.nonzero, answer(lambda w, b: np.where(w == w[w != 0][0], value, w).astype(w.dtype), w, bit))
    assert fails(lab3.nonzero, answer(lambda w, b: np.zeros_like(w), w, bit))
    distinct = np.linspace(0.5, 1, 30, dtype=w.dtype)
    assert fails(lab3.nonzero, answer(lambda w, b: w.copy(), distinct, bit))


# --- the probe: what crosses to the judge is what the student's function did

dtypes = st.sampled_from([np.float32, np.float64])
shaped = hnp.array_shapes(min_dims=0, max_dims=4, max_side=3)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Array, Array]:
    """Any w and g of one shape and dtype, with signed zeros and infinities."""
    dtype, shape = draw(dtypes), draw(shaped)
    width = np.finfo(dtype).bits
    w, g = (draw(hnp.arrays(dtype, shape, elements=st.floats(width=width, allow_nan=False))) for _ in range(2))
    return w, g


def same_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@given(call=calls(), bit=st.none() | st.integers(0, 8), symmetric=st.sampled_from([None, False, True]))
def test_the_probe_passes_on_what_ste_did(call: tuple[Array, Array], bit: int | None, symmetric: bool | None) -> None:
    """w, bit and, where it is set, symmetric go in; values, dtype and gradient come out, bit for bit."""
    w, g = call
    untouched, received = (w.copy(), g.copy()), []

    def forward(t: torch.Tensor, *rest: Any) -> torch.Tensor:
        received.append((t.detach().numpy().copy(), rest))
        return -t

    params = {"bit": bit} | ({} if symmetric is None else {"symmetric": symmetric})
    facts, outputs = probe(FakeStudent(forward), params, w, g)
    ((seen, rest),) = received
    assert same_bits(seen, w) and rest == ((bit, True) if symmetric else (bit,))
    assert same_bits(outputs["wq"], -w) and same_bits(outputs["grad"], g) and same_bits(outputs["after.w"], w)
    assert facts == {"dtype": f"torch.{w.dtype}", "device": "cpu", "has_grad": True}
    assert same_bits(w, untouched[0]) and same_bits(g, untouched[1])
    assert not any(np.shares_memory(out, array) for out in outputs.values() for array in (w, g))


@given(call=calls(), factor=st.sampled_from([0.0, 0.5, -1.0]))
def test_the_probe_reports_another_gradient_as_it_is(call: tuple[Array, Array], factor: float) -> None:
    w, g = np.ones_like(call[0]), np.asarray(np.nan_to_num(call[1], posinf=1, neginf=-1))
    _, outputs = probe(FakeStudent(lambda t, b: t.clone(), lambda grad: grad * factor), {"bit": 3}, w, g)
    assert same_bits(outputs["grad"], g * np.asarray(factor, dtype=g.dtype))


@given(call=calls())
def test_the_probe_notices_a_change_in_place(call: tuple[Array, Array]) -> None:
    w = call[0].copy()

    def forward(t: torch.Tensor, bit: int) -> torch.Tensor:
        t.data.fill_(7.0)
        return t.clone()

    _, outputs = probe(FakeStudent(forward), {"bit": 3}, w, call[1])
    assert (outputs["after.w"] == 7).all()
    assert same_bits(w, call[0]), "what the judge sent is not what the student changed"


@given(call=calls())
def test_a_result_that_is_the_argument_itself_is_fine(call: tuple[Array, Array]) -> None:
    facts, outputs = probe(FakeStudent(lambda t, bit: t), {"bit": None}, *call)
    assert same_bits(outputs["wq"], call[0]) and same_bits(outputs["grad"], call[1]) and facts["has_grad"]


@given(call=calls(), wrong=st.sampled_from(["flat", "longer", "none", "number", "array"]))
def test_a_result_of_another_shape_or_kind_is_said_to_be_one(call: tuple[Array, Array], wrong: str) -> None:
    results: dict[str, Callable[[torch.Tensor], Any]] = {
        "flat": lambda t: t.reshape(-1, 1, 1, 1, 1),
        "longer": lambda t: torch.cat([t.reshape(-1), t.reshape(-1)]),
        "none": lambda t: None,
        "number": lambda t: 3.0,
        "array": lambda t: t.detach().numpy(),
    }
    with pytest.raises(ProbeFailed, match=r"^the result of `STE\.apply`") as caught:
        probe(FakeStudent(lambda t, bit: results[wrong](t)), {"bit": 3}, *call)
    assert caught.value.kind == ("shape" if wrong in ("flat", "longer") else "type")


@given(call=calls())
def test_a_missing_or_failing_gradient_is_a_fact_beside_the_values(call: tuple[Array, Array]) -> None:
    def fail(g: torch.Tensor) -> torch.Tensor:
        raise ValueError("no idea")

    w, g = call
    facts, outputs = probe(FakeStudent(lambda t, bit: -t, fail), {"bit": 3}, w, g)
    assert facts["has_grad"] is False and "no idea" in facts["backward"]
    assert same_bits(outputs["wq"], -w) and "grad" not in outputs
    detached = FakeStudent(lambda t, bit: -t)
    detached.ste = type("Detached", (), {"apply": staticmethod(lambda t, bit: -t.detach())})  # type: ignore[assignment]
    facts, outputs = probe(detached, {"bit": 3}, w, g)
    assert facts["has_grad"] is False and "backward" not in facts
    assert same_bits(outputs["wq"], -w) and "grad" not in outputs
