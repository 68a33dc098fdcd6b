"""The rules of the house: which module may import which, and what every module declares."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

MODULES = sorted((ROOT / "grader").rglob("*.py"))
LAYERS = {
    # below: what each part of the package may import, besides itself
    "errors": set(),
    "report": set(),
    "environment": set(),
    "files": {"errors"},
    "locations": {"errors"},
    "assignment": {"errors"},
    "cases": {"errors"},
    "worker": {"environment", "errors", "probes"},
    "probes": {"worker"},
    "written": {"assignment", "report"},
    "notebook": {"errors"},
    "entries": {"errors", "notebook"},
    "collecting": {"entries", "errors", "notebook"},
    "checkpoints": {"entries", "errors", "notebook"},
    "submission": {"checkpoints", "collecting", "entries", "errors", "notebook"},
    "forms": {"cases", "errors"},
    "interview": {"assignment", "cases", "errors", "worker"},
    "evaluator": {"assignment", "cases", "errors", "interview", "worker"},
    "full": {"assignment", "cases", "checkpoints", "errors", "evaluator", "interview", "locations", "notebook",
             "report", "worker", "written"},
    "session": {"assignment", "cases", "errors", "evaluator", "forms", "full", "interview", "written"},
    "checks": {"cases", "errors", "full", "session"},
    "run_checks": {"assignment", "errors", "report", "session", "checks"},
    "memory": {"assignment", "cases", "errors", "interview", "worker"},
    "doctor": {"worker"},
    "diagnosis": {"errors", "session"},
    "oracle": {"assignment", "authoring", "cases", "diagnosis", "errors", "locations"},
    "grade": {"assignment", "authoring", "cases", "diagnosis", "errors", "evaluator", "full", "interview", "locations",
              "memory", "oracle", "report", "run_checks", "session", "submission", "worker", "written"},
    "render": {"report"},
    "watch": {"checkpoints"},
    "catalogue": {"errors"},
    "authoring": {"assignment", "cases", "catalogue", "diagnosis", "errors", "evaluator", "grade", "gradebook",
                  "interview", "locations", "memory", "oracle", "render", "report", "runs", "session", "submission",
                  "verify", "written"},
    "crew": {"environment", "errors", "worker"},
    "gradebook": {"assignment", "checkpoints", "crew", "entries", "errors", "files", "full", "grade", "locations",
                  "render", "report", "submission", "worker"},
    "verify": {"assignment", "catalogue", "checks", "crew", "errors", "grade", "locations", "memory", "oracle",
               "render", "report", "run_checks", "submission"},
    "runs": {"assignment", "cases", "errors", "evaluator", "files", "full", "grade", "locations", "submission",
             "written"},
    "full_options": {"errors", "full"},
    "class_commands": {"assignment", "errors", "full", "full_options", "gradebook", "locations", "worker"},
    "run_commands": {"class_commands", "errors", "locations", "runs"},
    "cli": {"assignment", "authoring", "class_commands", "doctor", "errors", "full_options", "grade", "gradebook",
            "locations", "render", "report", "run_commands", "submission", "verify", "watch", "worker"},
}  # fmt: skip


def _layer(module: str) -> str:
    return module.split(".")[1]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own(path: Path) -> set[str]:
    """The parts of the package that a file imports; ``from grader import x`` names x."""
    return {_layer(name) for name in _imports(path) if name.startswith("grader.") and _layer(name) != "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT / "grader").parts[0].removesuffix(".py")
    if layer == "__init__":
        assert _own(path) == set()
        return
    assert _own(path) - {layer} <= LAYERS[layer]


@pytest.mark.parametrize("folder", ["reference", "student_template"])
def test_the_labs_import_nothing_of_the_grader(folder: str) -> None:
    for path in (ROOT / folder).glob("*.py"):
        assert not [name for name in _imports(path) if name.split(".")[0] == "grader"], path


def test_the_untrusted_side_knows_no_answers() -> None:
    for folder in ("worker", "probes"):
        for path in (ROOT / "grader" / folder).rglob("*.py"):
            assert not _own(path) & {"checks", "oracle", "catalogue", "authoring", "cases"}, path


def test_the_judge_needs_no_torch_in_the_quick_profile() -> None:
    """Everything that ``grader check`` imports in its own process."""
    judge = set(LAYERS) - {"authoring", "catalogue", "probes", "run_commands", "runs", "verify", "worker"}
    for path in MODULES:
        if path.relative_to(ROOT / "grader").parts[0].removesuffix(".py") in judge:
            assert not [name for name in _imports(path) if name.split(".")[0] in ("torch", "torchvision")], path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    exported = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    ]
    for names in exported:
        listed = ast.literal_eval(names)
        assert listed == sorted(listed), f"__all__ of {path} is not sorted"
        defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        assigned = {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        assigned |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
        assert set(listed) <= defined | assigned, f"__all__ of {path} names what is not there"


def test_every_check_has_a_title_of_one_line() -> None:
    titles = []
    for path in (ROOT / "grader" / "checks").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
                title = ast.get_docstring(node)
                assert title, node.name
                assert "\n" not in title, node.name
                titles.append(title)
    assert len(titles) == len(set(titles)), "two checks have the same title"
