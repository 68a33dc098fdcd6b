"""Two mistakes at once that are common: where one student makes one of them, the other is seldom far.

Two mistakes in functions that do not build on each other need no entry here: each is named by its own checks.
"""

from __future__ import annotations

__all__ = ["COMMON_PAIRS"]

COMMON_PAIRS = (
    ("lab1.factor_two_missing", "lab1.mean_instead_of_sum"),
    ("lab1.factor_two_missing", "lab1.threshold_without_learning_rate"),
    ("lab1.factor_two_missing", "lab1.penalty_in_the_losses"),
    ("lab1.factor_two_missing", "lab1.hard_threshold"),
    ("lab1.factor_two_missing", "lab1.trimmed_set_by_gradient"),
    ("lab1.hard_threshold", "lab1.threshold_without_learning_rate"),
    ("lab1.shrinks_beyond_zero", "lab1.threshold_without_learning_rate"),
    ("lab1.largest_signed_values", "lab1.projects_only_at_the_end"),
    ("lab1.penalizes_all", "lab1.trimmed_penalty_in_the_losses"),
    ("lab2.percentage_taken_as_fraction", "lab2.forgets_the_mask"),
    ("lab2.forgets_the_mask", "lab2.ramp_starts_at_zero"),
    ("lab2.forgets_the_mask", "lab2.one_threshold_per_layer"),
    ("lab3.range_with_zeros", "lab3.gradient_masked"),
    ("lab3.one_level_too_many", "lab3.gradient_masked"),
    ("lab3.rounds_down", "lab3.gradient_clipped"),
    ("lab3.mask_missing", "lab3.regrows_pruned_weights"),
)
"""Ids of misconceptions in different functions, of which the later one may build on the earlier."""
