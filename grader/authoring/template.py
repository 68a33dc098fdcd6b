"""``grader template build|check``: the student template, made from the reference by stripping its solutions.

In the reference, ``# BEGIN SOLUTION 1(a)`` and ``# END SOLUTION`` enclose what a student writes; a region inside a
function becomes a ``NotImplementedError`` that names the part, one at module level becomes nothing. In docstrings the
section ``Solution:`` goes. In answers.toml every value but the prompts is emptied. Everything else is copied.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from grader import locations
from grader.errors import GraderError, StaleOutput

__all__ = ["build", "check", "generate", "strip_answers", "strip_solutions"]

_SOLVED = ("lab1_sparse_optimization.py", "lab2_pruning.py", "FP_layers.py", "lab3_quantization.py")
_COPIED = ("resnet20.py", "train_util.py", "hw4.ipynb")
_BEGIN = re.compile(r"^( *)# BEGIN SOLUTION(?: (\S+))?$")
_END = re.compile(r"^ *# END SOLUTION$")
_KEY = re.compile(r'^("[^"]+"|[\w-]+)\s*=\s*(.*)$')


def generate() -> dict[str, bytes]:
    """Every file of the template, by name.

    Raises:
        GraderError: the reference is not here, or a marker in it is wrong.
    """
    reference = locations.instructor_folder("reference")
    files = {name: (reference / name).read_bytes() for name in _COPIED}
    for name in _SOLVED:
        files[name] = strip_solutions((reference / name).read_text(encoding="utf-8"), name).encode()
    files["answers.toml"] = strip_answers((reference / "answers.toml").read_text(encoding="utf-8")).encode()
    return files


def build() -> str:
    """Write the template; a sentence for the person who asked."""
    folder = locations.instructor_folder("student_template")
    files = generate()
    for stray in {path.name for path in folder.iterdir()} - set(files):
        if (folder / stray).is_file():
            (folder / stray).unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return f"wrote {len(files)} files to {folder}"


def check() -> str:
    """Compare the template with what the reference gives now.

    Raises:
        StaleOutput: naming the first file that differs.
    """
    folder = locations.instructor_folder("student_template")
    files = generate()
    present = {path.name for path in folder.iterdir() if path.is_file()}
    for name in sorted(present | set(files)):
        if name not in present or name not in files or (folder / name).read_bytes() != files[name]:
            raise StaleOutput(f"{folder / name} is not what the reference gives: run `grader template build`")
    return f"{folder} is up to date"


def strip_solutions(source: str, name: str) -> str:
    """The template of one Python file.

    Args:
        source: the reference's text.
        name: its file name, for messages.

    Raises:
        GraderError: a region is not closed, or a function's region does not name its part.
    """
    tree = ast.parse(source)
    hidden = _solution_sections(tree, source)
    lines, kept, region = source.splitlines(), [], None
    for number, line in enumerate(lines, start=1):
        if begin := _BEGIN.match(line):
            if region is not None:
                raise GraderError(f"{name} line {number}: a solution begins inside another one")
            region = number
            kept += _placeholder(tree, begin[1], begin[2], number, name)
        elif _END.match(line):
            region = None
        elif region is None and number not in hidden:
            kept.append(line)
    if region is not None:
        raise GraderError(f"{name} line {region}: this solution has no end")
    stripped = _tidy("\n".join(kept))
    ast.parse(stripped)
    return stripped


def _placeholder(tree: ast.Module, indent: str, part: str | None, number: int, name: str) -> list[str]:
    """What stands for a region: nothing at module level, in a function the lines that a student replaces."""
    function = _enclosing(tree, number)
    if function is None:
        return []
    if part is None:
        raise GraderError(f"{name} line {number}: the solution of {function} does not name its part")
    return [
        f"{indent}# YOUR CODE STARTS HERE",
        f'{indent}raise NotImplementedError("Lab {part}: `{function}` is still to be written")',
        f"{indent}# YOUR CODE ENDS HERE",
    ]


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.FunctionDef):
                    yield f"{node.name}.{child.name}", child


def _enclosing(tree: ast.Module, line: int) -> str | None:
    inside = (name for name, node in _functions(tree) if node.lineno <= line <= (node.end_lineno or 0) + 1)
    return next((name for name in inside), None)


def _solution_sections(tree: ast.Module, source: str) -> set[int]:
    """The lines of every ``Solution:`` section, with the blank line before it."""
    lines, found = source.splitlines(), set()
    for _, node in _functions(tree):
        first = node.body[0]
        if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
            continue
        end = first.end_lineno or first.lineno
        for number in range(first.lineno, end):
            if lines[number - 1].strip() == "Solution:":
                found |= set(range(number - 1, end))
    return found


def _tidy(source: str) -> str:
    """At most two blank lines in a row, and none before the end of the file."""
    return re.sub(r"\n{4,}", "\n\n\n", source).rstrip("\n") + "\n"


def strip_answers(source: str) -> str:
    """answers.toml with every value emptied except the prompts."""
    kept, closing = [], None
    for line in source.splitlines():
        if closing is not None:
            closing = None if closing in line else closing
            continue
        match = _KEY.match(line)
        if match is None or match[1] == "prompt":
            kept.append(line)
            continue
        kept.append(f'{match[1]} = ""')
        quotes = match[2][:3]
        if quotes in ('"""', "'''") and quotes not in match[2][3:]:
            closing = quotes
    return "\n".join(kept) + "\n"
