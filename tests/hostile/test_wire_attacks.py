"""Workers that write to the connection themselves: they gain nothing, and never look like a fault of the grader.

What single malformed messages do is in ``tests/worker/test_wire.py``; here whole submissions are graded.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from grader.assignment import Assignment
from grader.grade import Grader
from grader.report import Outcome, Report
from grader.submission import Submission
from tests.conftest import ROOT, checks_of

LAB1 = "lab1_sparse_optimization"

# Replaces what sends answers, in the worker; ``change`` makes of an honest answer what is sent instead.
TAKE_OVER = """
import random as _random, sys as _sys
import numpy as _np
_wire = _sys.modules["grader.worker.wire"]
_choose = _random.Random({seed}).choice
def _same(array): return array
{change}
if not hasattr(_wire, "plain"):
    _wire.plain = _wire.send
    def _send(sock, message, limits=None):
        header, arrays = dict(message.header), {{n: _np.asarray(a) for n, a in message.arrays.items()}}
        if header.get("status") == "ok" and (header["facts"] or arrays):
            header, arrays = _change(header, arrays)
        _wire.plain(sock, _wire.Message(header, arrays), limits)
    _wire.send = _send
"""

FACTS = """
_FACTS = [None, "x", -1, 10**30, 10**400, float("nan"), [], [[[]]], {"a": {"b": []}}, True, [1] * 9999,
          ["a", "b"], [None] * 3]
def _change(header, arrays):
    return {**header, "facts": {name: _choose(_FACTS) for name in header["facts"]}}, arrays
"""
ARRAYS = """
_ARRAYS = [
    lambda a: a.astype(bool), lambda a: a.astype(_np.int8), lambda a: _np.full(a.shape, 2**64 - 1, _np.uint64),
    lambda a: a[..., :0] if a.ndim else a.reshape(0), lambda a: a.reshape(-1), lambda a: _np.zeros((0, 3)),
    lambda a: _np.array(1.5), lambda a: a[None], lambda a: a.T, lambda a: a[:1] if a.ndim else a,
    lambda a: a.reshape(a.shape + (1,) * 20), lambda a: _np.full(a.shape, 1.7e308), lambda a: a * _np.nan,
]
def _change(header, arrays):
    return header, {name: _choose(_ARRAYS)(array) for name, array in arrays.items()}
"""
SOME_OF_BOTH = (
    FACTS.replace("_change", "_change_facts").replace("[None, ", "[None, *[..., ] * 9, ")
    + ARRAYS.replace("_change", "_change_arrays").replace("_ARRAYS = [", "_ARRAYS = [*[_same] * 20,")
    + """
def _change(header, arrays):
    changed = _change_facts(header, arrays)[0]["facts"]
    facts = {name: header["facts"][name] if value is ... else value for name, value in changed.items()}
    return _change_arrays({**header, "facts": facts}, arrays)
"""
)


class Garbage(NamedTuple):
    """What a worker that took over sends, and the most that it may score over all parts: the verdicts' 5 are honest."""

    name: str
    change: str
    most: float
    seed: int = 0


GARBAGE = [
    Garbage("nothing", "def _change(header, arrays): return {**header, 'facts': {}}, {}", 5),
    Garbage("no arrays", "def _change(header, arrays): return header, {}", 12),
    Garbage("NaN", "def _change(header, arrays): return header, {n: a * _np.nan for n, a in arrays.items()}", 12),
    Garbage("infinity", "def _change(header, arrays): return header, {n: a / 0 for n, a in arrays.items()}", 12),
    *(Garbage(f"wrong facts {seed}", FACTS, 50, seed) for seed in range(2)),
    *(Garbage(f"wrong arrays {seed}", ARRAYS, 15, seed) for seed in range(2)),
    *(Garbage(f"some of both {seed}", SOME_OF_BOTH, 60, seed) for seed in range(3)),
]


def _everywhere(reference: Submission, code: str) -> Submission:
    """The reference, with code appended to every file of it."""
    files = {n: data + code.encode() if n.endswith(".py") else data for n, data in reference.files.items()}
    return Submission("hostile", files, ())


def _outcomes(report: Report) -> set[str]:
    return {check.outcome for check in checks_of(report).values()}


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: garbage.name.replace(" ", "-"))
def test_garbage_gains_nothing_and_is_no_fault_of_the_grader(
    garbage: Garbage, grader: Grader, reference: Submission
) -> None:
    report = grader.grade(_everywhere(reference, TAKE_OVER.format(change=garbage.change, seed=garbage.seed)))
    assert _outcomes(report) <= {Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED}
    assert report.score <= garbage.most
    report.model_dump_json()


def test_more_than_was_asked_for_changes_nothing(grader: Grader, reference: Submission) -> None:
    change = """
def _change(header, arrays):
    facts = {**header["facts"], **{f"more{i}": [i] for i in range(500)}}
    names = ("more", "seen.more", "seen.more.weight", "4.more", "4.more.weight", "used.more", "after.more", "net.more")
    more = {name: _np.zeros(()) for name in names}
    return {**header, "facts": facts, "score": 1e9, "outcome": "passed"}, {**arrays, **more}
"""
    report = grader.grade(_everywhere(reference, TAKE_OVER.format(change=change, seed=0)))
    assert report.score == 84


@pytest.fixture(scope="module")
def impatient(assignment: Assignment) -> Iterator[Grader]:
    limits = assignment.limits.model_copy(update={"probe_seconds": 1.0})
    with Grader(assignment.model_copy(update={"limits": limits}), show_hidden=True) as grader:
        yield grader


# Runs in the place of `gradient`, once; the socket is found as a student would find it.
FIND = """
import gc as _gc, json as _json, socket as _socket, struct as _struct, time as _time
_sent = []
def _honest(X, y, w): return 2 * X.T @ (X @ w - y)
def _reply(facts, payload=b"", status="ok"):
    header = _json.dumps({"status": status, "facts": facts}).encode()
    return _struct.pack(">II", len(header), len(payload)) + header + payload
def _is_open(sock):
    try:
        return bool(sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_TYPE))
    except OSError:
        return False
def _connection():
    (found,) = [thing for thing in _gc.get_objects() if type(thing) is _socket.socket and _is_open(thing)]
    return found
def gradient(X, y, w):
    if not _sent:
        _sent.append(1)
        _attack(_connection())
    return _honest(X, y, w)
"""
MESSAGES = {
    "two answers": ("sock.sendall(_reply({}))", "makes no sense"),
    "a thousand answers": ("sock.sendall(_reply({}) * 1000)", "makes no sense"),
    "a fault of the grader": ("sock.sendall(_reply({}, status='fault'))", "makes no sense"),
    "being ready again": ("sock.sendall(_reply({}, status='ready'))", "makes no sense"),
    "deep JSON": ("sock.sendall(_struct.pack('>II', 200000, 0) + b'[' * 200000)", "malformed data"),
    "a flood of NaN": ("sock.sendall(_reply([float('nan')] * 500000))", "makes no sense"),
    "a flood of keys": ("sock.sendall(_reply({str(i): {} for i in range(200000)}))", "makes no sense"),
    "a huge length": ("sock.sendall(_struct.pack('>II', 2**32 - 1, 2**32 - 1))", "over the limit"),
    "a cut frame": ("sock.sendall(_reply({})[:20]); _time.sleep(3)", "did not finish"),
    "dripping": (
        "sock.sendall(_struct.pack('>II', 1000, 0)); [(sock.sendall(b' '), _time.sleep(0.05)) for _ in range(60)]",
        "did not finish",
    ),
    "a payload that never ends": (
        "sock.sendall(_struct.pack('>II', 2, 64 << 20) + b'{}'); [sock.sendall(bytes(1 << 20)) for _ in range(64)]",
        "malformed data",
    ),
    "a pickle": ("sock.sendall(_reply({}, b'\\x80\\x04cos\\nsystem\\n(X\\x04\\0\\0\\0truetR.'))", "malformed data"),
    "a closed connection": ("sock.shutdown(2)", "closed its connection|exited with status"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_of_its_own_costs_only_lab_1(name: str, impatient: Grader, reference: Submission) -> None:
    """Later answers may be out of step with their questions; what another file answers is not this worker's to lose."""
    code, ending = MESSAGES[name]
    files = dict(reference.files)
    files[f"{LAB1}.py"] += f"{FIND}\ndef _attack(sock):\n    {code}\n".encode()
    report = impatient.grade(Submission("hostile", files, ()), ["1a"])
    checks = checks_of(report)
    assert _outcomes(report) <= {Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED, Outcome.TIMEOUT}
    assert report.score < report.max_score
    said = [check.message for check in checks.values() if check.outcome is not Outcome.PASSED]
    assert any(any(part in message for part in ending.split("|")) for message in said), said
    after = impatient.grade(reference, ["1a"])
    assert after.score == after.max_score


def test_answers_before_their_questions_earn_nothing(impatient: Grader, reference: Submission) -> None:
    """A file that answers everything at once, on import, knows no more than one that waits."""
    attack = "\n_connection().sendall(_reply({}) * 99)\n"
    files = {**reference.files, f"{LAB1}.py": reference.files[f"{LAB1}.py"] + (FIND + attack).encode()}
    report = impatient.grade(Submission("hostile", files, ()), ["1a", "1b"])
    assert report.score == 0
    assert _outcomes(report) <= {Outcome.FAILED, Outcome.SKIPPED, Outcome.TIMEOUT}


def test_nothing_in_the_judge_unpickles() -> None:
    """Neither an answer nor a checkpoint can bring code with it, as long as nobody reads one that way.

    Judges, which hold no student's code, send their results to the crew as pickles. One probe, in a worker, reads the
    tensors of checkpoints, and refuses whatever else is in them; the full experiments ask it, too.
    """
    readers = re.compile(r"\b(pickle|joblib|dill|shelve|marshal)\b|\btorch\.load\b|allow_pickle=True|\.recv\(\)")
    found = {
        path.relative_to(ROOT).as_posix(): match[0]
        for path in (ROOT / "grader").rglob("*.py")
        if path.name != "crew.py" and (match := readers.search(_code_of(path)))
    }
    assert found == {"grader/probes/checkpoints.py": "torch.load"}
    for path in found:
        code = _code_of(ROOT / path)
        assert code.count("torch.load") == len(re.findall(r"torch\.load\b.*\bweights_only=True", code)), path


def _code_of(path: Path) -> str:
    """A module without its docstrings and comments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree)
