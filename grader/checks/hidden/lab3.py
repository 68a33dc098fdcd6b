"""Hidden checks of Lab 3: other tensors and other numbers of bits."""

from __future__ import annotations

from grader.checks import lab3, quantized
from grader.session import Session


def check_ste_on_other_tensors(session: Session) -> None:
    """`STE` quantizes other tensors rightly: negative, dense, far from zero, at other numbers of bits"""
    for answer in session.each("lab3/ste/other", hidden=True):
        w, wq, what = lab3.nonzero(answer)
        quantized.require_few_levels(wq, answer.case.params["bit"], what)
        quantized.require_enough_levels(wq, 2 ** answer.case.params["bit"], what)
        quantized.require_evenly_spaced(wq, what)
        quantized.require_nearest(w, wq, what)
        lab3.require_extremes(answer)
        lab3.require_zeros_kept(answer)


def check_ste_gradient_on_other_tensors(session: Session) -> None:
    """The gradient passes straight through `STE` on other tensors"""
    for answer in session.each("lab3/ste/other", hidden=True):
        lab3.require_gradient(answer, answer.inputs["w"] == answer.inputs["w"])


def check_symmetric_on_other_tensors(session: Session) -> None:
    """Symmetric quantization is right on other tensors"""
    for answer in session.each("lab3/ste/symmetric", hidden=True):
        w, wq, what = lab3.nonzero(answer)
        lab3.require_symmetric_levels(wq, answer.case.params["bit"], what)
        quantized.require_symmetric(wq, what)
        quantized.require_nearest(w, wq, what)
        lab3.require_outermost(answer)
        lab3.require_zeros_kept(answer)
