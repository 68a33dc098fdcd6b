"""What a notebook gives to a submission, found in its syntax trees: no cell is ever run.

A notebook is read as plain JSON, not through nbformat: that needs no dependency, starts at once, takes
formats 3 and 4 alike, and refuses no notebook for a detail of its outputs that nobody grades.

Three steps, one section each: read the cells, choose the statements to keep, fill in what a file lacks.
"""

from __future__ import annotations

import ast
import builtins
import copy
import io
import json
import math
import re
import shlex
import sys
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from grader.errors import UnusableSubmission

__all__ = ["Extraction", "extract", "fill", "listed", "same_text", "unfinished"]

_MAX_CODE = 2**20
"""Characters of code that are parsed: a syntax tree takes some 300 times the memory of its text."""
_MAX_CONTAINERS = 2_000_000
_MAX_CELLS = 5_000
_MAX_NOTES = 4
_UNPARSEABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)

_PYTHON_MAGICS = frozenset({"capture", "memit", "prun", "time", "timeit"})
_FOREIGN_MAGICS = (
    "! bash cmd html HTML javascript js latex markdown perl python python2 python3 ruby script sh svg SVG"
)
_MAGIC_LINE = re.compile(r"[%!?]|[\w.]+\?{1,2}\s*$|[\w\s,.]+=\s*[%!](?!=)")
_TRIPLE = ('"""', "'''")
_QUOTE_OR_BRACKET = re.compile(r"""\\.|\"""|\'''|["'#()\[\]{}]""")

_ABSENT = frozenset({"IPython", "google", "ipywidgets"})
"""Packages that only a notebook server has."""
_PRESENT = frozenset(
    {
        "matplotlib.pyplot",
        "numpy",
        "torch",
        "torch.nn",
        "torch.nn.functional",
        "torch.optim",
        "torch.utils.data",
    }
)
"""Modules that the grader itself needs: any other import may fail without costing the rest of the file."""
_IMPORT_FAILURES = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})

_CALLS = {
    "builtins": "abs bool dict float frozenset int len list max min range round set sorted str sum tuple zip",
    "collections": "OrderedDict defaultdict namedtuple",
    "functools": "partial",
    "math": " ".join(vars(math)),
    "numpy": "arange array asarray eye float32 float64 full linspace ones ones_like sqrt zeros zeros_like",
    "os.path": "join",
    "pathlib": "Path",
    "torch": "arange device eye from_numpy full linspace ones ones_like tensor zeros zeros_like",
    "torch.backends.mps": "is_available",
    "torch.cuda": "device_count is_available",
    "torch.nn": "CrossEntropyLoss MSELoss",
    "typing": "NamedTuple TypeVar",
}
"""The calls that a constant may make, by module."""
_METHODS = "astype copy cpu cuda double flatten float numpy ravel reshape to transpose view"
_SIMPLE = (
    *(
        ast.Attribute,
        ast.BinOp,
        ast.BoolOp,
        ast.Compare,
        ast.Constant,
        ast.Dict,
        ast.FormattedValue,
        ast.IfExp,
    ),
    *(
        ast.JoinedStr,
        ast.List,
        ast.Set,
        ast.Slice,
        ast.Starred,
        ast.Subscript,
        ast.Tuple,
        ast.UnaryOp,
        ast.keyword,
    ),
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found in one notebook.

    ``files`` are those that ``%%writefile`` cells write, by file name without folders. ``code`` is the source
    of every import, definition and simple constant in the order of the cells, ``definitions`` names the
    functions and classes in it, each once.
    """

    name: str
    files: dict[str, str]
    code: str
    definitions: tuple[str, ...]
    notes: tuple[str, ...]


def listed(names: Iterable[str], limit: int = 5, width: int = 80) -> str:
    """Some names as a phrase: at most ``limit`` of ``width`` characters that disturb no terminal."""
    safe = ["".join(c if c.isprintable() else "?" for c in name[:width]) for name in names]
    if len(safe) > limit:
        return f"{', '.join(safe[:limit])} and {len(safe) - limit} more"
    return " and ".join(filter(None, [", ".join(safe[:-1]), *safe[-1:]]))


def same_text(a: bytes, b: bytes) -> bool:
    """Whether two files differ at most in their line endings and in white space at the end."""
    return a.replace(b"\r\n", b"\n").rstrip() == b.replace(b"\r\n", b"\n").rstrip()


# --- reading cells -----------------------------------------------------------------------------------------


def extract(notebook: bytes, name: str) -> Extraction:
    """Everything in the notebook that can be taken without running it.

    Raises UnusableSubmission where the bytes are not a notebook, or hold more than anybody writes by hand.
    """
    files: dict[str, str] = {}
    selector = _Selector()
    chunks: list[str] = []
    skipped: list[str] = []
    for number, source in enumerate(_code_cells(notebook, name), 1):
        magic, body = _peel(source)
        kind = magic.split(maxsplit=1)[0] if magic else ""
        if kind in ("writefile", "file"):
            _write(files, magic, body)
        elif kind:
            if kind not in _FOREIGN_MAGICS.split():
                skipped.append(
                    f"Code cell {number} of {name} was not read: it starts with {listed(['%%' + magic])}."
                )
        else:
            try:
                chunks.append(selector.take_cell(_plain(body)))
            except _UNPARSEABLE as error:
                skipped.append(f"Code cell {number} of {name} was not read: {_complaint(error)}.")
    future = ["from __future__ import annotations\n"] if selector.postponed else []
    code = "\n\n".join(filter(None, [*future, *chunks]))
    if len(code) > _MAX_CODE:
        raise UnusableSubmission(_too_much(name))
    if len(skipped) > _MAX_NOTES:
        skipped[_MAX_NOTES:] = [f"{len(skipped) - _MAX_NOTES} more code cells of {name} were not read."]
    notes = (*skipped, *(selector.notes(name) if selector.definitions else ()))
    return Extraction(name, files, code, tuple(selector.definitions), notes)


def _code_cells(notebook: bytes, name: str) -> list[str]:
    advice = "save it again in Jupyter and hand in that file"
    if notebook.count(b"[") + notebook.count(b"{") > _MAX_CONTAINERS:
        raise UnusableSubmission(f"{name} is too large a notebook: clear its outputs and {advice}.")
    try:
        data = json.loads(notebook)
    except (ValueError, RecursionError):
        raise UnusableSubmission(
            f"{name} is not a notebook, its content is not valid JSON: {advice}."
        ) from None
    cells = _cells(data)
    if cells is None:
        raise UnusableSubmission(f"{name} is not a notebook, it has no list of cells: {advice}.")
    sources = [_source(cell) for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    if len(sources) > _MAX_CELLS or sum(map(len, sources)) > _MAX_CODE:
        raise UnusableSubmission(_too_much(name))
    return sources


def _too_much(name: str) -> str:
    return (
        f"{name} holds more code than can be read (1 MiB, {_MAX_CELLS:,} cells): hand in only your solution."
    )


def _cells(data: object) -> list[object] | None:
    if not isinstance(data, dict):
        return None
    if isinstance(data.get("cells"), list):
        return list(data["cells"])
    if not isinstance(data.get("worksheets"), list):  # format 3 kept its cells in worksheets
        return None
    sheets = [sheet.get("cells") for sheet in data["worksheets"] if isinstance(sheet, dict)]
    return [cell for cells in sheets if isinstance(cells, list) for cell in cells]


def _source(cell: dict[str, object]) -> str:
    lines = cell.get("source", cell.get("input", ""))
    text = "".join(line for line in lines if isinstance(line, str)) if isinstance(lines, list | str) else ""
    # JSON may escape half a surrogate pair, which no file can hold.
    return text.encode(errors="replace").decode().replace("\r\n", "\n").replace("\r", "\n")


def _peel(source: str) -> tuple[str, str]:
    """The cell magic that decides about the cell ('' for none) and its body, lines in their places."""
    lines = source.split("\n")
    for i, line in enumerate(lines):
        words = line[2:].split()
        if line.startswith("%%") and words and words[0] not in _PYTHON_MAGICS:
            return line[2:].strip(), "\n".join(lines[i + 1 :])
        if line.startswith("%%"):
            lines[i] = ""
        elif line.strip():
            break
    return "", "\n".join(lines)


def _write(files: dict[str, str], magic: str, body: str) -> None:
    try:
        words = shlex.split(magic)[1:]
    except ValueError:
        words = magic.split()[1:]
    paths = [word for word in words if not word.startswith("-")]
    if paths:
        target = paths[0].replace("\\", "/").rsplit("/", 1)[-1]
        appends = "-a" in words or "--append" in words
        files[target] = (files.get(target, "") if appends else "") + body.rstrip("\n") + "\n"


def _plain(source: str) -> str:
    """The cell without magics, shell lines and help requests; every other line keeps its number."""
    lines: list[str] = []
    depth, quote, continued, in_magic = 0, "", False, False
    for line in source.split("\n"):
        text = line.lstrip()
        if in_magic:
            lines.append("")
            in_magic = line.endswith("\\")
        elif not (depth or quote or continued) and _MAGIC_LINE.match(text):
            lines.append(line[: len(line) - len(text)] + "pass")
            in_magic = line.endswith("\\")
        else:
            lines.append(line)
            continued = line.endswith("\\")
            depth, quote = _scan(line, depth, quote)
            quote = quote if continued or quote in _TRIPLE else ""
    return "\n".join(lines)


def _scan(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Open brackets and the open string's quotes after a line."""
    for token in _QUOTE_OR_BRACKET.findall(line):
        if quote:
            if token in (quote, quote * 3):
                quote = ""
        elif token[0] in "\"'":
            quote = token
        elif token == "#":
            break
        elif token in "([{":
            depth += 1
        elif token in ")]}":
            depth = max(depth - 1, 0)
    return depth, quote


def _complaint(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        text = (error.text or "").strip()
        return f"line {error.lineno} is not valid Python ({error.msg}{': ' if text else ''}{listed([text])})"
    return "its code is nested too deeply or holds characters that Python does not accept"


# --- choosing statements -----------------------------------------------------------------------------------


@dataclass(slots=True)
class _Selector:
    """Decides, statement by statement, what can be taken without running anything.

    ``known`` holds the names bound so far, each with its full name if it is imported ("numpy.array") or else
    ''; ``lost`` those that only a run could bind; ``undo`` what ``known`` said before, for a broken cell.
    """

    known: dict[str, str] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    definitions: dict[str, int] = field(default_factory=dict)
    postponed: bool = False
    absent: dict[str, None] = field(default_factory=dict)
    uses: dict[str, set[str]] = field(default_factory=dict)
    undo: list[tuple[str, str | None]] = field(default_factory=list)

    def take_cell(self, source: str) -> str:
        """The part of a cell to keep, as source; takes nothing where it raises one of _UNPARSEABLE."""
        self.undo.clear()
        counts = dict(self.definitions)
        try:
            tree = _parse(source)
            kept = [(text, stmt, self.take(stmt)) for text, stmt in _texts(tree, source)]
            chunk = "\n".join(text if new is old else ast.unparse(new) for text, old, new in kept if new)
            _compile(chunk)
        except _UNPARSEABLE:
            self._roll_back(0)
            self.definitions = counts
            raise
        return chunk

    def take(self, stmt: ast.stmt) -> ast.stmt | None:
        """The statement as it is kept, or None; the same object where nothing had to be changed."""
        mark = len(self.undo)
        kept = self._kept(stmt)
        if kept is None:
            self._roll_back(mark)
            self.lost |= _bound(stmt) - self.known.keys()
        return kept

    def _bind(self, name: str, path: str = "") -> None:
        self.undo.append((name, self.known.get(name)))
        self.known[name] = path
        self.lost.discard(name)

    def _bind_all(self, stmt: ast.stmt) -> ast.stmt:
        for name in _bound(stmt):
            self._bind(name)
        return stmt

    def _roll_back(self, mark: int) -> None:
        while len(self.undo) > mark:
            name, path = self.undo.pop()
            self.known.pop(name)
            if path is not None:
                self.known[name] = path

    def notes(self, name: str) -> Iterator[str]:
        again = [n for n, count in self.definitions.items() if count > 1]
        if again:
            yield f"Defined more than once in {name}, the last one counts: {listed(again)}."
        if self.absent:
            yield f"Imports of {listed(self.absent)} in {name} were left out: they exist only in a notebook."
        users = {user: names & self.lost for user, names in self.uses.items() if names & self.lost}
        if users:
            values = listed(sorted(set().union(*users.values())))
            yield f"Cells of {name} are not run, so {listed(users)} will not find {values}: use arguments."

    def _kept(self, stmt: ast.stmt) -> ast.stmt | None:
        kept: ast.stmt | None = None
        match stmt:
            case ast.Import() | ast.ImportFrom():
                kept = self._import(stmt)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                kept = self._definition(stmt)
            case ast.Assign(targets=targets, value=value) if all(
                map(_plain_target, targets)
            ) and self._simple(value):
                kept = self._bind_all(stmt)
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value) if self._simple(value):
                self._bind_all(stmt)
                kept = ast.Assign([target], value, lineno=stmt.lineno)  # what annotates it may not exist here
            case ast.AugAssign(target=ast.Name(id=name), value=value) if name in self.known and self._simple(
                value
            ):
                kept = stmt
            case ast.If(test=test) if self._simple(test):
                kept = self._branches(stmt)
            case ast.Try(handlers=[_, *_]) if all(map(_catches_import_failure, stmt.handlers)):
                kept = self._branches(stmt, guarded=True)
        return kept

    def _import(self, stmt: ast.Import | ast.ImportFrom, guarded: bool = False) -> ast.stmt | None:
        module = stmt.module or "" if isinstance(stmt, ast.ImportFrom) else ""
        if module == "__future__":
            self.postponed |= any(alias.name == "annotations" for alias in stmt.names)
            return None
        aliases = [a for a in stmt.names if guarded or not self._is_absent(module or a.name)]
        for alias in aliases:
            self._bind_alias(module, alias)
        if not aliases or (isinstance(stmt, ast.ImportFrom) and stmt.level):
            return None
        if len(aliases) == len(stmt.names):
            return stmt
        self.lost |= {_alias_name(a) for a in stmt.names} - self.known.keys()
        return ast.Import(aliases)

    def _is_absent(self, module: str) -> bool:
        absent = module.partition(".")[0] in _ABSENT
        if absent:
            self.absent[module] = None
        return absent

    def _bind_alias(self, module: str, alias: ast.alias) -> None:
        if alias.name == "*":
            return
        name = _alias_name(alias)
        self._bind(name, f"{module}.{alias.name}" if module else alias.name if alias.asname else name)

    def _definition(self, stmt: _Definition) -> ast.stmt | None:
        self.uses[stmt.name] = self.uses.get(stmt.name, set()) | (_names(stmt) - _locals(stmt))
        outside = [*stmt.decorator_list, *(stmt.bases if isinstance(stmt, ast.ClassDef) else ())]
        if any(_names(node) & self.lost for node in outside):
            return None
        self.definitions[stmt.name] = self.definitions.get(stmt.name, 0) + 1
        self._bind_all(stmt)
        return self._with_defaults(stmt)

    def _with_defaults(self, stmt: _Definition) -> ast.stmt:
        """None in place of each default value that only a run could compute: an import would fail on it."""
        if not any(_names(d) & self.lost for _, _, d in _defaults(stmt)):
            return stmt
        stmt = copy.deepcopy(stmt)
        for values, i, default in _defaults(stmt):
            if _names(default) & self.lost:
                values[i] = ast.Constant(None)
        return stmt

    def _branches(self, stmt: ast.If | ast.Try, guarded: bool = False) -> ast.stmt | None:
        """An ``if`` or ``try`` around imports and constants, without the calls (say of print) among them."""
        new = copy.copy(stmt)
        blocks: list[tuple[ast.AST, str]] = [(new, "body"), (new, "orelse")]
        if isinstance(new, ast.Try):
            new.handlers = [copy.copy(handler) for handler in new.handlers]
            blocks += [(new, "finalbody"), *((handler, "body") for handler in new.handlers)]
        useful = False
        for owner, name in blocks:
            block = self._block(getattr(owner, name), guarded and owner is new)
            if block is None:
                return None
            useful |= bool(block)
            setattr(owner, name, block or [ast.Pass()] * (name == "body"))
        return new if useful else None

    def _block(self, stmts: list[ast.stmt], guarded: bool) -> list[ast.stmt] | None:
        kept: list[ast.stmt] = []
        for stmt in stmts:
            match stmt:
                case ast.Expr() | ast.Pass():
                    continue
                case ast.Import() | ast.ImportFrom():
                    new = self._import(stmt, guarded)
                case ast.Assign() | ast.AnnAssign() | ast.AugAssign() | ast.If() | ast.Try():
                    new = self.take(stmt)
                case _:
                    new = None
            if new is None:
                return None
            kept.append(new)
        return kept

    def _simple(self, node: ast.AST) -> bool:
        """Whether evaluating this expression is cheap and touches nothing but values."""
        match node:
            case ast.Name(id=name):
                return name in self.known or _is_builtin(name)
            case ast.Lambda(args=args):
                return all(self._simple(d) for d in [*args.defaults, *filter(None, args.kw_defaults)])
            case ast.Call(func=func, args=args, keywords=keywords):
                return self._may_call(func) and all(self._simple(a) for a in (*args, *keywords))
        return isinstance(node, _SIMPLE) and all(
            self._simple(child)
            for child in ast.iter_child_nodes(node)
            if isinstance(child, ast.expr | ast.keyword)
        )

    def _may_call(self, func: ast.expr) -> bool:
        path = self._path(func)
        if path:  # shutil.copy is not a method of a value: what is imported must be on the list
            module, _, name = path.rpartition(".")
            return name in _CALLS.get(module, "").split()
        return isinstance(func, ast.Attribute) and func.attr in _METHODS.split() and self._simple(func.value)

    def _path(self, node: ast.expr) -> str:
        """The full name of what is imported or built in ("numpy.array"), and '' for everything else."""
        if isinstance(node, ast.Attribute):
            path = self._path(node.value)
            return f"{path}.{node.attr}" if path else ""
        if not isinstance(node, ast.Name):
            return ""
        return self.known.get(node.id, f"builtins.{node.id}" if _is_builtin(node.id) else "")


def _parse(source: str | bytes) -> ast.Module:
    if len(source) > _MAX_CODE:
        raise ValueError("too long")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\lambda" in a docstring is no concern of ours
        return ast.parse(source)


def _compile(source: str) -> None:
    """Raise what an import of this source would raise before it runs, say for a return without a function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compile(source, "<cell>", "exec", dont_inherit=True)


def _texts(tree: ast.Module, source: str) -> Iterator[tuple[str, ast.stmt]]:
    """Each statement with its own lines, comments included; rewritten where it shares a line with another."""
    lines = source.split("\n")
    spans = [(_first_line(stmt), stmt.end_lineno or stmt.lineno) for stmt in tree.body]
    for i, (stmt, (first, last)) in enumerate(zip(tree.body, spans, strict=True)):
        shared = (i and spans[i - 1][1] == first) or (i + 1 < len(spans) and spans[i + 1][0] == last)
        text = "\n".join(lines[first - 1 : last])
        yield (ast.unparse(stmt) if shared or text.endswith("\\") else text), stmt


def _first_line(stmt: ast.stmt) -> int:
    decorators = stmt.decorator_list if isinstance(stmt, _Definition) else []
    return min([stmt.lineno, *(d.lineno for d in decorators)])


def _bound(stmt: ast.stmt) -> set[str]:
    """The names that a statement binds where it stands, not those inside of functions and classes."""
    names: set[str] = set()
    todo: list[ast.AST] = [stmt]
    while todo:
        node = todo.pop()
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names.update(_alias_name(alias) for alias in node.names)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                pass
            case _:
                todo.extend(ast.iter_child_nodes(node))
    return names


def _locals(definition: ast.stmt) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(definition):
        match node:
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias():
                names.add(_alias_name(node))
    return names


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _alias_name(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _is_builtin(name: str) -> bool:
    return hasattr(builtins, name) and not name.startswith("_")


def _plain_target(target: ast.expr) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return all(map(_plain_target, target.elts))
    return isinstance(target.value if isinstance(target, ast.Starred) else target, ast.Name)


def _catches_import_failure(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or bool(_names(handler.type) & _IMPORT_FAILURES)


def _defaults(
    definition: _Definition,
) -> Iterator[tuple[list[ast.expr] | list[ast.expr | None], int, ast.expr]]:
    """Every default value of a function, or of a class's methods, with the list and index where it stands."""
    if isinstance(definition, ast.ClassDef):
        for stmt in definition.body:
            if isinstance(stmt, _Function):
                yield from _defaults(stmt)
        return
    for values in (definition.args.defaults, definition.args.kw_defaults):
        for i, value in enumerate(values):
            if value is not None:
                yield values, i, value


# --- filling in what files lack ----------------------------------------------------------------------------


def unfinished(own: bytes, template: bytes) -> frozenset[str]:
    """The public functions and classes of a template that a student's file lacks or still holds as stubs.

    Empty for a file that cannot be parsed: its checks will say so.
    """
    try:
        tree = _parse(own)
    except _UNPARSEABLE:
        return frozenset()
    defined, bound = _public(tree), set().union(*map(_bound, tree.body))
    return frozenset(
        name
        for name in _public(_parse(template))
        if name not in bound or (name in defined and _stubs(defined[name]))
    )


def fill(
    name: str, own: bytes | None, extraction: Extraction, pristine: Mapping[str, bytes]
) -> tuple[bytes | None, tuple[str, ...]]:
    """The student's file ``name`` completed from a notebook, with notes about what was taken.

    ``own`` is None for a missing file. A missing or untouched file becomes what a ``%%writefile`` cell wrote,
    else the template followed by the notebook's definitions. A file that the student wrote only gets the
    public functions and classes that are missing in it or still stubs. ``pristine`` holds the template files.
    """
    template = pristine.get(name, b"")
    notes: list[str] = []
    untouched = own is None or same_text(own, template)
    if untouched and name in extraction.files:
        own, untouched = extraction.files[name].encode(), False
        notes.append(f"{name} was taken from a %%writefile cell of {extraction.name}.")
    if not name.endswith(".py"):
        return own, tuple(notes)
    base = template if own is None else own
    found = _public(_parse(extraction.code))
    stubs = {n: _stubs(d) for n, d in _public(_parse(template)).items()}
    wanted = stubs.keys() if untouched else unfinished(base, template)
    taken = [n for n in found if n in wanted and (not _stubs(found[n]) or _stubs(found[n]) < stubs[n])]
    if not taken:
        return own, tuple(notes)
    defined = set() if untouched else set().union(*map(_bound, _parse(base).body)) - set(taken)
    added = _excerpt(extraction.code, taken, defined, _circular(name, pristine))
    notes.append(
        f"In {name}, {listed(taken)} {'was' if len(taken) == 1 else 'were'} taken from {extraction.name}."
    )
    title = f"\n\n# From {listed([extraction.name])}:\n"
    return base.rstrip() + _encode_like(base, title + added), tuple(notes)


def _public(tree: ast.Module) -> dict[str, _Definition]:
    return {s.name: s for s in tree.body if isinstance(s, _Definition) and not s.name.startswith("_")}


def _stubs(definition: _Definition) -> int:
    """How many functions or methods of a definition are still to be written."""
    if isinstance(definition, ast.ClassDef):
        return sum(_stubs(stmt) for stmt in definition.body if isinstance(stmt, _Function))
    body = definition.body[1:] if ast.get_docstring(definition, clean=False) is not None else definition.body
    return int(all(_is_empty(stmt) for stmt in body))


def _is_empty(stmt: ast.stmt) -> bool:
    match stmt:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False


def _excerpt(code: str, wanted: list[str], defined: AbstractSet[str], circular: AbstractSet[str]) -> str:
    """The statements of ``code`` that bind the wanted names and what those need beyond ``defined``."""
    pairs = list(_texts(_parse(code), code))
    binders: dict[str, list[int]] = {}
    for i, (_, stmt) in enumerate(pairs):
        for name in _bound(stmt):
            binders.setdefault(name, []).append(i)
    chosen = set(binders.get("*", ()))  # nobody can tell what a star import is needed for
    todo, seen = list(wanted), set(defined)
    while todo:
        for i in binders.get(todo.pop(), ()):
            if i not in chosen:
                chosen.add(i)
                new = _names(pairs[i][1]) - seen
                seen |= new
                todo.extend(new)
    texts = (_import_text(pairs[i][1], pairs[i][0], circular) for i in sorted(chosen))
    return "\n".join(text for text in texts if text) + "\n"


def _import_text(stmt: ast.stmt, text: str, circular: AbstractSet[str]) -> str:
    """An import that neither leads back to the file nor costs all of it by failing; other text as it is."""
    if not isinstance(stmt, ast.Import | ast.ImportFrom):
        return text if isinstance(stmt, ast.If | ast.Try | ast.Assign | ast.AugAssign) else f"\n\n{text}\n"
    module = stmt.module or "" if isinstance(stmt, ast.ImportFrom) else ""
    if module == "__future__":
        return ""
    aliases = [a for a in stmt.names if (module or a.name) not in circular]
    if not aliases:
        return ""
    if len(aliases) == len(stmt.names) and all(_is_present(module or a.name) for a in aliases):
        return text
    stmt = ast.ImportFrom(module, aliases, 0) if module else ast.Import(aliases)
    return f"try:\n    {ast.unparse(stmt)}\nexcept ImportError:\n    pass"


def _is_present(module: str) -> bool:
    return module in _PRESENT or module.partition(".")[0] in sys.stdlib_module_names


def _circular(name: str, pristine: Mapping[str, bytes]) -> set[str]:
    """The file's own module and those that import it: they would find it half executed."""
    own = name.removesuffix(".py")
    return {own} | {
        file.removesuffix(".py")
        for file, source in pristine.items()
        if file.endswith(".py") and own in _imported(_parse(source))
    }


def _imported(tree: ast.Module) -> set[str]:
    modules = {alias.name for stmt in tree.body if isinstance(stmt, ast.Import) for alias in stmt.names}
    return modules | {stmt.module or "" for stmt in tree.body if isinstance(stmt, ast.ImportFrom)}


def _encode_like(base: bytes, text: str) -> bytes:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(base).readline)
    return text.encode("utf-8" if encoding == "utf-8-sig" else encoding, "backslashreplace")
