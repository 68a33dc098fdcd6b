"""Notebooks of all kinds: every function in them is found as it was written, and nothing that they hold can do harm."""

from __future__ import annotations

import ast
import contextlib
import json
import tempfile
import time
import timeit
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grader import locations
from grader.errors import UnusableSubmission
from grader.notebook import Extraction, extract, fill
from grader.notebook.syntax import parse
from grader.submission import EDITABLE, load_submission
from tests.conftest import ROOT

LABS = [name for name in EDITABLE if name.endswith(".py")]
PRISTINE = {name: (locations.pristine() / name).read_bytes() for name in [*EDITABLE, "resnet20.py", "train_util.py"]}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Trees = dict[str, str]
"""Definitions by name, each as the text of its syntax tree."""


def notebook(cells: list[str]) -> bytes:
    """A notebook of these code cells."""
    made = [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def definitions(source: str | bytes) -> Trees:
    """The functions and classes of a module; the last of each name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a student's code deserves a warning for is no concern of these tests
        return {s.name: ast.dump(s) for s in ast.parse(source).body if isinstance(s, Definition)}


def importable(source: str | bytes) -> bool:
    """Whether this is a module, as far as a compiler can tell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(source, "student", "exec", dont_inherit=True)
    return True


# --- what notebooks are made of


def _sources(path: Path) -> list[str]:
    """The functions and classes of a file, as they are written."""
    source = path.read_text(encoding="utf-8")
    return [ast.get_source_segment(source, s) or "" for s in ast.parse(source).body if isinstance(s, Definition)]


SOLUTION = [source for name in LABS for source in _sources(ROOT / "reference" / name)]
STUBS = [source for name in LABS for source in _sources(locations.pristine() / name)]
IMPORTS = sorted(
    {
        ast.unparse(s)
        for name in LABS
        for s in ast.parse((ROOT / "reference" / name).read_bytes()).body
        if isinstance(s, ast.Import | ast.ImportFrom)
    }
)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=12)
"""Anything that fits on a line of a file."""
names = st.sampled_from(["lam", "λ", "größe", "ﬁt", "переменная", "x1", "数"])

magics = st.builds(
    lambda start, rest: f"{start} {rest}".rstrip("\\"),
    st.sampled_from(["%matplotlib inline", "%time", "!pip install", "!ls", "?torch", "out = !echo", "t = %timeit"]),
    text,
) | st.sampled_from(["torch?", "torch.nn.Conv2d??", "np.*load*?", "%cd 'drive", "!pip install a \\\n    b"])
comments = text.map(lambda s: f"# {s}") | st.sampled_from(["# it's (", "# on C:\\", "# 50 % off?", '# """'])
percents = text.map(
    lambda s: f'table = """\n% {s.translate(_PLAIN)}\n!not a shell line\nwhy?\n"""\nrest = (7\n% 3)\nshare = "%d %%" '
)
constants = st.builds(lambda name, s: f"{name} = {s!r}", names, text)
loops = st.sampled_from(
    [
        "for epoch in range(10**9):\n    for batch in loader:\n        step(batch)\n    print(f'{epoch} %')",
        "while True:\n    optimizer.step()",
        "with torch.no_grad():\n    accuracy = evaluate(net, loader)",
        "net = ResNetCIFAR().cuda()\nnet.train()",
        "history = gradient_descent(X, Y, W0, 0.02, 10**12)\nplot_loss({'a': history}).show()",
        "if input() == 'train':\n    train(net)",
        "results = {q: run(q) for q in (30, 50)}",
        "print('done')",
    ]
)
_PLAIN = {ord(c): " " for c in "\"'\\"}

noise = st.one_of(magics, comments, percents, constants, loops)
useless = st.sampled_from(
    ["def loss(:", "x = = 1", "class STE\n    pass", "  return 1", "f(", "'open", "%%cython\ndef loss(): pass"]
) | text.map(lambda s: f"%%bash {s}\ndef loss():\n    return 'shell'\n")
"""Whole cells that hold nothing to take."""


@st.composite
def own_functions(draw: st.DrawFn) -> str:
    """A function that no template has, with a name and a text of any alphabet."""
    name, doc, value = draw(names), draw(text).translate(_PLAIN), draw(text)
    head = draw(st.sampled_from(["", "@functools.cache\n", "async "]))
    body = f'    """{doc}\n    % {doc}\n    """\n    return {value!r} + str(7\n% 3)'
    return f"{head}def {name}(a, *b, c={value!r}, **d):\n{body}"


@st.composite
def mixtures(draw: st.DrawFn, pool: list[str]) -> tuple[list[str], list[str]]:
    """Cells with definitions of a pool in any order, some of them more than once, and noise all around.

    Also gives the definitions in their order.
    """
    chosen = draw(st.lists(st.sampled_from(pool) | own_functions(), max_size=8))
    chunks = ["\n".join([*IMPORTS, "import functools"])]
    for source in chosen:
        chunks += [*draw(st.lists(noise, max_size=2)), source]
    return _cells(draw, chunks + draw(st.lists(noise, max_size=2))), chosen


def _cells(draw: st.DrawFn, chunks: list[str]) -> list[str]:
    """The chunks in their order, one or a few to a cell, with useless and timed cells between them."""
    cells = [""]
    for chunk in chunks:
        if draw(st.booleans()):
            cells += draw(st.lists(useless, max_size=1))
            cells.append(draw(st.sampled_from(["", "", "%%time\n", "\n%%capture out\n"])))
        cells[-1] += chunk + draw(st.sampled_from(["\n", "\n\n\n", "  \n"]))
    return cells


# --- what is found


@given(mixture=mixtures(SOLUTION + STUBS))
@example(mixture=(["# on C:\\\n%ls\ndef f(): pass"], ["def f(): pass"]))
@example(mixture=(["np.*load*?\ndef f(): pass"], ["def f(): pass"]))
def test_every_function_is_found_as_it_was_last_written(mixture: tuple[list[str], list[str]]) -> None:
    cells, sources = mixture
    last = definitions("\n\n".join(sources))
    found = extract(notebook(cells), "hw.ipynb")
    assert importable(found.code)
    assert definitions(found.code) == last
    assert list(found.definitions) == list(last), "each once, in the order of their first appearance"


@settings(max_examples=15)
@given(mixture=mixtures(SOLUTION), order=st.permutations(SOLUTION))
def test_a_notebook_that_defines_everything_completes_every_file(
    mixture: tuple[list[str], list[str]], order: list[str]
) -> None:
    """Through the whole of reading a submission: the files hold the solution, whatever order it was written in."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hw.ipynb"
        path.write_bytes(notebook([*mixture[0], *order]))
        files = load_submission(path, locations.pristine()).files
    for name in LABS:
        assert importable(files[name])
        solution, found = definitions((ROOT / "reference" / name).read_bytes()), definitions(files[name])
        assert {n: found[n] for n in solution} == solution


# --- what must never happen

PLACES = [
    "{}",
    "x = {}",
    "def f(a={}): pass",
    "def f(a: {}) -> {}: pass",
    "@{}\ndef f(): pass",
    "class C({}):\n    pass",
    "class C:\n    {}\n    y = {}",
    "x = f'{{{}}}'",
    "x = [{} for _ in range(3)]",
    "lambda a={}: a",
    "assert {}, {}",
    "if {}:\n    x = 1",
    "try:\n    import {}_\nexcept ImportError:\n    x = {}",
    "for i in {}: pass",
    "x: {} = {}",
    "(x := {})",
    "match {}:\n    case _: pass",
    "del {}[0]",
    "global x; x = {}",
    "!{}",
    "%timeit {}",
    "%%time\n{}",
    "%%bash\n{}",
    "%%writefile FP_layers.py\n{}",
    "x = !{}",
    "# -*- coding: {} -*-",
]


@given(places=st.lists(st.sampled_from(PLACES), min_size=1, max_size=12), together=st.booleans())
def test_nothing_is_executed(places: list[str], together: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        trap = Path(folder) / "trap"
        cells = [place.replace("{}", f"open({str(trap)!r}, 'w').close()") for place in places]
        raw = notebook(["\n".join(cells)] if together else cells)
        refuse = mock.Mock(side_effect=AssertionError("code was executed"))
        with mock.patch("builtins.exec", refuse), mock.patch("builtins.eval", refuse):
            found = extract(raw, "hw.ipynb")
            for name in EDITABLE:
                fill(name, None, found, PRISTINE)
        assert not trap.exists()


def read_all(raw: bytes, name: str = "hw.ipynb") -> Extraction | None:
    """Read as a submission is, into files that are missing and files of the student's own; None where it is refused."""
    try:
        found = extract(raw, name)
    except UnusableSubmission:
        return None
    assert importable(found.code)
    assert set(found.definitions) >= set(definitions(found.code))
    assert all(note.isprintable() for note in found.notes)
    for name in EDITABLE:
        for own in (None, PRISTINE[name], b"import os\n"):
            content, _ = fill(name, own, found, PRISTINE)
            written = name in found.files and own != b"import os\n"
            assert written or content is None or name not in LABS or importable(content)
    return found


SOUP = [*"()[]{}:;,.=+-*/%!?#@\\'\"\n\n\n\t λ\x0c\ufeff\x1a\u2028\0\udfff", "    ", '"""', "'''", "\\\n", "\r\n",
        "def f", "class C", "import x", "from math import *", "from __future__ import annotations", "lambda", "return",
        "yield", "await", "async ", "if ", "else", "try:", "finally:", "except", "with ", "match x:", "case", "pass",
        "global f", "nonlocal f", "f'{", "b'", "0x", "1e999", "None", "x", "f", "C", "%%writefile FP_layers.py\n",
        "%%writefile -a answers.toml\n", "%%time\n", "print", "x = 1\n", "def loss(X, y, w): return 1\n"]  # fmt: skip
soups = st.lists(st.sampled_from(SOUP), max_size=30).map("".join)


@given(cells=st.lists(soups, max_size=4))
def test_any_text_in_cells_can_be_read(cells: list[str]) -> None:
    raw = json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}).encode()
    assert read_all(raw) is not None, "a cell that is not Python costs itself, not the notebook"


MARKS = ["\n# %%\n", "\n#%% [markdown]\n", "\n# +\n", "\n# -\n", "\n# In[3]:\n", "\n# %%writefile FP_layers.py\n# x\n",
         "\n# %%time\n", "get_ipython().run_cell_magic('time', '', 'x = 1')", "\n```python\n", "\n```\n",
         "\n~~~ {code-cell}\n", "---\njupytext:\n---\n", "def main():\n    def loss(w): return 1\n",
         "if __name__ == '__main__':\n    "]  # fmt: skip


@given(
    text=st.lists(st.sampled_from(SOUP + MARKS * 2), max_size=30).map("".join),
    encoding=st.sampled_from(["utf-8", "utf-16", "cp1252"]),
    name=st.sampled_from(["hw.py", "hw.md", "lab1_sparse_optimization.py"]),
)
def test_any_script_can_be_read(text: str, encoding: str, name: str) -> None:
    raw = text.encode(encoding, errors="replace")
    assert read_all(raw, name) is not None
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "answers.toml").touch()
        (Path(folder) / name).write_bytes(raw)
        (Path(folder) / "lab2_pruning.py").write_text("from lab1_sparse_optimization import *\nfrom hw import *\n")
        files = load_submission(Path(folder), locations.pristine()).files
    assert importable(files["lab2_pruning.py"])
    own = files.get(name, b"")
    assert own in (b"", raw) or importable(own), "what was changed is Python"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | soups,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cells", "worksheets", "cell_type", "source", "input", "nbformat"]), inner, max_size=4
        )
        | st.builds(lambda s: {"cell_type": "code", "source": s}, inner)
        | st.builds(lambda s: {"cells": s}, st.lists(inner, max_size=3))
    ),
    max_leaves=12,
)


@given(value=json_values)
def test_any_json_is_read_or_refused(value: object) -> None:
    read_all(json.dumps(value).encode())


@given(raw=st.binary(max_size=60) | st.text(max_size=40).map(lambda s: s.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    read_all(raw)


@settings(max_examples=25)
@given(mixture=mixtures(SOLUTION), place=st.floats(0, 1), length=st.integers(0, 40), junk=st.binary(max_size=20))
def test_a_damaged_notebook_is_read_or_refused(
    mixture: tuple[list[str], list[str]], place: float, length: int, junk: bytes
) -> None:
    raw = notebook(mixture[0])
    start = int(place * len(raw))
    read_all(raw[:start] + junk + raw[start + length :])


@given(
    own=st.binary(max_size=40) | soups.map(lambda s: s.encode(errors="replace")),
    coding=st.sampled_from(["", "utf-8", "latin-1", "utf-7", "utf-16", "idna", "punycode", "rot13", "hex", "nonsense"]),
)
def test_any_file_beside_a_notebook_is_completed_or_left_alone(own: bytes, coding: str) -> None:
    """Whatever the student's own file holds, in whatever encoding it says that it is."""
    own = f"# coding: {coding}\n".encode() * bool(coding) + own
    found = extract(notebook(["def loss(X, y, w):\n    return 'λ é'"]), "hw.ipynb")
    content, notes = fill("lab1_sparse_optimization.py", own, found, PRISTINE)
    assert content is not None
    assert content == own or (content.startswith(own.rstrip()) and notes), "what was handed in is still there"


# --- hostile code that is slow to read rather than wrong


def seconds(source: str) -> float:
    """Processor time that reading a notebook of one cell takes."""

    def read() -> None:
        assert extract(notebook([source]), "hw.ipynb").definitions

    return processor_time(read)


def processor_time(run: Callable[[], object]) -> float:
    """Processor time of one run, in seconds; `timeit` keeps out the garbage collection of what other tests left."""
    return timeit.timeit(run, timer=time.process_time, number=1)


def test_dropped_statements_among_many_definitions_are_read_in_time_with_their_length() -> None:
    definitions = "".join(f"def f{i}(): 0\n" for i in range(10_000))
    assert seconds(definitions + "x = y()\n" * 30_000) < 5


@pytest.mark.parametrize(
    "line", ["# %%\n", "# %%time\n", "\nx =\n", "# +\n\n# -\n", "```python\n```\n", '"""\n\nx\n', "``` python\n"]
)
@pytest.mark.parametrize("name", ["hw.py", "hw.md"])
def test_scripts_of_many_cells_are_read_in_time_with_their_length(line: str, name: str) -> None:
    def seconds(count: int) -> float:
        def read() -> None:
            with contextlib.suppress(UnusableSubmission):
                extract(f"---\njupytext:\n---\n{line * count}".encode(), name)

        return processor_time(read)

    fewer, more = (min(seconds(count) for _ in range(3)) for count in (1_000, 4_000))
    assert more < 0.2 + 8 * fewer
    assert seconds(40_000) < 5


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n" + "".join(f"{' ' * i}try: pass\n{' ' * i}finally:\n" for i in range(1, 18)) + " " * 18 + "pass",
        "def f():\n try:\n" + "  return\n" * 2_000 + " finally:\n" + "  f()\n" * 2_000,
    ],
    ids=["one in another", "many ways out"],
)
def test_finally_blocks_are_not_multiplied(source: str) -> None:
    """A compiler copies such a block to every way out of its ``try``: a page of code becomes gigabytes."""
    as_branches = source.replace("try:", "if f:").replace("finally:", "else:")
    assert seconds(source) < 0.1 + 3 * seconds(as_branches)


@pytest.mark.parametrize("dot", [".", " . ", ".\\\n"])
def test_a_name_without_end_is_no_code(dot: str) -> None:
    """Python takes the square of its parts: a minute for this one."""
    name = dot.join(["a"] * 250_000)

    def read() -> None:
        for source in (f"import {name}", f"from {name} import b".encode()):
            with pytest.raises(ValueError, match="too long"):
                parse(source)

    assert processor_time(read) < 2


def test_dots_of_many_names_are_counted_once_each() -> None:
    assert seconds("def f(): 0\n" + f"x = {'.'.join(['a'] * 190)}\n" * 2_000) < 5


def test_one_name_again_and_again_takes_no_longer_than_many_names() -> None:
    again, many = ("".join(f"def f{i * k}(): return a{i}\n" for i in range(15_000)) for k in (0, 1))
    assert seconds(again) < 3 * seconds(many)
