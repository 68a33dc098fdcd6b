"""The comparators: NaN never agrees, units do not matter, and a tolerance is relative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from grader.checks.compare import close, require_close, require_equal, require_unchanged
from grader.errors import CheckFailed

Array = NDArray[Any]
Comparator = Callable[[Array, Array, str], None]

COMPARATORS: list[Comparator] = [require_close, require_equal, require_unchanged]

sizes = st.floats(1e-6, 1e6)
numbers = st.just(0.0) | sizes | sizes.map(lambda x: -x)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
arrays = hnp.arrays(np.float64, shapes, elements=numbers)
pairs = shapes.flatmap(lambda s: st.tuples(*[hnp.arrays(np.float64, s, elements=numbers)] * 2))
tolerances = st.floats(1e-12, 1e-1)
factors = st.integers(-100, 100).map(lambda k: 2.0**k)
"""Powers of two: exact, so that nothing but the comparison can depend on the unit."""


def passes(comparator: Comparator, received: Array, expected: Array) -> bool:
    """Whether a comparator accepts; anything but a CheckFailed is a fault."""
    try:
        comparator(received, expected, "the array")
    except CheckFailed:
        return False
    return True


def with_one(array: Array, where: int, value: float) -> Array:
    """A copy in which one element is ``value``."""
    changed = array.copy()
    changed.reshape(-1)[where % array.size] = value
    return changed


@pytest.mark.parametrize("comparator", COMPARATORS)
@given(array=arrays)
def test_an_array_agrees_with_itself(comparator: Comparator, array: Array) -> None:
    assert passes(comparator, array.copy(), array)


@pytest.mark.parametrize("comparator", COMPARATORS)
@given(array=arrays, where=st.integers(0, 63), side=st.sampled_from(["received", "expected", "both"]))
def test_nan_never_agrees(comparator: Comparator, array: Array, where: int, side: str) -> None:
    """Not even with NaN: a golden that is NaN by mistake must accept nothing."""
    damaged = with_one(array, where, np.nan)
    received = array if side == "expected" else damaged
    expected = array if side == "received" else damaged
    assert not passes(comparator, received, expected)


@given(pair=pairs, where=st.integers(0, 63), value=st.sampled_from([np.nan, np.inf, -np.inf]), rtol=tolerances)
def test_one_element_that_is_no_number_is_the_one_that_differs(
    pair: tuple[Array, Array], where: int, value: float, rtol: float
) -> None:
    received, expected = pair
    damaged = with_one(received, where, value)
    agrees = close(damaged, expected, rtol)
    assert not agrees[~np.isfinite(damaged)].any()
    np.testing.assert_array_equal(agrees[np.isfinite(damaged)], close(received, expected, rtol)[np.isfinite(damaged)])


@given(pair=pairs, rtol=tolerances, factor=factors, scale=st.none() | sizes)
def test_units_do_not_matter(pair: tuple[Array, Array], rtol: float, factor: float, scale: float | None) -> None:
    received, expected = pair
    rescaled = None if scale is None else scale * factor
    before = close(received, expected, rtol, scale)
    np.testing.assert_array_equal(close(received * factor, expected * factor, rtol, rescaled), before)
    np.testing.assert_array_equal(close(-received, -expected, rtol, scale), before)


@given(pair=pairs, rtol=tolerances, scale=sizes)
def test_with_a_given_scale_the_sides_may_be_swapped(pair: tuple[Array, Array], rtol: float, scale: float) -> None:
    np.testing.assert_array_equal(close(*pair, rtol, scale), close(*pair[::-1], rtol, scale))


@pytest.mark.parametrize("comparator", [require_equal, require_unchanged])
@given(pair=pairs)
def test_equality_is_symmetric(comparator: Comparator, pair: tuple[Array, Array]) -> None:
    agrees = bool((pair[0] == pair[1]).all())
    assert passes(comparator, *pair) is passes(comparator, *pair[::-1]) is agrees


@pytest.mark.parametrize("comparator", [require_equal, require_unchanged])
@given(array=arrays, where=st.integers(0, 63), up=st.booleans())
def test_equality_is_exact(comparator: Comparator, array: Array, where: int, up: bool) -> None:
    """The next floating-point number is another number."""
    where %= array.size
    neighbour = np.nextafter(array.reshape(-1)[where], np.inf if up else -np.inf)
    assert not passes(comparator, with_one(array, where, neighbour), array)


@given(array=arrays, where=st.integers(0, 63), rtol=tolerances, share=st.floats(-3.0, 3.0))
def test_the_tolerance_is_relative_to_the_largest_element(array: Array, where: int, rtol: float, share: float) -> None:
    assume(abs(abs(share) - 1) > 0.1)
    largest = float(np.abs(array).max())
    assume(largest > 0)
    where %= array.size
    received = with_one(array, where, array.reshape(-1)[where] + share * rtol * largest)
    agrees = close(received, array, rtol)
    assert agrees.reshape(-1)[where] == (abs(share) < 1)
    assert agrees.sum() >= array.size - 1, "the other elements are as they were"


@given(array=arrays, where=st.integers(0, 63), value=sizes)
def test_where_zeros_are_expected_nothing_else_will_do(array: Array, where: int, value: float) -> None:
    zeros = np.zeros_like(array)
    assert passes(require_close, zeros.copy(), zeros)
    assert not passes(require_close, with_one(zeros, where, value * 1e-200), zeros)


@pytest.mark.parametrize("comparator", COMPARATORS)
@given(value=numbers, first=shapes, second=shapes)
def test_another_shape_never_agrees(
    comparator: Comparator, value: float, first: tuple[int, ...], second: tuple[int, ...]
) -> None:
    """Not even one that numpy would broadcast: all elements are the same here."""
    assume(first != second)
    assert not passes(comparator, np.full(first, value), np.full(second, value))


@given(array=arrays, where=st.integers(0, 63))
def test_a_difference_is_reported_with_both_sides(array: Array, where: int) -> None:
    changed = with_one(array, where, float(np.abs(array).max()) + 1)
    with pytest.raises(CheckFailed, match="the array") as caught:
        require_close(changed, array, "the array")
    assert caught.value.expected is not None and caught.value.received is not None
    assert caught.value.expected != caught.value.received or array.size > 6, "six numbers are shown"
