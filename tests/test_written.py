"""answers.toml: what counts as an answer, and that nothing in it breaks a report."""

from __future__ import annotations

import time

import pytest

from grader.assignment import Assignment
from grader.written import Written, manual_items, read_written

TEMPLATE = read_written(
    b'["p1.1"]\nprompt = "Is it?"\nverdict = ""\nexplanation = ""\n[1a.derivation]\nprompt = "Derive."\nanswer = ""\n'
)


@pytest.mark.parametrize("text", ["", "  ", "TODO", "...", "your answer here", "---", "n/a"])
def test_placeholders_wait_for_nobody(assignment: Assignment, text: str) -> None:
    written = Written({"p1.1": {"explanation": text}})
    item = next(i for i in manual_items(assignment, TEMPLATE, written) if i.part == "p1.1")
    assert (item.text, item.waiting) == ("", False)


def test_prompts_are_the_templates(assignment: Assignment) -> None:
    written = Written({"1a": {"derivation": {"prompt": "Give me full marks.", "answer": "By the chain rule."}}})
    item = next(i for i in manual_items(assignment, TEMPLATE, written) if i.part == "1a")
    assert (item.prompt, item.text, item.max_score) == ("Derive.", "By the chain rule.", 2)


@pytest.mark.parametrize(
    "data",
    [b"x = ", b"\xff\xfe", b"x = " + b"9" * 5000, b"[" * 5000, b"a = 1\na = 2"],
)
def test_what_cannot_be_read_is_one_sentence(data: bytes) -> None:
    written = read_written(data)
    assert written.problem is not None
    assert "answers.toml is not valid TOML" in written.problem
    assert written.complaints() == [f"{written.problem}: none of its answers count."]


def test_odd_values_break_nothing(assignment: Assignment) -> None:
    written = read_written(b'"p1.2" = 3\n["p1.1"]\nexplanation = 0x' + b"f" * 6000 + b"\nverdict = [1]\n")
    assert written.text("p1.1", "verdict") == written.text("p1.2", "verdict") == ""
    assert all(not item.text for item in manual_items(assignment, TEMPLATE, written))


@pytest.mark.parametrize(
    "data",
    [
        b".".join([b"a"] * 50_000) + b" = 1",
        b"[a]\n" * 50_000 + b"x",
        b'"a".' * 20_000 + b"a = 1",
        b"#" * 300_000,
        b"[p1.1" + b'"' * 250_000 + b"x\n",
        b"[p1.1" + b" " * 250_000 + b"x\n",
    ],
)
def test_what_would_take_for_ever_to_read_is_refused_at_once(data: bytes) -> None:
    started = time.perf_counter()
    assert read_written(data, ("p1.1", "p1.2")).problem
    assert time.perf_counter() - started < 5


def test_quotation_marks_without_end_are_read_at_once() -> None:
    started = time.perf_counter()
    (fault,) = read_written(b'"""' * 80_000 + b"\n[a.b]" * 2, ("p1.1",)).faults
    assert "above its first table" in fault
    assert time.perf_counter() - started < 5


def test_a_verdict_that_is_neither_is_said_at_once() -> None:
    written = read_written(b'["p1.1"]\nverdict = "yes"\n["p1.2"]\nverdict = true\n["p1.3"]\nverdict = ""\n')
    assert written.complaints() == ['The verdict of p1.1 in answers.toml is neither "true" nor "false".']


_BROKEN = b"""["p1.1"]
verdict = False
explanation = "A step jumps over zero."
["p1.2"]
verdict = false
explanation = "They remove different "redundancy"."
[1a.derivation]
answer = '''
By the chain rule.
[1]
'''
[2b]
q30 = 79,69
[3b.comment]
answer = "Steeply."
[3b.comment]
answer = "Twice."
"""


def test_a_broken_table_costs_no_other_table(assignment: Assignment) -> None:
    """Python's spelling of a verdict is read; a decimal comma and a quote within quotes cost their tables only."""
    written = read_written(_BROKEN.replace(b"\n", b"\r\n"))
    assert written.problem is None
    assert written.tables["p1.1"] == {"verdict": False, "explanation": "A step jumps over zero."}
    assert written.tables["3b"] == {"comment": {"answer": "Steeply."}}
    assert written.tables["1a"] == {"derivation": {"answer": "By the chain rule.\n[1]\n"}}
    told = written.complaints()
    assert [fault.partition(":")[0] for fault in told] == [
        'answers.toml is not valid TOML in ["p1.2"]',
        "answers.toml is not valid TOML in [2b]",
        "answers.toml is not valid TOML in [3b.comment]",
    ]
    assert "line 13, column 9" in told[1]


def test_what_is_no_toml_waits_for_a_person(assignment: Assignment) -> None:
    """A typo must not make a total final that lacks the points of a text that is there."""
    template = Written({part: {"prompt": "Why?", "explanation": ""} for part in ("p1.1", "p1.2")})
    items = {item.part: item for item in manual_items(assignment, template, read_written(_BROKEN))}
    assert items["p1.2"].waiting
    assert 'They remove different "redundancy".' in items["p1.2"].text
    assert items["p1.1"].text == "A step jumps over zero."


@pytest.mark.parametrize(
    "header",
    [
        '["p1.2]',
        '["p1.2"',
        "[“p1.2”]",
        "[p1.2",
        "[p1.2]",
        "[ 'p1.2' ]",
        '["p1.2"]',
        '["p1.2]"',
        '["p1.2"]]',
        '[["p1.2"]]',
        "[[p1.2]]",
        '["p1.2"]:',
        '["p1.2"]\u00a0',
        '\u200b["p1.2"]',
        "[ “p1.2” ]",
        "[“P1.2”]",
    ],
)
@pytest.mark.parametrize("broken", ["", "x = ,\n"])
def test_a_header_that_names_a_part_is_read_whatever_its_quotation_marks(header: str, broken: str) -> None:
    text = f"""["p1.1"]
verdict = "true"
explanation = "It is."
{header}  # of mine
verdict = FALSE
explanation = "It is not."
[2b]
q30 = 79.69
[2bc]
{broken}"""
    written = read_written(text.encode(), ("p1.1", "p1.2", "2b"))
    assert written.tables["p1.1"] == {"verdict": "true", "explanation": "It is."}
    assert written.tables["p1.2"] == {"verdict": False, "explanation": "It is not."}
    assert written.number("2b", "q30") == 79.69
    assert len(written.complaints()) == bool(broken)


def test_part_of_a_part_is_found_without_quotation_marks() -> None:
    written = read_written(b"[p1.2]\nverdict = true\n[p1.2.more]\nanswer = 'b'\n", ("p1.1", "p1.2"))
    assert written.tables["p1.2"] == {"verdict": True, "more": {"answer": "b"}}
    assert "p1.1" not in written.tables


def test_what_is_below_no_header_is_said_to_be_lost() -> None:
    written = read_written(b"""[1a]\nx = 1\n['odd"]\ny = 2\n""", ("1a",))
    assert written.tables == {"1a": {"x": 1}}
    assert "in ['odd\"]" in written.complaints()[0] and "Nothing of it counts" in written.complaints()[0]


def test_a_table_of_a_part_is_found_whatever_is_quoted() -> None:
    text = (
        """["1a.derivation"]\nanswer = "By the chain rule."\n["2d.numbers"]\naccuracy = 81.5\n[2d]\ncomment = "a"\n"""
    )
    for broken in ("", "x = ,\n"):
        written = read_written(f"{text}{broken}".encode(), ("1a", "2d"))
        assert written.tables["1a"]["derivation"] == {"answer": "By the chain rule."}
        assert written.number("2d", "numbers", "accuracy") == 81.5


@pytest.mark.parametrize("text", ['"p1.2" = true', '[["p1.2"]]\nx = 1\n[["p1.2"]]\nx = 2', 'p1.2 = "true"'])
def test_a_part_that_is_no_table_is_said_to_be_lost(text: str) -> None:
    written = read_written(f"{text}\n[2b]\nq30 = 1\n".encode(), ("p1.1", "p1.2", "2b"))
    assert written.number("2b", "q30") == 1
    assert written.complaints() == [
        'p1.2 in answers.toml is no table: write ["p1.2"] once, above its answers. Nothing of it counts.'
    ]


def test_what_stands_above_the_first_table_counts_or_is_said_to_be_lost() -> None:
    broken = """[2b]\nq30 = 79,69\n"""
    written = read_written(f'"p1.1".verdict = "true"\n{broken}'.encode(), ("p1.1", "2b"))
    assert written.tables["p1.1"] == {"verdict": "true"} and len(written.complaints()) == 1
    written = read_written(f"verdict = tru\n[1a]\nx = 1\n{broken}".encode(), ("1a", "2b"))
    assert ["above its first table" in fault for fault in written.complaints()] == [True, False]


def test_a_line_of_a_text_is_no_header() -> None:
    text = '''["p1.1"]
explanation = """In matrix form
[w]
[A.B]
[Han15]
holds."""
verdict = "false"
[2b]
q30 = 79,69
'''
    written = read_written(text.encode(), ("p1.1", "2b"))
    assert written.tables["p1.1"]["verdict"] == "false"
    assert len(written.complaints()) == 1
