"""Hidden checks of Lab 1: the same properties on problems of other shapes, other step sizes, other starts."""

from __future__ import annotations

from grader.checks.lab1 import require_losses, require_trajectory, require_value
from grader.session import Session


def _values(session: Session, name: str) -> None:
    for answer in session.each(f"lab1/{name}", hidden=True):
        require_value(answer)


def _solver(session: Session, name: str) -> None:
    for answer in session.each(f"lab1/{name}", hidden=True):
        require_trajectory(answer)
        require_losses(session, answer)


def check_loss_on_other_problems(session: Session) -> None:
    """`loss` is right on problems of other shapes"""
    _values(session, "loss")


def check_gradient_on_other_problems(session: Session) -> None:
    """`gradient` is right on problems of other shapes"""
    _values(session, "gradient")
    _values(session, "gradient_step")


def check_gradient_descent_on_other_problems(session: Session) -> None:
    """`gradient_descent` is right on other problems, from other starting points"""
    _solver(session, "gradient_descent")


def check_projection_edge_cases(session: Session) -> None:
    """`project_top_k` is right when k is 0 or at least the number of elements"""
    _values(session, "project_top_k")


def check_projected_on_other_problems(session: Session) -> None:
    """`projected_gradient_descent` is right on other problems, from other starting points"""
    _solver(session, "projected_gradient_descent")


def check_l1_on_other_problems(session: Session) -> None:
    """`l1_gradient_descent` is right on other problems, from other starting points"""
    _solver(session, "l1_gradient_descent")


def check_soft_threshold_edge_cases(session: Session) -> None:
    """`soft_threshold` is right at the threshold itself and for a threshold of zero"""
    _values(session, "soft_threshold")


def check_proximal_on_other_problems(session: Session) -> None:
    """`proximal_gradient_descent` is right on other problems, from other starting points"""
    _solver(session, "proximal_gradient_descent")


def check_trimmed_threshold_edge_cases(session: Session) -> None:
    """`trimmed_soft_threshold` is right when it penalises no element or all of them"""
    _values(session, "trimmed_soft_threshold")


def check_trimmed_on_other_problems(session: Session) -> None:
    """`trimmed_l1_gradient_descent` is right on other problems, from other starting points"""
    _solver(session, "trimmed_l1_gradient_descent")
