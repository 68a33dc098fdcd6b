"""What a function adds to the network that it is given is no layer of the assignment's."""

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
