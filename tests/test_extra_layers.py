"""What a function adds to the network that it is given is no layer of the assignment's; a copy of it is as good."""

from __future__ import annotations

import pytest

from tests.conftest import Graded

ADDING = """
import copy
_plain = finetune_after_prune
def finetune_after_prune(net, *args, **kwargs):
    {added}
    return _plain(net, *args, **kwargs)
"""


@pytest.mark.parametrize("added", ["net.backup = copy.deepcopy(net)", "net.spare = nn.Conv2d(1, 1, 1)"])
def test_layers_that_a_training_adds_cost_nothing(graded: Graded, added: str) -> None:
    report = graded("2c", lab2_pruning=ADDING.format(added=added))
    assert report.score == 6, [c for part in report.parts for c in part.checks if c.points < c.max_points]


TWICE = """
def finetune_after_prune(net, trainloader, criterion, optimizer, prune=True):
    masks = {layer: layer.weight.detach() != 0 for layer in prunable_layers(net).values()} if prune else {}
    net.train()
    right = 0
    for images, labels in trainloader:
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        right += (net(images).argmax(1) == labels).sum().item()
        optimizer.step()
        with torch.no_grad():
            for layer, mask in masks.items():
                layer.weight.mul_(mask)
"""


def test_a_second_pass_before_the_step_is_no_step(graded: Graded) -> None:
    report = graded("2c", lab2_pruning=TWICE)
    failed = {c.name for part in report.parts for c in part.checks if c.points < c.max_points}
    assert failed == {"finetune_runs_one_epoch"}


def test_a_batch_without_a_step_is_noticed(graded: Graded) -> None:
    skipping = TWICE.replace("optimizer.step()", "right and optimizer.step()")
    skipping = skipping.replace("right += (net(images).argmax(1) == labels).sum().item()", "")
    skipping += "        right = 1\n"
    report = graded("2c", lab2_pruning=skipping)
    failed = {c.name for part in report.parts for c in part.checks if c.points < c.max_points}
    assert "finetune_clears_its_gradients" in failed


SWAPPING = """
def _forward(self, x):
    own = self.conv.weight.data
    self.conv.weight.data = STE.apply(self.conv.weight, self.Nbits, self.symmetric).data
    y = self.conv(x)
    self.conv.weight.data = own
    return y
FP_Conv.forward = _forward
"""


def test_a_layer_that_puts_its_weight_back_computes_with_levels(graded: Graded) -> None:
    report = graded("3b", FP_layers=SWAPPING)
    assert report.score == 4, [c.message for part in report.parts for c in part.checks if c.points < c.max_points]


COPYING = """
import copy
_finetune, _accuracy = finetune_quantized, accuracy_by_bits
def finetune_quantized(make_net, *args, **kwargs):
    return _finetune(lambda num_bits: copy.deepcopy(make_net(num_bits)), *args, **kwargs)
def accuracy_by_bits(make_net, *args, **kwargs):
    return _accuracy(lambda num_bits: copy.deepcopy(make_net(num_bits)), *args, **kwargs)
"""


def test_a_copy_of_what_make_net_made_is_watched_too(graded: Graded) -> None:
    report = graded("3b", "3c", "3d", lab3_quantization=COPYING)
    assert [part.score for part in report.parts] == [4, 4, 4], [
        (c.name, c.message) for part in report.parts for c in part.checks if c.points < c.max_points
    ]
