"""Every tolerance of the checks. Each has a near miss in the catalogue that notices when it is weakened tenfold.

Names that begin with ``LEAST`` are floors, which are weakened by lowering them; all others are upper bounds. The
largest accepted drops of accuracy stand in assignment.toml. Checks read ``tolerances.NAME`` when they run.
"""

from __future__ import annotations

RTOL = 1e-9
"""Relative, of float64 results: far above 200 steps of rounding error, far below any mistake."""

CONVERGED = 1e-12
"""The loss that counts as zero; the reference ends below 1e-28."""

IMAGES = 0.05
"""Images by which a reported accuracy may be off: rounding to three decimals is 0.02, counters that start at 1 0.1."""

ZEROS_PER_LAYER = 1
"""Elements by which the zeros of one layer may be off, after rounding: percentiles interpolate, > is as right as >=."""

SPARSITY = 1e-6
"""Absolute, of a reported fraction of zeros: float32 means of up to 10^5 elements."""

LEAST_TRAINED = 0.9
"""Fraction of the unpruned weights that one epoch must move; all of them move, but for rare dead channels."""

LEAST_RECOVERED = 0.5
"""Fraction of the pruned weights that training without a mask must move; nearly all of them do."""

LEAST_SPREAD = 0.02
"""How much the sparsities of layers must differ under one global threshold; here they differ by 0.3."""

GROWTH = 1.5
"""A step on the same batch over the first one; uncleared gradients make it 2, then 3."""

STEP = 0.3
"""Relative, of one optimizer step: gradients in bfloat16 are off by 0.1, clipped to norm 1 by 0.2, those of another
loss by 0.9, and two steps in place of one by 1.
"""

DECAY = 0.05
"""Relative, of what weight decay takes off the weights where it outweighs every gradient by far."""

GRADIENT = 1e-6
"""Relative, of a float32 gradient that passes through unchanged."""

PRODUCT = 1e-4
"""Relative, of a float32 convolution or matrix product, summed in any order."""

OUTERMOST = 1e-6
"""Relative, of the outermost symmetric level in float32."""

CONFIDENCE = 1e-3
"""Absolute, of the confidence that stands in for accuracy: any order of summation."""

QUANTIZED_ACCURACY = 0.03
"""Absolute, of the accuracy of the quantized network: 5 of 160 images may fall on the other side of a tie."""

MERGED = 1e-5
"""Relative to the range: values closer than this are one level. Float32 rounding of scale, offset and back stays
below it; half a 6-bit step is 8e-3.
"""

NEAREST = 2e-5
"""Relative to the range: how much nearer another level may be, at a tie in float32."""

SHARED = 0.9
"""Distinct values over weights: 1 for float weights, less even at one range per channel."""

SPACING = 0.02
"""Relative, of a gap between levels as a multiple of the smallest one."""

RANGE = 16
"""Units of the last place by which the outermost level may miss the extreme weight: scale, offset and back."""

SYMMETRY = 0.05
"""In half steps: how far a level may lie from the mirrored grid."""
