"""Tricks that beat graders which share a process with student code: here they gain nothing."""

from __future__ import annotations

import pytest

from grader import locations
from grader.assignment import Assignment
from grader.grade import Grader
from grader.submission import Submission, load_submission
from tests.conftest import Graded, checks_of

LAB1 = "lab1_sparse_optimization"

ALWAYS_EQUAL = """
class Anything(np.ndarray):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __le__(self, other): return np.ones(self.shape, bool)
    def __sub__(self, other): return np.zeros(self.shape)
    def __array_ufunc__(self, *args, **kwargs): return True
    def __array_function__(self, *args, **kwargs): return True

def gradient(X, y, w):
    return np.zeros(w.shape).view(Anything)
"""

LYING_TENSOR = """
import torch

class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.equal, torch.allclose, torch.Tensor.__eq__):
            return True
        return super().__torch_function__(func, types, args, kwargs or {})

def gradient(X, y, w):
    return torch.zeros(len(w)).as_subclass(Liar)
"""

PATCHED = """
import numpy.testing, torch

def _yes(*args, **kwargs): return True

for module, name in ((torch, "allclose"), (torch, "equal"), (np, "allclose"), (np, "array_equal"),
                     (numpy.testing, "assert_allclose"), (torch.testing, "assert_close")):
    setattr(module, name, _yes)
try:
    import pytest, _pytest.runner, _pytest.reports
    _pytest.reports.TestReport.from_item_and_call = classmethod(lambda *a, **k: None)
    pytest.fail = pytest.skip = _yes
except ImportError:
    pass

def gradient(X, y, w):
    return np.zeros_like(w)
"""

COLLECTOR = """
import gc, sys

def gradient(X, y, w):
    best = np.zeros_like(w)
    for thing in gc.get_objects():
        if isinstance(thing, dict):
            for key in ("expected", "value", "golden", "weights"):
                found = thing.get(key)
                if isinstance(found, np.ndarray) and found.shape == w.shape:
                    best = found
    frame = sys._getframe()
    while frame is not None:
        for found in frame.f_locals.values():
            if isinstance(found, np.ndarray) and found.shape == w.shape and found is not w and found is not y:
                best = found
        frame = frame.f_back
    return best
"""

EXITING = """
import atexit, os

def gradient(X, y, w):
    os._exit(0)
"""

READER = """
import glob, os

def gradient(X, y, w):
    found = []
    for root in (".", "..", os.path.expanduser("~")):
        found += glob.glob(os.path.join(root, "**", "cases.json"), recursive=True)[:1]
    return np.zeros_like(w)
"""


RECOGNISING = """
import sys

_recorded = {}
_right = loss

def loss(X, y, w):
    frame = sys._getframe()
    while frame is not None:
        weights = frame.f_locals.get("inputs", {}) if isinstance(frame.f_locals.get("inputs"), dict) else {}
        if "weights" in weights and (found := _recorded.get(weights["weights"].tobytes())):
            return found.pop(0)
        frame = frame.f_back
    return _right(X, y, w)

def _wrong(solve):
    def solver(*args, **kwargs):
        weights = solve(*args, **kwargs).weights
        wrong = np.arange(len(weights)) + 7.0
        _recorded[weights.tobytes()] = list(wrong)
        return History(weights, wrong)
    return solver

gradient_descent = _wrong(gradient_descent)
"""


def test_wrong_losses_are_not_saved_by_a_loss_that_knows_who_asks(graded: Graded) -> None:
    """Losses may be those of a `loss` that is wrong, and costs its points; not those of one that seems right."""
    checks = checks_of(graded("1a", "1b", **{LAB1: RECOGNISING}))
    assert checks["loss_is_exact"].outcome == "passed"
    assert checks["gradient_descent_trajectory"].outcome == "passed"
    assert checks["gradient_descent_losses"].outcome == "failed"


@pytest.mark.parametrize("trick", [ALWAYS_EQUAL, LYING_TENSOR, PATCHED, COLLECTOR, EXITING, READER],
                         ids=["eq", "tensor", "patch", "collector", "exit", "reader"])  # fmt: skip
def test_a_trick_scores_no_more_than_an_honest_zero(graded: Graded, trick: str) -> None:
    honest = graded("1a", **{LAB1: "def gradient(X, y, w):\n    return np.zeros_like(w)"})
    tricky = graded("1a", **{LAB1: trick})
    assert tricky.score <= honest.score
    assert checks_of(tricky)["gradient_is_exact"].outcome == "failed"
    assert checks_of(tricky)["loss_is_exact"].outcome == "passed"


def test_all_tricks_at_once_score_no_more_than_none(grader: Grader, reference: Submission) -> None:
    """Over the whole assignment, on top of the template and on top of the reference."""
    template = load_submission(locations.pristine(), locations.pristine())
    for base, full in ((template, 0), (reference, 84)):
        files = dict(base.files)
        for name in files:
            if name.endswith(".py"):
                files[name] += (
                    (PATCHED.partition("def gradient")[0])
                    .replace("np.", "__import__('numpy').")
                    .replace("(np,", "(__import__('numpy'),")
                    .encode()
                )
        report = grader.grade(Submission("tricks", files, ()))
        assert report.score <= full


def test_files_that_steer_test_runners_are_not_taken(tmp_path, reference: Submission, grader: Grader) -> None:
    for name, data in reference.files.items():
        (tmp_path / name).write_bytes(data.replace(b"return 2 * X.T", b"return X.T"))
    for name in (
        "conftest.py",
        "sitecustomize.py",
        "torch.py",
        "grader.py",
        "test_all.py",
        "resnet20.py",
        "usercustomize.py",
    ):
        (tmp_path / name).write_text("raise SystemExit(0)")
    report = grader.grade(load_submission(tmp_path, locations.pristine()), ["1a", "2a"])
    assert checks_of(report)["gradient_is_exact"].outcome == "failed"
    assert report.parts[1].score == 2


def test_labels_are_not_sent_to_a_submission(public_requests: list[set[str]]) -> None:
    assert public_requests
    assert not [names for names in public_requests if any("test." in name for name in names)]


@pytest.fixture
def public_requests(grader: Grader, reference: Submission, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The bytes of the test labels, looked for in everything that is sent to a worker."""
    import numpy as np

    from grader.cases import load_cases
    from grader.worker import wire

    labels = load_cases(locations.fixtures() / "public").shared["test.labels"]
    sent: list[set[str]] = []
    plain = wire.send

    def spy(sock, message, limits=None):  # type: ignore[no-untyped-def]
        leaking = {
            f"test.{n}" for n, a in message.arrays.items() if a.shape == labels.shape and np.array_equal(a, labels)
        }
        sent.append(leaking | set(message.arrays))
        plain(sock, message, limits)

    monkeypatch.setattr(wire, "send", spy)
    grader.grade(reference)
    return sent


def test_hidden_inputs_do_not_leak_through_messages(assignment: Assignment, reference: Submission) -> None:
    """A student's own message may hold what it was given; of a hidden check it is not shown."""
    files = dict(reference.files)
    files[f"{LAB1}.py"] += b"\n\ndef loss(X, y, w):\n    raise NotImplementedError(repr(w))\n"
    with Grader(assignment) as grader:
        checks = checks_of(grader.grade(Submission("leak", files, ()), ["1a"]))
    assert checks["loss_is_exact"].message != ""
    assert checks["loss_on_other_problems"].outcome == "failed"
    assert checks["loss_on_other_problems"].message == ""


def test_half_a_surrogate_pair_breaks_no_report(graded: Graded) -> None:
    report = graded("1a", **{LAB1: "def loss(X, y, w): raise ValueError('\\ud800')"})
    assert "ValueError" in checks_of(report)["loss_is_exact"].message
    str(report.to_json()).encode()


LAZY = {
    LAB1: """
def _stay(X, y, w0, lr, steps, *rest, **more):
    return History(np.tile(w0, (steps + 1, 1)), np.full(steps + 1, loss(X, y, w0)))

gradient_descent = projected_gradient_descent = l1_gradient_descent = _stay
proximal_gradient_descent = trimmed_l1_gradient_descent = _stay
def soft_threshold(w, threshold): return w * 0
def trimmed_soft_threshold(w, threshold, n_penalized): return w
""",
    "lab2_pruning": """
def prune_by_percentage(layer, q=70.0): layer.weight.data.zero_()
def global_prune_by_percentage(net, q=70.0):
    for layer in prunable_layers(net).values(): layer.weight.data.zero_()
def finetune_after_prune(net, loader, criterion, optimizer, prune=True):
    net.train()
    for x, y in loader: net(x)
def sparsity_by_layer(net): return {"x": 0.0}
""",
    "lab3_quantization": """
def finetune_quantized(make_net, state_dict, num_bits, trainloader, epochs=20, **more):
    net = make_net(num_bits)
    net.load_state_dict(state_dict)
    for _ in range(epochs):
        for x, y in trainloader: net(x)
    return net
""",
}


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (LAB1, "1d"),
        ("lab2_pruning", "2b"),
        ("lab2_pruning", "2e"),
        ("lab3_quantization", "3c"),
        ("lab3_quantization", "3d"),
    ],
)
def test_doing_nothing_earns_nothing(graded: Graded, module: str, part: str) -> None:
    """Properties that hold of an empty result must not be worth points."""
    (report,) = graded(part, **{module: LAZY[module]}).parts
    assert report.score <= 0.05 * report.max_score, [c.name for c in report.checks if c.points]
