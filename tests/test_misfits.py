"""Functions that a notebook defines anew for another purpose: which are left out, and which are kept."""

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
