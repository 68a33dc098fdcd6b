"""What is taken from a notebook, and what is not: nothing in a cell may run while it is read."""

from __future__ import annotations

import itertools
import json
import warnings
from typing import Any

import pytest

from grader.errors import UnusableSubmission
from grader.notebook import Extraction, extract, fill, listed, same_text, unfinished


def notebook(*cells: str | list[str]) -> bytes:
    """A notebook of format 4 with these code cells, and a markdown cell that must never matter."""
    code: list[object] = [{"cell_type": "code", "source": c, "outputs": [], "metadata": {}} for c in cells]
    text = {"cell_type": "markdown", "source": "def not_code(): pass", "metadata": {}}
    return json.dumps({"cells": [text, *code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def take(*cells: str | list[str]) -> Extraction:
    return extract(notebook(*cells), "hw.ipynb")


def run(code: str | bytes) -> dict[str, Any]:
    """The names that importing this code binds."""
    names: dict[str, Any] = {"__name__": "student"}
    exec(compile(code, "student", "exec", dont_inherit=True), names)
    return names


# --- reading ------------------------------------------------------------------------------------------------


def test_definitions_imports_and_constants_are_taken_in_order() -> None:
    found = take("import math\nk = 2", "def f(x):\n    return k * x  # doubled", "class C:\n    pass")
    assert found.definitions == ("f", "C")
    assert found.notes == ()
    assert run(found.code)["f"](3) == 6
    assert found.code.index("import math") < found.code.index("k = 2") < found.code.index("def f")
    assert "# doubled" in found.code, "a student reads tracebacks with the lines that he or she wrote"
    assert "not_code" not in found.code


def test_nothing_runs_while_a_notebook_is_read(tmp_path: Any) -> None:
    trap = tmp_path / "trap"
    touch = f"__import__('pathlib').Path({str(trap)!r}).touch()"
    cells = [
        touch,
        f"x = {touch}",
        f"def f(a={touch}): pass",
        f"class C:\n    {touch}",
        f"@{touch}\ndef g(): pass",
    ]
    found = take(*cells, f"!touch {trap}", f"%%bash\ntouch {trap}", f"x = !touch {trap}")
    assert not trap.exists()
    assert "Path" not in take(touch, f"x = {touch}").code
    assert {"f", "C", "g"} == set(found.definitions)


def test_top_level_work_is_never_kept() -> None:
    found = take(
        "import torch\nnet = make()\nnet.train()\nprint('hello')\nfor i in range(3):\n    k = i\n"
        "while True:\n    pass\nwith open('x') as file:\n    data = file.read()\nassert net\ndel net",
        "def f():\n    return 1",
    )
    assert found.code == "import torch\n\ndef f():\n    return 1"


def test_source_may_be_lines_or_text() -> None:
    assert take(["def f():\n", "    return 1\n"]).code == take("def f():\n    return 1\n").code


def test_windows_line_endings_in_a_cell() -> None:
    found = take("import math\r\ndef f():\r\n    return 1\r\n", "%%writefile FP_layers.py\r\na = 1\r\nb = 2\r\n")
    assert run(found.code)["f"]() == 1
    assert found.files == {"FP_layers.py": "a = 1\nb = 2\n"}


@pytest.mark.parametrize("version", [3, 4])
def test_notebooks_written_by_nbformat(version: int) -> None:
    nbformat = pytest.importorskip("nbformat")
    form = getattr(nbformat, f"v{version}")
    cells = [form.new_code_cell("%matplotlib inline\ndef f():\n    return 7")]
    if version == 3:
        book = form.new_notebook(worksheets=[form.new_worksheet(cells=cells)])
        raw = json.dumps(book).encode()
    else:
        raw = nbformat.writes(form.new_notebook(cells=cells)).encode()
    found = extract(raw, "hw.ipynb")
    assert found.definitions == ("f",)
    assert run(found.code)["f"]() == 7


def test_format_3_by_hand_with_lines_as_input() -> None:
    sheets = [
        {"cells": [{"cell_type": "code", "input": ["x = 1\n", "def f(): return x"]}]},
        {"cells": None},
        "junk",
    ]
    found = extract(json.dumps({"worksheets": sheets, "nbformat": 3}).encode(), "old.ipynb")
    assert run(found.code)["f"]() == 1


def test_byte_order_mark_and_utf_16() -> None:
    raw = notebook("def f(): return 'λ'")
    for encoded in (b"\xef\xbb\xbf" + raw, raw.decode().encode("utf-16")):
        assert run(extract(encoded, "hw.ipynb").code)["f"]() == "λ"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not json",
        b"PK\x03\x04",
        bytes(range(256)),
        b"[" * 500_000,
        b'{"cells":' * 100_000,
        b"1" * 100_000,
        notebook("x = 1")[:-20],
    ],
    ids=["empty", "text", "zip", "binary", "deep list", "deep object", "huge number", "cut off"],
)
def test_what_is_not_json_is_refused_in_one_sentence(raw: bytes) -> None:
    with pytest.raises(UnusableSubmission, match=r"^hw\.ipynb is not a notebook, .* JSON: .*\.$"):
        extract(raw, "hw.ipynb")


@pytest.mark.parametrize("data", [[], 3, None, "cells", {}, {"cells": 3}, {"cells": {}}, {"worksheets": "x"}])
def test_json_that_is_not_a_notebook_is_refused(data: object) -> None:
    with pytest.raises(UnusableSubmission, match="has no list of cells"):
        extract(json.dumps(data).encode(), "hw.ipynb")


def test_odd_cells_are_passed_over() -> None:
    cells: list[object] = [None, 3, [], {}, {"cell_type": "code"}, {"cell_type": "code", "source": {"a": 1}}]
    cells += [
        {"cell_type": "code", "source": [1, "def f(): pass", None]},
        {"cell_type": "raw", "source": "def g(): pass"},
    ]
    assert extract(json.dumps({"cells": cells}).encode(), "hw.ipynb").definitions == ("f",)


def test_too_many_containers_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(UnusableSubmission, match="too large"):
        extract(b"[" + b"[]," * 2_000_000, "hw.ipynb")


def test_too_much_code_is_refused() -> None:
    with pytest.raises(UnusableSubmission, match="more code than can be read"):
        take("x = 1\n" * 200_000)
    with pytest.raises(UnusableSubmission, match="more code than can be read"):
        take(*["x"] * 5_001)


def test_code_that_grows_when_it_is_rewritten_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.notebook.extracting.CODE_LIMIT", 1_000)
    with pytest.raises(UnusableSubmission, match="more code than can be read"):
        take(";".join(["a=b=1"] * 160))


# --- magics -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline",
        "%load_ext autoreload",
        "!pip install torch 'odd quote",
        "!nvidia-smi",
        "?torch",
        "torch?",
        "torch.nn.Conv2d??",
        "h.losses[-1]?",
        "files = !ls *.pt",
        "t = %timeit -o f()",
        "a, b = !echo (",
        "!pip install a \\\n    b \\\n    c",
        "if 1:\n    !ls\n",
        "%cd 'drive/My Drive",
        "%time",
    ],
)
def test_magics_and_shell_lines_cost_nothing(line: str) -> None:
    found = take(f"import math\n{line}\ndef f():\n    return math.pi")
    assert found.notes == ()
    assert run(found.code)["f"]() == pytest.approx(3.14159, abs=1e-5)
    assert "%" not in found.code
    assert "!" not in found.code
    assert "?" not in found.code


def test_lines_that_only_look_like_magics_are_kept() -> None:
    source = 'def f(a, b):\n    """\n    %not a magic\n    !nor this\n    why?\n    """\n    return (a\n% b)\n'
    source += "s = 'it''s' \\\n% ()\nq = '# (?'\nr = \"\"\"\n%kept\n\"\"\"\n%ls\n"
    found = take(source)
    names = run(found.code)
    assert names["f"](7, 4) == 3
    assert "%not a magic" in names["f"].__doc__
    assert names["r"] == "\n%kept\n"
    assert names["q"] == "# (?"
    assert found.notes == ()


def test_strings_that_end_in_three_quotes_do_not_confuse_the_search_for_magics() -> None:
    found = take("a = \"x\"\"\"\nb = ''\nc = '\\''  # it's\n%ls\ndef f(): return a + b + c")
    assert run(found.code)["f"]() == "x'"


@pytest.mark.parametrize(
    "magic", ["%%time", "%%timeit -n 3", "%%capture out", "%%time\n%%capture", "\n\n%%time", "%%prun"]
)
def test_the_body_of_a_timed_or_captured_cell_is_kept(magic: str) -> None:
    assert take(f"{magic}\ndef f(): pass").definitions == ("f",)


@pytest.mark.parametrize("magic", ["bash", "html", "javascript", "latex", "script perl", "!", "sh -e", "svg"])
def test_cells_in_other_languages_are_skipped_silently(magic: str) -> None:
    found = take(f"%%{magic}\ndef f(): pass", "def g(): pass")
    assert found.definitions == ("g",)
    assert found.notes == ()


def test_an_unknown_cell_magic_is_skipped_with_a_note() -> None:
    found = take("x = 1", "%%cython -a\ndef f(): pass")
    assert found.definitions == ()
    assert found.notes == ("Code cell 2 of hw.ipynb was not read: it starts with %%cython -a.",)


def test_a_cell_magic_stands_first_or_is_a_line_like_any_other() -> None:
    assert take("\n \n%%bash\ndef f(): pass").definitions == ()
    assert take("import os\n%%bash\ndef f(): pass").definitions == ("f",)
    assert take("%%\ndef f(): pass").definitions == ("f",)


def test_top_level_await_is_tolerated() -> None:
    found = take("await something()\nx = await other()\nasync with a as b:\n    pass\nasync def f(): await g()")
    assert found.definitions == ("f",)
    assert found.notes == ()


def test_invalid_escapes_in_docstrings_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert take('def f():\n    "the \\lambda \\d term"\n    return 1 is 1').definitions == ("f",)


# --- %%writefile --------------------------------------------------------------------------------------------


def test_the_last_writefile_wins_and_a_appends() -> None:
    found = take(
        "%%writefile FP_layers.py\nold = 1\n",
        "%%writefile FP_layers.py\n%not touched\nnew = 1",
        "%%writefile -a FP_layers.py\nmore = 2",
        "%%writefile answers.toml\nx = 1",
        "%%writefile --append answers.toml\ny = 1",
    )
    assert found.files == {
        "FP_layers.py": "%not touched\nnew = 1\nmore = 2\n",
        "answers.toml": "x = 1\ny = 1\n",
    }
    assert found.code == ""
    assert found.notes == ()


@pytest.mark.parametrize(
    "path",
    [
        "./lab2_pruning.py",
        "/content/drive/lab2_pruning.py",
        "'My Drive/lab2_pruning.py'",
        "a\\b\\lab2_pruning.py",
    ],
)
def test_folders_in_a_writefile_path_do_not_matter(path: str) -> None:
    quoted = path if "\\" not in path else f'"{path}"'
    assert list(take(f"%%writefile {quoted}\nx = 1").files) == ["lab2_pruning.py"]


@pytest.mark.parametrize(
    "path",
    [
        r".\lab2_pruning.py",
        r"src\lab2_pruning.py",
        r"C:\Users\me\lab2_pruning.py",
        r"C:\\Users\\me\\lab2_pruning.py",
        r"\\server\lab2_pruning.py",
        r"'C:\My Files\lab2_pruning.py'",
        r"/content/drive/My\ Drive/lab2_pruning.py",
        r"Bob\'s/lab2_pruning.py",
    ],
)
@pytest.mark.parametrize("option", ["", "-a "])
def test_backslashes_in_a_writefile_path_are_kept_as_they_were_meant(path: str, option: str) -> None:
    assert take(f"%%writefile {option}{path}\nx = 1").files == {"lab2_pruning.py": "x = 1\n"}


@pytest.mark.parametrize("magic", ["%%writefile", "%%writefile -a", "%%writefile 'open quote"])
def test_a_writefile_without_a_usable_name_is_harmless(magic: str) -> None:
    found = take(f"{magic}\nx = 1", "def f(): pass")
    assert found.definitions == ("f",)
    assert "lab2_pruning.py" not in found.files


# --- broken cells -------------------------------------------------------------------------------------------


def test_a_syntax_error_costs_its_cell_only() -> None:
    found = take("def f(): pass", "x = 1\ndef g(:\n    pass\ndef h(): pass", "def i(): pass")
    assert found.definitions == ("f", "i")
    text = "Code cell 2 of hw.ipynb was not read: line 2 is not valid Python (invalid syntax: def g(:)."
    assert found.notes == (text,)


def test_the_line_of_an_error_counts_magics_too() -> None:
    (note,) = take("%%time\n%ls\nx = 1\nx = = 2").notes
    assert "line 4 is" in note


@pytest.mark.parametrize(
    "source",
    [
        "def f(x):\n    global x",
        "def f():\n    nonlocal y",
        "def f(a, a): pass",
        "class C:\n    return 1",
        "def f():\n  break",
    ],
)
def test_errors_that_only_compiling_finds_cost_their_cell_only(source: str) -> None:
    found = take(source, "def g(): pass")
    assert found.definitions == ("g",)
    assert "Code cell 1" in found.notes[0]
    run(found.code)


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "-" * 50_000 + "1",
        "x = " + "1+" * 50_000 + "1",
        "x = " + "(" * 50_000,
        "import os\nx = os" + ".a" * 50_000,
        "if 1:\n    a = 1\n" + "elif 1:\n    a = 1\n" * 5_000,
        "x = " + "lambda:" * 20_000 + "1",
        "x = '\0'",
        "x = " + "1" * 50_000,
        "x = \udfff",
    ],
    ids=["minus", "plus", "brackets", "attributes", "elif", "lambda", "null", "digits", "surrogate"],
)
def test_code_made_to_break_parsers_costs_its_cell_only(source: str) -> None:
    found = take("k = 1", source, "def f(): return k")
    assert len(found.notes) == 1
    assert run(found.code)["f"]() == 1


def test_names_of_a_broken_cell_are_not_counted_as_known() -> None:
    found = take("k = 1\ndef f(): pass\ndef g(a, a): pass", "m = k\ndef f(): pass")
    assert found.code == "def f(): pass"
    assert found.definitions == ("f",)
    assert "more than once" not in " ".join(found.notes)


def test_many_broken_cells_are_summarised() -> None:
    notes = take(*["x = ="] * 30).notes
    assert len(notes) == 5
    assert notes[-1] == "26 more code cells of hw.ipynb were not read."


# --- which statements are kept ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "X = np.array([[1, 2], [3, -4]], dtype=np.float64)",
        "X = np.asarray([5, 1, 1]).reshape(-1, 1).T",
        "w0 = np.zeros(5)\nn = w0.shape[0] + 1",
        "lr, steps = 0.02, 200",
        "first, *rest = [1, 2, 3]",
        "a = b = {'q': (30, 50), **{}}",
        "tau = 2 * math.pi if 3 > 2 else -1",
        "root = math.sqrt(2)",
        "half = partial(max, 1)",
        "larger = np.vectorize(max, otypes=[float])",
        "eps, most = np.finfo(float).eps, np.iinfo(np.int8).max",
        "square = lambda x, k=2: unknown_until_called(x)",
        "label = f'{1 + 1} bits'",
        "xs = list(range(3))[::-1]",
        "levels = {b: [i / 2**b for i in range(2**b) if i] for b in (2, 3)}",
        "if __name__ == '__main__':\n    k = 3",
        "count: int = 3",
        "n = 1\nn += 2",
        "kind = np.float32",
        "History = namedtuple('History', ['weights', 'losses'])",
        "both = True and not False",
        "from math import *\nfrom math import pi as p\ntwice = 2 * p",
    ],
)
def test_simple_constants_are_kept(source: str) -> None:
    imports = "import math\nimport numpy as np\nfrom functools import partial\nfrom collections import namedtuple"
    found = take(imports, source)
    expected = run(f"{imports}\n{source}")
    names = run(found.code)
    for name in expected.keys() - {"__builtins__", "__annotations__"}:
        assert name in names
        if not callable(names[name]):
            assert repr(names[name]) == repr(expected[name])


@pytest.mark.parametrize(
    "source",
    [
        "device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "x = torch.tensor([1.0]).to('cuda')",
        "criterion = nn.CrossEntropyLoss()",
        "apply = nn.functional.relu",
        "dtype = torch.float32",
        "eps = torch.finfo(torch.float32).eps",
        "scaler = torch.amp.GradScaler('cpu')",
        "scaler = torch.cuda.amp.GradScaler()",
    ],
)
def test_constants_of_torch_are_kept(source: str) -> None:
    assert source in take(f"import torch\nfrom torch import nn\n{source}").code


CONFIG = """
@dataclass(frozen=True)
class Config:
    'what to use'
    device: str = 'cuda' if torch.cuda.is_available() else 'cpu'
    rates: list = field(default_factory=lambda: [0.1, 0.2])
    seen: dict = field(default_factory=dict, repr=False)
    @property
    def rate(self): return self.rates[0]
    def train(self): return train(self)
"""
PLAIN = """
class Config(object):
    device, rate = 'cpu', 0.1
"""
WITH_INIT = """
class Base:
    def __init__(self, rate=0.1, *more, **others):
        'keeps the rate'
        self.rate: float = rate
        device = torch.device('cpu')
        self.device = device
class Config(Base): pass
"""


@pytest.mark.parametrize("source", [CONFIG, PLAIN, WITH_INIT])
def test_objects_that_only_hold_values_are_kept(source: str) -> None:
    imports = "import torch\nfrom dataclasses import dataclass, field"
    found = take(imports, f"def train(config): pass\n{source}\n", "cfg = Config()\nother = Config()\nrate = cfg.rate")
    names = run(found.code)
    assert str(names["cfg"].device) == "cpu"
    assert names["rate"] == 0.1
    assert "other" in names


@pytest.mark.parametrize(
    "body",
    [
        "def __init__(self): train()",
        "def __init__(self): self.x = train()",
        "def __init__(self):\n        while True: pass",
        "def __init__(self): self.x['a'] = 1",
        "def __init__(self, x=1): return x()",
        "def __post_init__(self): train()",
        "def __new__(cls): return train()",
        "def __bool__(self): return train()",
        "def copy(self): return train()",
        "x: list = field(default_factory=train)",
        "x: list = field(default_factory=lambda: train())",
        "x = train()",
        "x = property(train)",
        "__init__ = train",
        "__init__ = lambda self: train()",
        "to = train",
        "@property\n    def x(self): return train()",
        "@train\n    def __init__(self): pass",
        "@classmethod\n    def __new__(cls): return train()",
        "for x in range(10**9): pass",
    ],
)
def test_objects_whose_making_or_use_may_run_are_left_out(body: str) -> None:
    imports = "import numpy as np\nfrom dataclasses import dataclass, field\ndef train(*a): raise SystemExit"
    found = take(imports, f"@dataclass\nclass Config:\n    {body}", "cfg = Config()")
    assert "cfg" not in found.code


@pytest.mark.parametrize(
    "source",
    [
        "class Config(Base): pass",
        "class Config(metaclass=train): pass",
        "@train\nclass Config: pass",
        "class Config: pass\nConfig.__init__ = train",
        "class Config: pass\nclass Config(Base): pass",
        "class Config: pass\ndef Config(): train()",
    ],
)
def test_objects_of_other_classes_are_left_out(source: str) -> None:
    found = take("import torch\ndef train(*a): pass\nclass Base(torch.nn.Module): pass", source, "cfg = Config()")
    assert "cfg" not in found.code


@pytest.mark.parametrize(
    "source",
    [
        "x = open('f')",
        "x = net(3)",
        "x = eval('1')",
        "x = input()",
        "x = exec('1')",
        "x = __import__('os')",
        "x = shutil.copy('a', 'b')",
        "x = np.load('f')",
        "x = torch.load('f')",
        "x = unknown",
        "x = unknown.copy()",
        "x = 'a'.encode()",
        "x = (y := 3)",
        "x = [net(y) for y in range(3)]",
        "x = [y for y in net()]",
        "x = [y for z in range(3)]",
        "x = np.zeros(net(3))",
        "x = lambda a=net(): a",
        "x = {net(): 1}",
        "x[0] = 1",
        "np.pi = 3",
        "os.environ['A'] = 'b'",
        "x += 1",
        "if True:\n    import ipywidgets\n    x = 1",
        "try:\n    import os\nexcept ImportError:\n    import ipywidgets",
        "x: int",
        "x: int = net()",
        "if net():\n    x = 1",
        "if True:\n    x = net()",
        "if True:\n    for x in []:\n        pass",
        "if False:\n    def x(): pass",
        "if True:\n    print(1)",
        "try:\n    x = 1\nexcept ValueError:\n    x = 2",
        "try:\n    x = 1\nfinally:\n    y = 2",
        "try:\n    x = net()\nexcept ImportError:\n    x = 2",
    ],
)
def test_everything_else_is_left_out(source: str) -> None:
    imports = "import os, shutil\nimport numpy as np\nimport torch"
    assert take(imports, source).code == imports


def test_a_name_of_a_built_in_that_was_rebound_is_no_longer_one() -> None:
    assert take("list = 3\nx = list(3)\nlist += net()").code == "list = 3"


def test_a_choice_of_device_is_kept_without_its_prints() -> None:
    source = (
        "import torch\nif torch.cuda.is_available():\n    device = 'cuda'\n    print('fast')\n"
        "elif 1 > 2:\n    device = 'x'\n"
    )
    found = take(source + "else:\n    device = 'cpu'\n    print('slow')\ncopy = device")
    assert "print" not in found.code
    assert found.code.count("device = ") == 3
    assert "copy = device" in found.code


def test_a_guarded_import_is_kept_whole() -> None:
    found = take(
        "try:\n    import google.colab\n    IN_COLAB = True\nexcept ImportError:\n    IN_COLAB = False\nk = IN_COLAB"
    )
    names = run(found.code)
    assert names["k"] is False
    assert found.notes == ()


@pytest.mark.parametrize("handler", ["except", "except Exception", "except (ImportError, OSError) as e"])
def test_any_handler_that_catches_a_failing_import_will_do(handler: str) -> None:
    found = take(f"try:\n    from absent_package import fast\n    drive.mount('x')\n{handler}:\n    fast = None")
    assert run(found.code)["fast"] is None


def test_a_handler_that_only_prints_is_kept_empty() -> None:
    found = take("try:\n    from absent_package import fast\nexcept ImportError:\n    print('slow')\nk = 1")
    assert run(found.code)["k"] == 1
    assert found.notes == ()


def test_imports_that_exist_only_in_a_notebook_are_dropped_with_one_note() -> None:
    found = take(
        "from google.colab import drive, files\nfrom ipywidgets import interact\nimport torch, ipywidgets\n"
        "drive.mount('/content')\ndef f(): pass",
        "import ipywidgets",
    )
    assert "import torch" in found.code
    assert "ipywidgets" not in found.code
    assert "google" not in found.code
    assert found.notes == (
        "Imports of google.colab and ipywidgets in hw.ipynb were left out: they exist only in a notebook.",
    )


def test_a_notebook_that_defines_nothing_makes_no_noise() -> None:
    driver = take(
        "%matplotlib inline\nfrom google.colab import drive\nimport torch\nfrom lab1_sparse_optimization import *",
        "history = gradient_descent(X, Y, W0, LEARNING_RATE, STEPS)\nplot_weights(history).show()",
        "!ls\nnet = ResNetCIFAR().cuda()\nfor q in (30, 50, 70):\n    print(q)",
    )
    assert driver.definitions == ()
    assert driver.notes == ()


def test_relative_imports_are_dropped_and_torchvision_is_kept() -> None:
    found = take("from . import utils\nfrom .labs import x\nfrom torchvision import datasets, transforms")
    assert found.code == "from torchvision import datasets, transforms"


def test_future_imports_move_to_the_front() -> None:
    found = take("x = 1", "from __future__ import annotations, division\ndef f(a: Nowhere): return x")
    assert found.code.startswith("from __future__ import annotations\n")
    assert run(found.code)["f"](1) == 1


def test_names_defined_again_keep_their_order_with_one_note() -> None:
    found = take("def f(): return 1\ndef g(): return 1", "def f(): return 2", "def g(): return 2\nclass H: pass")
    assert run(found.code)["f"]() == 2
    assert found.definitions == ("f", "g", "H")
    assert found.notes == ("Defined more than once in hw.ipynb, the last one counts: f and g.",)


@pytest.mark.parametrize(
    "cell", ["f = lambda: 2", "f = g", "f = math.sin", "from math import sin as f", "if True:\n    f = partial(g, 1)"]
)
def test_an_assignment_that_takes_the_place_of_a_definition_is_noted_as_another_one(cell: str) -> None:
    before = "import math\nfrom functools import partial\nf = g = len\ndef f(): return 1\ndef g(): return 1"
    told = "Defined more than once in hw.ipynb, the last one counts: f."
    assert take(before, cell).notes == (told,)
    assert take(before, "f = 3", f"{cell}\nreturn").notes[1:] == ()
    assert take(before + "\nfrom lab1 import f\nx = f").notes == ()


def test_decorators_and_statements_on_one_line_survive() -> None:
    found = take(
        "import functools; k = 3; print(k)\n@functools.cache\n@functools.wraps(\n  print)\ndef f(): return k\n"
    )
    names = run(found.code)
    assert names["f"]() == 3
    assert names["f"].__name__ == "print"
    assert "print(k)" not in found.code


def test_statements_keep_their_own_lines_and_their_comments() -> None:
    found = take("import math  # first\nk = 3  # second\nprint(1); m = 4\n# between\ndef f(): return k")
    assert found.code == "import math  # first\nk = 3  # second\nm = 4\ndef f(): return k"
    assert take("import os; import math\nk = 3").code == "import os\nimport math\nk = 3"


def test_a_backslash_after_a_statement_does_not_glue_it_to_the_next() -> None:
    found = take("a = 1; \\\nprint(a)\ndef f(): return a")
    assert run(found.code)["f"]() == 1


def test_defaults_that_only_a_run_could_compute_become_none() -> None:
    found = take(
        "loader = make_loader()",
        "def f(a=loader, *, b=loader, c=2):\n    return a, b, c\nclass C:\n"
        "    def m(self, x=loader):\n        return x",
    )
    names = run(found.code)
    assert names["f"]() == (None, None, 2)
    assert names["C"]().m() is None
    assert found.notes == ("Cells of hw.ipynb are not run, so f and C will not find loader: use arguments.",)


def test_definitions_that_rest_on_a_run_are_left_out() -> None:
    found = take("Base = make()\nwrap = make()", "class C(Base): pass\n@wrap\ndef f(): pass\ndef g(): pass")
    assert found.definitions == ("g",)
    assert "will not find Base and wrap" in found.notes[0]


def test_globals_that_only_a_run_computes_are_named_but_locals_are_not() -> None:
    found = take(
        "def f(x):\n    import time\n    try:\n        i = x\n    except OSError as e:\n        print(e)\n"
        "    return [j for j in i], net, K, lambda y: y",
        "for i in range(3):\n    x = j = y = e = time = 1\nnet = make()\nK = 2",
    )
    assert found.notes == ("Cells of hw.ipynb are not run, so f will not find net: use arguments.",)


def test_a_lambda_that_reads_what_only_a_run_computes_is_named_too() -> None:
    found = take(
        "_vst = make()\nfor net in nets: pass",
        "soft = lambda w, net: [_vst(w, net, K) for w in w]\nfirst: object = {'a': lambda: _vst}\nK = 2",
        "def f(): pass\nhard = lambda w: w + K\nnets = [net for net in (lambda: 1, 2)]",
    )
    assert found.notes == ("Cells of hw.ipynb are not run, so soft and first will not find _vst: use arguments.",)


CLASS = "def g(*a): return g\nclass C:\n    @staticmethod\n    def f(): return 1\n    def m(self): return 1"


@pytest.mark.parametrize(
    "value",
    ["lambda: 2", "staticmethod(lambda: 2)", "g", "classmethod(g)", "property(g)", "staticmethod(g(C.f))", "C.m", "3"],
)
def test_a_method_given_to_a_class_later_is_kept(value: str) -> None:
    found = take(CLASS, f"C.f = {value}")
    assert found.code.splitlines()[-1] == f"C.f = {value}"
    assert found.notes == ()


@pytest.mark.parametrize("value", ["train()", "staticmethod(train())", "staticmethod(g(train()))", "g()", "g(C)(C.f)"])
def test_a_method_that_only_a_run_could_make_is_left_out_with_a_note(value: str) -> None:
    found = take(CLASS, "def train(): pass", f"C.f = {value}")
    assert "C.f" not in found.code
    assert found.notes == ("Cells of hw.ipynb are not run, so C.f stayed as defined: write a definition.",)


def test_a_definition_that_only_a_run_could_wrap_stays_with_a_note() -> None:
    found = take("import torch\ndef f(): pass", "f = torch.no_grad()(f)\nx = torch.no_grad()(f)")
    assert found.code.endswith("def f(): pass")
    assert found.notes == ("Cells of hw.ipynb are not run, so f stayed as defined: write a definition.",)


def test_the_attributes_of_what_a_notebook_does_not_define_stay_as_they_are() -> None:
    assert take("import math", "math.pi = 3\nC.f = 3", "class C: pass").code == "import math\n\nclass C: pass"


# --- filling in ---------------------------------------------------------------------------------------------

LAB1 = b'''from __future__ import annotations
from typing import NamedTuple
RATE = 0.02
class History(NamedTuple):
    weights: list
def helper():
    return "template"
def loss(w):
    """Task."""
    raise NotImplementedError("1(a)")
def gradient(w):
    raise NotImplementedError
def _private():
    raise NotImplementedError
'''
LAYERS = b'''class STE:
    @staticmethod
    def forward(ctx, w):
        """Task."""
        raise NotImplementedError("3(a)")
    @staticmethod
    def backward(ctx, g):
        raise NotImplementedError("3(a)")
class FP_Conv:
    def __init__(self):
        self.conv = 1
    def forward(self, x):
        raise NotImplementedError("3(a)")
'''
NAME = "lab1_sparse_optimization.py"
PRISTINE = {
    NAME: LAB1,
    "FP_layers.py": LAYERS,
    "lab3_quantization.py": b"import os, FP_layers\n",
    "resnet20.py": b"from FP_layers import FP_Conv\nclass ResNetCIFAR: pass\n",
    "answers.toml": b"[p1]\n",
}


def test_a_missing_file_is_the_template_with_the_notebooks_definitions() -> None:
    book = take("RATE = 0.5\ndef helper():\n    return 'mine'\ndef loss(w):\n    return helper(), RATE, History([w])")
    content, notes = fill(NAME, None, book, PRISTINE)
    assert content is not None
    names = run(content)
    assert names["loss"](1)[:2] == ("mine", 0.5)
    assert names["loss"](1)[2] == names["History"]([1]), "what the template provides is there"
    with pytest.raises(NotImplementedError):
        names["gradient"](1)
    assert notes == (f"In {NAME}, helper and loss were taken from hw.ipynb.",)


def test_an_untouched_template_counts_as_missing() -> None:
    book = take("def helper():\n    return 'mine'\ndef loss(w):\n    return helper()")
    content, _ = fill(NAME, LAB1.replace(b"\n", b"\r\n") + b"\n\n", book, PRISTINE)
    assert content is not None
    assert run(content)["loss"](1) == "mine"


def test_a_missing_file_stays_missing_when_the_notebook_has_nothing_for_it() -> None:
    book = take("def unrelated(): pass\ndef _private(): return 1\ndef loss(w):\n    raise NotImplementedError('1(a)')")
    assert fill(NAME, None, book, PRISTINE) == (None, ())
    assert fill("answers.toml", None, book, PRISTINE) == (None, ())


def test_only_what_a_written_file_lacks_is_added() -> None:
    own = b"def helper():\n    return 'own'\ndef loss(w):\n    return 'own'\nclass History: pass"
    book = take(
        "import math\nUNUSED = 1\nK = 2",
        "def helper():\n    return 'notebook'\ndef loss(w):\n    return 'notebook'\ndef extra():\n    return K",
        "def gradient(w):\n    return helper(), extra(), math.pi > 3",
    )
    content, notes = fill(NAME, own, book, PRISTINE)
    assert content is not None
    assert content.startswith(own)
    names = run(content)
    assert names["loss"](1) == "own"
    assert names["gradient"](1) == ("own", 2, True)
    assert "UNUSED" not in names
    assert notes == (f"In {NAME}, gradient was taken from hw.ipynb.",)


def test_a_stub_in_a_written_file_is_replaced() -> None:
    own = LAB1.replace(b"raise NotImplementedError\n", b"return 'own'\n", 1)
    content, _ = fill(NAME, own, take("def loss(w): return 'new'\ndef gradient(w): return 'new'"), PRISTINE)
    assert content is not None
    names = run(content)
    assert (names["loss"](1), names["gradient"](1)) == ("new", "own")


def test_a_complete_file_is_left_as_it_is() -> None:
    own = b"from labs import History, helper\nloss = gradient = min\n"
    assert fill(NAME, own, take("def loss(w): return 2\ndef gradient(w): return 2"), PRISTINE) == (own, ())


def test_a_file_with_a_syntax_error_is_left_as_it_is() -> None:
    assert fill(NAME, b"def loss(:", take("def loss(w): return 2"), PRISTINE) == (b"def loss(:", ())
    assert fill(NAME, b"x = '\0'", take("def loss(w): return 2"), PRISTINE) == (b"x = '\0'", ())


def test_methods_that_a_notebook_gives_to_its_class_come_with_it() -> None:
    cells = (
        "class STE:\n    def forward(ctx, w): return w\n    def backward(ctx, g): return g",
        "def h(ctx, g): return 2 * g",
    )
    content, _ = fill("FP_layers.py", None, take(*cells, "STE.backward = staticmethod(h)"), PRISTINE)
    assert content is not None
    assert run(content)["STE"].backward(None, 2) == 4


ADD_TO_CLASS = "def add_to_class(C):\n    def add(f):\n        setattr(C, f.__name__, f)\n    return add"


@pytest.mark.parametrize(
    "cell",
    [
        "setattr(STE, 'backward', staticmethod(lambda ctx, g: 2 * g))",
        "FIXED = True\nif FIXED:\n    STE.backward = staticmethod(lambda ctx, g: 2 * g)",
        f"{ADD_TO_CLASS}\n@add_to_class(STE)\n@staticmethod\ndef backward(ctx, g):\n    return 2 * g",
    ],
    ids=["setattr", "in a branch", "a decorator that adds to a class"],
)
def test_methods_may_be_given_to_a_class_in_other_ways(cell: str) -> None:
    book = take("class STE:\n    def forward(ctx, w): return w", cell, "def other(): pass")
    content, _ = fill("FP_layers.py", None, book, PRISTINE)
    assert content is not None
    assert run(content)["STE"].backward(None, 2) == 4
    assert book.notes == ()


@pytest.mark.parametrize(
    "cell",
    [
        "loss = 0",
        "loss = []",
        "loss = 0.0\nloss += 1",
        "k, loss = 1, {}",
        "w = 2\nloss = w * w",
        "k = loss = None",
        "if True:\n    loss = 0",
    ],
)
def test_a_value_does_not_replace_the_function_of_its_name(cell: str) -> None:
    """Cells are run in order: the function did its work before a loop over batches took its name."""
    content, notes = fill(NAME, None, take("def loss(w): return 1\ndef gradient(w): return loss(w)", cell), PRISTINE)
    assert content is not None
    names = run(content)
    assert names["loss"](0) == names["gradient"](0) == 1
    assert notes[-1] == "Values that hw.ipynb calls loss were left out: the functions of these names count."


@pytest.mark.parametrize(
    "cell",
    [
        "def better(w): return 2\nloss = better",
        "loss = lambda w: 2",
        "from math import pow\nloss = partial(pow, 2)",
        "import numpy as np\nloss = np.vectorize(lambda w: 2)",
    ],
)
def test_another_function_replaces_the_one_of_its_name(cell: str) -> None:
    book = take("from functools import partial\ndef loss(w): return 1", cell)
    content, notes = fill(NAME, None, book, PRISTINE)
    assert content is not None
    assert run(content)["loss"](1) == 2
    assert notes == (f"In {NAME}, loss was taken from hw.ipynb.",)


def test_a_value_without_a_function_of_its_name_is_no_solution() -> None:
    assert fill(NAME, None, take("loss = 0"), PRISTINE) == (None, ())


@pytest.mark.parametrize(
    "value", ["right / total", "rates[-1]", "max(rates)", "math.sqrt(right - 1)", "math.no_such_name"]
)
def test_a_value_that_rests_on_a_loop_costs_only_what_uses_it(value: str) -> None:
    cell = f"import math\nright = total = 0\nrates = []\nfor x in loader:\n    total += 1\nrate = {value}"
    book = take(cell, "def loss(w): return rate\ndef gradient(w):\n    return 1")
    content, _ = fill(NAME, None, book, PRISTINE)
    assert content is not None
    names = run(content)
    assert names["gradient"](0) == 1
    with pytest.raises(NameError, match="rate"):
        names["loss"](0)


def test_what_only_has_the_name_of_a_local_variable_is_left_where_it_is() -> None:
    cells = ("rate = 1\nrate = [k for k in range(3)]\nstep = 5", "def loss(w, rate=2):\n    return rate * step")
    content, _ = fill(NAME, None, take(*cells), PRISTINE)
    assert content is not None
    assert b"range" not in content
    assert run(content)["loss"](1) == 10


@pytest.mark.parametrize("value", ["get_device()", "next(net.parameters()).device", "torch.accelerator.current()"])
def test_a_device_that_only_a_run_could_choose_is_the_one_that_is_here(value: str) -> None:
    cell = f"import torch\ndef get_device():\n    return 1 / 0\ndevice = {value}\ndef f(): return device"
    found = take(cell)
    assert run(found.code)["f"]().type in ("cpu", "cuda")
    assert found.notes == ()


def test_what_stands_in_for_a_package_is_kept_with_its_import() -> None:
    guarded = "try:\n    from absent_package import fast\nexcept ImportError:\n    def fast(x): return x + 1\n"
    content, _ = fill(NAME, None, take(guarded, "def loss(w):\n    return fast(w)"), PRISTINE)
    assert content is not None
    assert run(content)["loss"](1) == 2


def test_a_class_is_replaced_while_one_of_its_methods_is_a_stub() -> None:
    own = LAYERS.replace(b'"""Task."""\n        raise NotImplementedError("3(a)")', b"return w")
    assert unfinished(own, LAYERS) == {"STE", "FP_Conv"}
    better = "class STE:\n    def forward(ctx, w): return 2\n    def backward(ctx, g): return 3"
    content, _ = fill("FP_layers.py", own, take(better), PRISTINE)
    assert content is not None
    assert run(content)["STE"].backward(0, 0) == 3
    half = "class STE:\n    def forward(ctx, w): return 2\n    def backward(ctx, g): pass"
    content, _ = fill("FP_layers.py", LAYERS, take(half), PRISTINE)
    assert content is not None
    assert run(content)["STE"].forward(0, 0) == 2, "half a class is better than none"
    no_better = "class STE:\n    def forward(ctx, w): pass\n    def backward(ctx, g): pass"
    assert fill("FP_layers.py", own, take(no_better), PRISTINE) == (own, ())


def test_writefile_cells_give_missing_and_untouched_files() -> None:
    book = take(
        "%%writefile FP_layers.py\nclass STE: pass\n",
        "%%writefile answers.toml\na = 1",
        "class FP_Conv: pass",
    )
    note = "{} was taken from a %%writefile cell of hw.ipynb."
    for own in (None, LAYERS):
        content, notes = fill("FP_layers.py", own, book, PRISTINE)
        assert content is not None
        assert content.startswith(b"class STE: pass\n")
        assert "FP_Conv" in run(content), "what the written file lacks comes from the other cells"
        assert notes[0] == note.format("FP_layers.py")
    assert fill("answers.toml", b"[p1]\r\n", book, PRISTINE) == (b"a = 1\n", (note.format("answers.toml"),))
    assert fill("answers.toml", b"mine", book, PRISTINE) == (b"mine", ())


def test_a_file_on_disk_wins_over_a_writefile_cell() -> None:
    own = b"class STE: x = 1\nclass FP_Conv: pass\n"
    assert fill("FP_layers.py", own, take("%%writefile FP_layers.py\nclass STE: pass"), PRISTINE) == (own, ())


def test_imports_that_lead_back_to_the_file_are_dropped() -> None:
    book = take(
        "from FP_layers import *\nfrom FP_layers import STE\nfrom resnet20 import *\n"
        "import lab3_quantization as lab3, math",
        "class STE:\n    def forward(ctx, w): return lab3, math",
    )
    content, _ = fill("FP_layers.py", None, book, PRISTINE)
    assert content is not None
    added = content[len(LAYERS.rstrip()) :].decode()
    assert "from" not in added.replace("# From", "")
    assert "import math" in added
    assert "lab3_quantization" not in added


def test_an_import_that_fails_costs_only_what_uses_it() -> None:
    book = take(
        "from lab2_pruning import *\nfrom absent_package import thing\nfrom torch.absent import x\nimport math",
        "def loss(w): return thing\ndef gradient(w): return math.pi, lambda: x",
    )
    content, _ = fill(NAME, None, book, PRISTINE)
    assert content is not None
    names = run(content)
    assert names["gradient"](1)[0] > 3
    with pytest.raises(NameError, match="thing"):
        names["loss"](1)


def test_imports_that_the_grader_needs_itself_stay_as_they_are() -> None:
    source = "import numpy as np\nimport torch.nn as nn\nimport math, os.path"
    book = take(source, "def loss(w): return np, nn, math, os")
    content, _ = fill(NAME, None, book, PRISTINE)
    assert content is not None
    assert f"From hw.ipynb:\n{source}\n" in content.decode()


@pytest.mark.parametrize(
    ("own", "encoding"),
    [
        ("# -*- coding: latin-1 -*-\nname = 'é'\n".encode("latin-1"), "latin-1"),
        (b"\xef\xbb\xbfname = '\xc3\xa9'\r\n", "utf-8-sig"),
    ],
)
def test_the_encoding_of_a_file_is_respected(own: bytes, encoding: str) -> None:
    content, _ = fill(NAME, own, take("def loss(w): return 'λ é'"), PRISTINE)
    assert content is not None
    assert content.startswith(own.rstrip())
    assert content.decode(encoding)
    names = run(content)
    assert (names["name"], names["loss"](1)) == ("é", "λ é")


def test_one_lab_of_a_notebook_does_not_drag_the_others_in() -> None:
    book = take("def loss(w): return 1", "bad = int('not a number')\nclass STE:\n    def forward(ctx, w): return bad")
    content, _ = fill(NAME, None, book, PRISTINE)
    assert content is not None
    assert "bad" not in run(content)


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "phrase"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcdefgh"), "a, b, c, d, e and 3 more"),
        (["\x1b[31mred\n", "x" * 500], "?[31mred? and " + "x" * 80),
    ],
)
def test_lists_of_names_are_short_and_harmless(names: list[str], phrase: str) -> None:
    assert listed(names) == phrase
    assert listed(iter(names)) == phrase


def test_same_text_ignores_line_endings_only() -> None:
    assert same_text(b"a\r\nb\r\n", b"a\nb")
    assert not same_text(b"a\nb", b"a b")


def test_every_stub_form_is_seen() -> None:
    template = b"def f(): raise NotImplementedError\n"
    for body in (
        "raise NotImplementedError",
        "'doc'; raise NotImplementedError('x')",
        "pass",
        "...",
        "'doc'",
    ):
        assert unfinished(f"def f(): {body}".encode(), template) == {"f"}, body
    for body in ("return None", "raise ValueError", "x = 1; raise NotImplementedError", "raise"):
        assert unfinished(f"def f(): {body}".encode(), template) == frozenset(), body
    assert unfinished(b"def f(): pass\ndef f(): return 1", template) == frozenset(), "the last definition counts"
    assert unfinished(b"if 1:\n    f = 1", template) == frozenset()
    assert unfinished(b"", template) == {"f"}


def test_any_mixture_of_cells_gives_code_that_can_be_imported() -> None:
    """Every order of awkward cells: what is kept never fails at import."""
    cells = [
        "X = load()\ndef f(a=X): return X",
        "X = 3\nclass C:\n    x = 1",
        "y = X",
        "def g(:",
        "%%time\nz = y\nimport math as y",
        "if True:\n    X = X\nelse:\n    X = later\n",
    ]
    for order in itertools.permutations(cells):
        run(take(*order).code)
