"""What the graded files lack is looked for in the rest of a submission: notebooks, scripts, files of other parts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from grader.entries import Entry, note
from grader.errors import UnusableSubmission
from grader.notebook import (
    Extraction,
    absolute,
    extract,
    fill,
    guarded,
    imported_modules,
    in_utf8,
    is_present,
    listed,
    obstacle,
    readable,
    unfinished,
    with_packages,
)

__all__ = ["MAX_FILE", "Search", "is_helper"]

MAX_FILE = 2 * 2**20
_MAX_NOTEBOOK = 32 * 2**20
_MAX_NOTEBOOKS = 8
_MAX_SCRIPTS = 64
_MAX_HELPERS = 16
_MAX_PARTS = 4
"""Parts of a module's name, in ``a.b.c.d``, that are looked for."""

_HELPER = re.compile(rf"([A-Za-z]\w*)(?:/\w+){{,{_MAX_PARTS}}}\.py", re.ASCII)
_PROVIDED = frozenset({"resnet20", "train_util"})
_RESERVED = _PROVIDED | {
    *("IPython", "conftest", "grader", "matplotlib", "sitecustomize", "torchvision", "tqdm", "usercustomize"),
}
_TRAINING = ("lab2_pruning.py", "lab3_quantization.py")
"""The labs whose functions take long on real data."""


def is_helper(name: str, graded: Collection[str]) -> bool:
    """Whether a file may lie beside the graded ones, as a module that they import or in a package of such modules."""
    match = _HELPER.fullmatch(name)
    if not match or f"{match[1]}.py" in graded:  # a package would be found before the graded file of its name
        return False
    return match[1] not in _RESERVED and not is_present(match[1])


def _as_entry(name: str, content: bytes) -> Entry:
    return Entry(name, lambda _: content)


def _package(name: str) -> str:
    """The package in which a file lies; '' for none."""
    return name.rpartition("/")[0].replace("/", ".")


class _Scripts:
    """The student's other scripts, to be found by the name of a module.

    Args:
        scripts: those that are no graded files.
        folders: by graded file, where it was handed in.
    """

    def __init__(self, scripts: Iterable[Entry], folders: Mapping[str, str]) -> None:
        self._homes = {name: f"{folder}/" if folder else "" for name, folder in folders.items()}
        self._by_path: dict[str, Entry] = {}
        self._by_end: dict[str, Entry] = {}  # by the last parts of the path, as many as a module's name may have
        for entry in scripts:
            self._by_path.setdefault(entry.path, entry)
            parts = entry.path.split("/")
            for count in range(1, _MAX_PARTS + 2):
                self._by_end.setdefault("/".join(parts[-count:]), entry)

    def file_of(self, module: str, importer: str) -> tuple[str, Entry | None]:
        """The name of a module's file, and where it was handed in.

        Beside the importer or another graded file if it is there, else anywhere. Of a package and a plain file the
        shallower one is taken, of equally deep ones the package, as Python does.
        """
        path = module.replace(".", "/")
        names = (f"{path}/__init__.py", f"{path}.py")
        homes = dict.fromkeys([self._homes.get(importer, ""), *sorted(self._homes.values())])
        for home in homes:
            for name in names:
                if entry := self._by_path.get(home + name):
                    return name, entry
        package, plain = map(self._by_end.get, names)
        if package and not (plain and plain.path.count("/") < package.path.count("/") - 1):
            return names[0], package
        return names[1], plain

    def holds_graded(self, name: str, entry: Entry) -> bool:
        """Whether a module's file belongs to a package that graded files lie in, which are taken out of it."""
        if "/" not in name:
            return False
        package = f"{entry.path.removesuffix(name)}{name.partition('/')[0]}/"
        return any(home.startswith(package) for home in self._homes.values())


class Search:
    """The search for what the files of a submission lack.

    Args:
        files: the editable files that were handed in, by name; completed in place.
        templates: the pristine files.
        notes: to the student; completed in place.
        folders: by file that was handed in, where it lay.
        fatal: whether a source that cannot be read leaves nothing to grade.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        templates: Mapping[str, bytes],
        notes: list[str],
        folders: Mapping[str, str],
        fatal: bool,
    ) -> None:
        self._files = files
        self._templates = templates
        self._notes = notes
        self._folders = folders
        self._fatal = fatal
        self._labs = [name for name in templates if name.endswith(".py") and name.removesuffix(".py") not in _PROVIDED]
        self._editable = [name for name in templates if name.removesuffix(".py") not in _PROVIDED]
        self._written: dict[str, tuple[str, str]] = {}  # what %%writefile cells wrote: the text and the notebook
        self._used: set[str] = set()  # paths of the other scripts from which something was taken
        self._made: list[tuple[str, frozenset[str]]] = []  # by notebook, what only a call could make

    def complete(self, notebooks: Sequence[Entry], scripts: Sequence[Entry]) -> None:
        """Take from notebooks and scripts what the files lack, and the modules that they import."""
        own = dict(self._files)
        self._make_readable()
        self._make_importable()
        for entry in notebooks[:_MAX_NOTEBOOKS]:
            if extraction := self._extract(entry):
                self._fill_from_notebook(extraction)
        self._notes += note("Too many notebooks, these were not read", [e.path for e in notebooks[_MAX_NOTEBOOKS:]])
        for entry in [*scripts[:_MAX_SCRIPTS], *(_as_entry(name, own[name]) for name in self._labs if name in own)]:
            self._fill_from_script(entry)
        for name, content in own.items():
            self._files.setdefault(name, content)
        self._tell_made()
        self._take_helpers(scripts)
        self._guard_imports()
        self._tell_unused_cells()

    def unused(self, scripts: Iterable[Entry]) -> list[str]:
        """The paths of scripts from which nothing was taken and that nobody would miss."""
        return [entry.path for entry in scripts if entry.path not in self._used]

    # --- own files

    def _make_readable(self) -> None:
        """Put files that only their encoding makes unreadable into UTF-8."""
        for name in [name for name in self._editable if name in self._files]:
            own = self._files[name]
            self._files[name] = readable(own) if name in self._labs else in_utf8(own)
            if self._files[name] != own:
                self._notes.append(f"{name} is not in UTF-8: it was read as Windows writes it.")

    def _make_importable(self) -> None:
        """Put files that cannot be imported as they are aside, and what they define in their places."""
        for name in [lab for lab in self._labs if lab in self._files]:
            content = self._files[name] = absolute(self._files[name])
            reason = obstacle(content, self._trainings())
            extraction = self._own_definitions(name, content) if reason else None
            if extraction:
                made, told = fill(name, None, extraction, self._templates)
                if made is not None:
                    self._files[name] = made
                    self._notes += [f"{name} was read like a notebook, since {reason}.", *extraction.notes, *told]

    def _own_definitions(self, name: str, content: bytes) -> Extraction | None:
        try:
            return extract(content, name)
        except UnusableSubmission:
            return None

    def _trainings(self) -> frozenset[str]:
        templates = [self._templates[name] for name in _TRAINING]
        return frozenset().union(*(unfinished(template, template) for template in templates))

    # --- other sources

    def _extract(self, entry: Entry) -> Extraction | None:
        """What a source holds; one that cannot be read is fatal only if it is all."""
        try:
            limit = _MAX_NOTEBOOK if entry.name.casefold().endswith(".ipynb") else MAX_FILE
            return extract(entry.read(limit), entry.path)
        except UnusableSubmission as error:
            if self._fatal:
                raise
            self._notes.append(str(error))
            return None

    def _fill_from_notebook(self, extraction: Extraction) -> None:
        if self._lacking():
            self._notes += extraction.notes  # of no interest where the files are complete without the notebook
        self._made.append((extraction.name, extraction.made))
        self._fill(extraction)
        for name, text in extraction.files.items():
            self._written.setdefault(name, (text, extraction.name))

    def _fill_from_script(self, entry: Entry) -> None:
        """Take from a script, if it mentions a definition that is lacking: most need not be parsed."""
        lacking = {name.casefold().replace("_", "") for name in self._lacking()}
        if not lacking:
            return
        try:
            folded = entry.read(MAX_FILE).lower().replace(b"_", b"")
        except UnusableSubmission:
            return
        if re.search(rf"(?:def|class)\s+(?:{'|'.join(sorted(lacking))})\b".encode(), folded):
            extraction = self._extract(entry)
            if extraction and self._fill(extraction):
                self._notes += extraction.notes
                self._used.add(entry.path)

    def _lacking(self) -> set[str]:
        """The functions and classes that no file has yet."""
        templates = ((name, self._templates[name]) for name in self._labs)
        return {lack for name, template in templates for lack in unfinished(self._files.get(name, template), template)}

    def _fill(self, extraction: Extraction) -> bool:
        """Complete every file; returns whether anything was taken."""
        before = dict(self._files)
        for name in self._editable:
            content, told = fill(name, self._files.get(name), extraction, self._templates)
            self._notes += told
            if content is not None:
                self._files[name] = content
        return self._files != before

    # --- what the files import

    def _take_helpers(self, scripts: Iterable[Entry]) -> None:
        """Take the student's modules that the files import, and those that these import in turn."""
        own = _Scripts((entry for entry in scripts if entry.name not in self._templates), self._folders)
        waiting = [name for name in self._files if name.endswith(".py")]
        taken: list[str] = []
        while waiting:
            importer = waiting.pop()
            for module in sorted(imported_modules(self._files[importer], _package(importer))):  # packages come first
                name, entry = own.file_of(module, importer)
                if len(taken) == _MAX_HELPERS or not self._may_take(name, module):
                    continue
                if entry and own.holds_graded(name, entry):
                    continue
                if (content := self._helper(name, entry)) is not None:
                    self._files[name] = content
                    waiting.append(name)
                    taken.append(name)
        self._notes += note("Taken since graded files import them", taken)

    def _may_take(self, name: str, module: str) -> bool:
        """Whether a module's file is not there yet, may be, and lies in no package whose name a module has."""
        is_free = not any(f"{part.replace('.', '/')}.py" in self._files for part in with_packages(module))
        return is_free and name not in self._files and is_helper(name, self._templates)

    def _helper(self, name: str, entry: Entry | None) -> bytes | None:
        """The student's module of this name, without what should not run when it is imported."""
        try:
            if entry:
                content = readable(entry.read(MAX_FILE))
                self._used.add(entry.path)
            elif name in self._written:
                content = self._written.pop(name)[0].encode()
            else:
                return None
            if not _package(name):
                content = absolute(content)
            if reason := obstacle(content, self._trainings()):
                content = extract(content, name).code.encode()
                self._notes.append(f"Of {name}, only definitions were taken, since {reason}.")
        except UnusableSubmission as error:
            self._notes.append(str(error))
            return None
        return content

    def _guard_imports(self) -> None:
        own = (part for name in self._files for part in with_packages(name.removesuffix(".py").replace("/", ".")))
        staged = frozenset(own) | _PROVIDED
        left_out = frozenset(name.removesuffix(".py") for name in self._labs if name not in self._files)
        for name in [name for name in self._files if name.endswith(".py")]:
            self._files[name], absent = guarded(self._files[name], staged, left_out, _package(name))
            self._notes += note(f"Not installed where {name} is graded, so what uses it there fails", absent)

    def _tell_made(self) -> None:
        lacking = self._lacking()
        for source, made in self._made:
            told = f"Cells of {source} are not run, so what is made there was not taken, write a definition"
            self._notes += note(told, sorted(made & lacking))

    def _tell_unused_cells(self) -> None:
        for source in dict.fromkeys(source for _, source in self._written.values()):
            names = [name for name, (_, by) in self._written.items() if by == source and self._is_foreign(name)]
            self._notes += note(f"Not taken from {source}, since only {listed(self._editable)} are graded", names)

    def _is_foreign(self, name: str) -> bool:
        return name.endswith(".py") and name not in self._templates
