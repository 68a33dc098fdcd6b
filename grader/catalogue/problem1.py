"""Wrong verdicts on the statements of problem 1."""

# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception


@misconception("answers.p1.1", fails=("verdict_1",))
def l1_makes_exact_zeros():
    """L1 with SGD is believed to make exact zeros

    L1 pulls every weight towards zero, and the optimum may well have zeros. But the penalty moves a weight by the same
    amount however small the weight is: near zero it jumps over zero and back, and hits it only by accident.

    Hint: Count the weights that are exactly zero at the end of Lab 1(d).
    """
    return "true"


@misconception("answers.p1.2", fails=("verdict_2",))
def pruning_excludes_quantization():
    """Pruning and quantization are believed to exclude each other

    They remove different redundancy: one the number of weights, the other the bits of each. A zero stays a zero under
    quantization, so that the savings multiply.

    Hint: Compare the accuracies of Lab 3(c) and 3(d) after fine-tuning, and look up Deep Compression.
    """
    return "true"


@misconception("answers.p1.3", fails=("verdict_3",))
def only_the_number_of_weights_counts():
    """Only the number of weights is believed to matter

    Hardware runs blocks of multiplications and memory accesses, not single non-zeros. Zeros that fill whole filters
    save time everywhere; the same number at random places may save none.

    Hint: What does a dense convolution do with a zero in the middle of a filter?
    """
    return "false"


@misconception("answers.p1.4", fails=("verdict_4",))
def norms_of_group_lasso_exchanged():
    """The two norms of Group Lasso are exchanged

    The norm inside a group and the norm over the groups do different things: only one of them is to make zeros, and
    it is the one that has to see whole groups.

    Hint: Which of L1 and L2 makes some of its inputs exactly zero, and what are the inputs to be here?
    """
    return "true"


@misconception("answers.p1.5", fails=("verdict_5",))
def soft_thresholding_without_bias():
    """Soft thresholding is believed to be free of bias

    It makes zeros exact, but it shrinks every weight that survives by the threshold, the large ones as much as the
    small ones. That is the bias of L1.

    Hint: Take the run of Lab 1(e) with λ = 2: fit only the two weights that survive by least squares, without a
    penalty, and compare.
    """
    return "true"
