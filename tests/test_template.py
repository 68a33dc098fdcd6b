"""The student template: what the markers take away, and how drift is noticed."""

from __future__ import annotations

import ast
import copy
import re
import shutil
from pathlib import Path

import pytest

from grader import locations
from grader.authoring import template
from grader.errors import GraderError, StaleOutput
from tests.conftest import ROOT

LABS = ("lab1_sparse_optimization.py", "lab2_pruning.py", "FP_layers.py", "lab3_quantization.py")
SOLUTION_SECTION = re.compile(r"^Solution:\n(?:[ \t]+.*\n?|\n)*", re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of reference and template that may be changed."""
    for name in ("reference", "student_template"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(locations, "instructor_folder", lambda name: tmp_path / name)
    return tmp_path


def test_the_committed_template_is_up_to_date() -> None:
    assert "up to date" in template.check()


@pytest.mark.parametrize("name", ["resnet20.py", "train_util.py", "hw4.ipynb"])
def test_one_byte_of_a_provided_file_is_noticed(checkout: Path, name: str) -> None:
    path = checkout / "student_template" / name
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(StaleOutput, match=f"{name} is not what the reference gives: run `grader template build`"):
        template.check()


@pytest.mark.parametrize("name", LABS)
def test_one_line_of_a_docstring_or_signature_is_noticed(checkout: Path, name: str) -> None:
    path = checkout / "reference" / name
    path.write_text(path.read_text().replace('"""', '"""Changed. ', 1))
    with pytest.raises(StaleOutput, match=name):
        template.check()


@pytest.mark.parametrize("name", LABS)
def test_one_solution_line_in_the_template_is_noticed(checkout: Path, name: str) -> None:
    path = checkout / "student_template" / name
    line = next(line for line in path.read_text().splitlines() if "raise NotImplementedError" in line)
    path.write_text(path.read_text().replace(line, line.split("raise")[0] + "return 0", 1))
    with pytest.raises(StaleOutput, match=name):
        template.check()


@pytest.mark.parametrize("stray", [True, False])
def test_a_stray_or_missing_file_is_noticed_and_mended(checkout: Path, stray: bool) -> None:
    path = checkout / "student_template" / ("notes.txt" if stray else "answers.toml")
    path.write_text("") if stray else path.unlink()
    with pytest.raises(StaleOutput, match=path.name):
        template.check()
    template.build()
    assert "up to date" in template.check()


def _specifications(source: str) -> dict[str, tuple[str, str]]:
    """Head (decorators and fields too) and docstring of a file, its public functions and classes, and their methods."""
    tree = ast.parse(source)
    found = {"": ("", ast.get_docstring(tree) or "")}
    for prefix, nodes in [("", tree.body), *((f"{n.name}.", n.body) for n in tree.body if isinstance(n, ast.ClassDef))]:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and (node.name[:2] == "__" or node.name[0] != "_"):
                head = copy.copy(node)
                fields = [child for child in node.body if isinstance(child, ast.AnnAssign)]
                head.body = fields if isinstance(node, ast.ClassDef) and fields else [ast.Pass()]
                found[prefix + node.name] = (ast.unparse(head), (ast.get_docstring(node) or "").strip())
    return found


@pytest.mark.parametrize("name", LABS)
def test_signatures_are_those_of_the_reference(name: str) -> None:
    ours, theirs = (_specifications((ROOT / folder / name).read_text()) for folder in ("reference", "student_template"))
    assert {key: head for key, (head, _) in theirs.items()} == {key: head for key, (head, _) in ours.items()}


@pytest.mark.parametrize("name", LABS)
def test_docstrings_are_those_of_the_reference_without_their_solutions(name: str) -> None:
    ours, theirs = (_specifications((ROOT / folder / name).read_text()) for folder in ("reference", "student_template"))
    expected = {key: SOLUTION_SECTION.sub("", doc).strip() for key, (_, doc) in ours.items()}
    assert {key: doc for key, (_, doc) in theirs.items()} == expected


def test_no_part_of_the_specification_is_in_a_solution_section() -> None:
    """What is stripped is the section itself, which is indented, and nothing that stands after it."""
    docs = [doc for name in LABS for _, doc in _specifications((ROOT / "reference" / name).read_text()).values()]
    sections = [section for doc in docs for section in SOLUTION_SECTION.findall(doc)]
    assert len(sections) >= 10
    assert not [s for s in sections if re.search(r"\b(Args|Returns|Raises|Attributes):", s)]


@pytest.mark.parametrize("name", LABS)
def test_nothing_of_a_solution_is_left(name: str) -> None:
    source = (ROOT / "student_template" / name).read_text()
    assert "SOLUTION" not in source
    assert "Solution:" not in source
    reference = (ROOT / "reference" / name).read_text().splitlines()
    inside, solution = False, set()
    for line in reference:
        inside = (inside or "# BEGIN SOLUTION" in line) and "# END SOLUTION" not in line
        if inside and len(line.strip()) > 25 and "BEGIN" not in line:
            solution.add(line.strip())
    outside = [line.strip() for line in reference if line.strip() not in solution]
    assert solution
    assert not [line for line in source.splitlines() if line.strip() in solution and line.strip() not in outside]


@pytest.mark.parametrize("name", LABS)
def test_every_stub_names_its_part_and_function(name: str) -> None:
    tree = ast.parse((ROOT / "student_template" / name).read_text())
    stubs = [
        (node.name, ast.unparse(child.exc))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for child in node.body
        if isinstance(child, ast.Raise) and child.exc is not None
    ]
    assert stubs
    for function, raised in stubs:
        assert raised.startswith("NotImplementedError('Lab ")
        assert f"{function}` is still to be written" in raised


def test_a_region_without_an_end_is_an_error() -> None:
    with pytest.raises(GraderError, match=r"x\.py line 2: this solution has no end"):
        template.strip_solutions("def f():\n    # BEGIN SOLUTION 1(a)\n    return 1\n", "x.py")


def test_a_region_inside_a_region_is_an_error() -> None:
    source = "def f():\n    # BEGIN SOLUTION 1(a)\n    # BEGIN SOLUTION 1(b)\n    return 1\n    # END SOLUTION\n"
    with pytest.raises(GraderError, match=r"x\.py line 3: a solution begins inside another one"):
        template.strip_solutions(source, "x.py")


def test_a_functions_region_must_name_its_part() -> None:
    with pytest.raises(GraderError, match="the solution of f does not name its part"):
        template.strip_solutions("def f():\n    # BEGIN SOLUTION\n    return 1\n    # END SOLUTION\n", "x.py")


def test_answers_keep_their_prompts_only() -> None:
    source = '["p1.1"]\nprompt = "Is it?"\nverdict = "false"\nexplanation = """\nBecause.\nReally."""\nq30 = 9.5\n'
    expected = '["p1.1"]\nprompt = "Is it?"\nverdict = ""\nexplanation = ""\nq30 = ""\n'
    assert template.strip_answers(source) == expected
