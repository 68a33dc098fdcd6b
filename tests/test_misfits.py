"""What a notebook defines anew for another purpose: what is left out, and what is kept."""

from __future__ import annotations

import pytest

from grader.notebook.misfits import without_misfits
from grader.notebook.syntax import parse, statements

TEMPLATE = "def loss(X, y, w): ...\ndef train(net, epochs=1): ...\nclass Net: ..."
MODELS = {stmt.name: stmt for stmt in parse(TEMPLATE).body}  # type: ignore[attr-defined]
RIGHT = "def loss(X, y, w):\n    return 'right'\n"


def kept(*cells: str) -> tuple[str, set[str]]:
    left, names = without_misfits(list(statements("".join(cells))), MODELS)
    return "\n".join(text for text, _ in left), names


@pytest.mark.parametrize(
    "later",
    [
        "def loss(out, labels):\n    return 'later'\n",
        "def loss(net, out, labels, eps):\n    return 'later'\n",
        "def loss(X, y, w, *, eps):\n    return 'later'\n",
        "def loss():\n    return 'later'\n",
    ],
)
def test_what_cannot_be_called_so_is_left_out(later: str) -> None:
    assert kept(RIGHT, later) == (RIGHT.rstrip(), {"loss"})


@pytest.mark.parametrize(
    "later",
    [
        "def loss(a, b, c):\n    return 'later'\n",
        "def loss(*args):\n    return 'later'\n",
        "def loss(X, y, w, eps=1):\n    return 'later'\n",
        "def loss(X, y, w, *, eps=1):\n    return 'later'\n",
        "def loss(X, y, *, w):\n    return 'later'\n",
        "def loss(X, **others):\n    return 'later'\n",
        "@partial\ndef loss(w):\n    return 'later'\n",
    ],
)
def test_what_can_be_called_so_is_kept(later: str) -> None:
    text, names = kept(RIGHT, later)
    assert "later" in text and not names


LATER = "def loss(out):\n    return 'later'\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "def train(net, epochs=1):\n    return loss(net)\n"),
        ("", "class Net:\n    f = lambda x: loss(x)\n"),
        ("", "def helper(net):\n    return loss(net)\ndef train(net, epochs=1):\n    return helper(net)\n"),
        ("def helper(net):\n    return loss(net)\ndef train(net, epochs=1):\n    return helper(net)\n", ""),
        ("", "def train(net, epochs=1):\n    return [loss]\n"),
        ("", "def train(net, epochs=1):\n    return loss(*net)\n"),
        ("", "loss = partial(loss, 1)\n"),
        ("", "kept = loss\n"),
        ("", "loss = lambda X, y, w: 1\n"),
    ],
)
def test_a_later_one_that_is_needed_is_kept(before: str, after: str) -> None:
    text, names = kept(RIGHT, before, LATER, after)
    assert "later" in text and not names


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "def mine(net):\n    return loss(net)\n"),
        ("", "def train(net, epochs=1):\n    loss = net()\n    return loss\n"),
        ("", "def train(net, epochs=1):\n    return loss(net, 1, w=2)\n"),
        ("def train(net, epochs=1):\n    return loss(net, 1, 2)\n", ""),
        ("old = loss\n", ""),
    ],
)
def test_a_later_one_that_nothing_asked_for_needs_is_left_out(before: str, after: str) -> None:
    text, names = kept(RIGHT, before, LATER, after)
    assert "later" not in text and names == {"loss"}


def test_nothing_takes_the_place_of_the_only_one_that_was_written() -> None:
    later = "def loss(out):\n    return 'later'\n"
    for stub in ("", "def loss(X, y, w):\n    raise NotImplementedError\n", "def loss(X, y, w):\n    '''Loss.'''\n"):
        text, names = kept(stub, later)
        assert "later" in text and not names


IMPORTS = "import numpy as np, torch.nn.functional as F\nfrom functools import partial\nfrom helpers import own\n"


@pytest.mark.parametrize(
    "later",
    [
        "loss = lambda out, labels: 'later'",
        "loss = lambda: 'later'",
        "loss = lambda X, y, w, eps: 'later'",
        "loss = F.later",
        "loss = np.later.later",
        "from numpy import later as loss",
        "class loss:\n    later = 1",
        "def later(out): ...\nloss = later",
        "class later: ...\nloss = later",
        "loss = partial(loss, w='later')",
        "loss = partial(loss, 'later')",
        "def later(out, labels): ...\nloss = partial(later, eps=1)",
        "loss = F.later\nloss = lambda out: 'later'",
    ],
)
def test_what_is_no_function_for_the_assignment_is_left_out(later: str) -> None:
    """However it is given the name."""
    text, names = kept(IMPORTS, RIGHT, later)
    assert names == {"loss"}
    assert "loss" not in text.split("'right'")[1]


@pytest.mark.parametrize(
    "later",
    [
        "loss = lambda a, b, c: 'later'",
        "loss = lambda *later: 0",
        "def later(X, y, w): ...\nloss = later",
        "def later(X, y, w, eps): ...\nloss = partial(later, eps=1)",
        "def later(eps, X, y, w): ...\nloss = partial(later, 1)",
        "def later(*args): ...\nloss = partial(later, 1)",
        "loss = partial(loss, *later)",
        "loss = np.vectorize(own.later)",
        "loss = later",
        "loss = own.later",
        "class later: ...\nloss = later.loss",
        "from helpers import later as loss",
        "from .numpy import later as loss",
        "@own\nclass loss:\n    later = 1",
        "if own:\n    loss = F.later",
        "loss, later = F.one, F.other",
        "train = partial(train, epochs='later')",
        "Net = F.later",
        "loss = F.later\nused = loss",
        "loss = F.later\ndef train(net, epochs=1):\n    return loss(net, net)",
    ],
)
def test_what_may_be_the_answer_is_kept(later: str) -> None:
    text, names = kept(IMPORTS, RIGHT, "def train(net, epochs=1):\n    return 1\n", later)
    assert "later" in text.split("'right'")[1] and not names


def test_another_library_takes_the_place_of_nothing_that_was_written() -> None:
    for before in ("", "def loss(X, y, w): ...\n", "def loss(X):\n    return 1\n", "loss = own\n"):
        text, names = kept(IMPORTS, before, "loss = F.later")
        assert "later" in text and not names


def test_what_a_statement_binds_besides_is_kept() -> None:
    text, names = kept(
        RIGHT, "import numpy as loss, math\nfrom numpy import later as loss, exp\nmse = loss = math.sin\n"
    )
    assert names == {"loss"}
    assert text.split("'right'\n")[1] == "import math\nfrom numpy import exp\nmse = math.sin"
