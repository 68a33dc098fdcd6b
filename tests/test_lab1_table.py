"""The published numbers of Lab 1: what the reference and its goldens must reproduce."""

from __future__ import annotations

import lab1_sparse_optimization as lab1
import numpy as np
import pytest

from grader.cases import load_cases
from tests.conftest import ROOT

PROBLEM = (lab1.X, lab1.Y, lab1.W0, lab1.LEARNING_RATE, lab1.STEPS)


def test_gradient_descent() -> None:
    run = lab1.gradient_descent(*PROBLEM)
    assert run.losses[-1] < 1e-28
    np.testing.assert_allclose(run.weights[-1], [-0.56010, 1.76442, -0.18510, -0.03125, -1.12740], atol=5e-6)
    assert run.weights.shape == (201, 5)
    assert run.losses.shape == (201,)


def test_projected_gradient_descent() -> None:
    run = lab1.projected_gradient_descent(*PROBLEM, k=2)
    np.testing.assert_allclose(run.weights[-1], [0, 2.2, 0, 0, -0.66667], atol=5e-6)
    assert run.losses[-1] == pytest.approx(0.133333, abs=5e-7)
    assert ((run.weights != 0).sum(axis=1) <= 2).all()


@pytest.mark.parametrize(("lam", "final"), [(0.2, 0.0066276), (0.5, 0.0401678), (1, 0.167177), (2, 0.46442)])
def test_l1(lam: float, final: float) -> None:
    assert lab1.l1_gradient_descent(*PROBLEM, lam).losses[-1] == pytest.approx(final, rel=2e-5)


@pytest.mark.parametrize(("lam", "final"), [(0.2, 0.00665443), (0.5, 0.0416667), (1, 0.166667), (2, 0.5)])
def test_proximal(lam: float, final: float) -> None:
    assert lab1.proximal_gradient_descent(*PROBLEM, lam).losses[-1] == pytest.approx(final, rel=2e-6)


def test_proximal_weights() -> None:
    run = lab1.proximal_gradient_descent(*PROBLEM, 1)
    np.testing.assert_allclose(run.weights[-1], [0, 2.1, -0.03333, 0, -0.6], atol=5e-6)


@pytest.mark.parametrize(("lam", "final"), [(1, 0.0333333), (2, 0.133333), (5, 0.133333), (10, 0.133333)])
def test_trimmed(lam: float, final: float) -> None:
    run = lab1.trimmed_l1_gradient_descent(*PROBLEM, lam, n_penalized=3)
    assert run.losses[-1] == pytest.approx(final, abs=5e-7)


def test_trimmed_weights() -> None:
    run = lab1.trimmed_l1_gradient_descent(*PROBLEM, 5, n_penalized=3)
    np.testing.assert_allclose(run.weights[-1], [0, 2.2, 0, 0, -0.66667], atol=5e-6)


def test_the_goldens_are_these_runs() -> None:
    cases = load_cases(ROOT / "fixtures" / "public").cases
    golden = cases["lab1/proximal_gradient_descent/course/1"].expected
    run = lab1.proximal_gradient_descent(*PROBLEM, 1)
    np.testing.assert_allclose(golden["weights"], run.weights, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(golden["losses"], run.losses, rtol=1e-9)
