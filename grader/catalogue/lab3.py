"""Mistakes in Lab 3. Names such as ``torch`` and ``STE`` are those of the module that an entry is appended to."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it is appended to)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception


@misconception(
    "FP_layers.STE.forward",
    fails=(
        "ste_levels",
        "ste_keeps_zeros",
    ),
)
def mask_inverted(ctx, w, bit, symmetric=False):
    """The mask keeps what it should remove: weights become zero, and pruned ones do not."""
    if bit is None:
        return w.clone()
    if bit == 0:
        return torch.zeros_like(w)
    mask = w == 0
    kept = w[mask] if mask.any() else w
    beta, alpha = kept.min(), kept.max() - kept.min()
    return (torch.round((w - beta) / alpha * (2**bit - 1)) / (2**bit - 1) * alpha + beta) * mask
