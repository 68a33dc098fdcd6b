"""Mistakes in Lab 2. Names such as ``torch`` and ``prunable_layers`` are those of the module that an entry joins."""

# ruff: noqa: F821  (an entry's names are resolved in the module that it is appended to)
# mypy: ignore-errors

from __future__ import annotations

from grader.catalogue import misconception


@misconception(
    "lab2_pruning.finetune_after_prune",
    fails=(
        "finetune_keeps_zeros",
        "finetune_another_network",
        "iterative_freezes_after_the_ramp",
        "global_iterative_uses_one_threshold",
    ),
)
def forgets_the_mask(net, trainloader, criterion, optimizer, prune=True):
    """Without a mask after every step, pruned weights grow back while the network is fine-tuned."""
    net.train()
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()
