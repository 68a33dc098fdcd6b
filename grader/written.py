"""answers.toml: the verdicts, the reported numbers and the texts that a person grades."""

from __future__ import annotations

import contextlib
import re
import tomllib
from bisect import bisect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from grader.assignment import Assignment
from grader.report import ManualItem

__all__ = ["FILE", "Written", "manual_items", "read_written"]

FILE = "answers.toml"
_HEADER = re.compile(r"""(?m)^(?=[ \t]*+\[(?!\d+\])[\w."'-]{2,}\][ \t]*(?:#.*)?$)""")  # no reference [1] in a text
_TEXT = re.compile(r"(\"\"\"|''')[\s\S]*?\1")
_QUOTES = "\"'`´‘’‚“”„«»"
_MOST, _TABLES, _KEYS = 256 << 10, 100, 50
"""The most bytes, broken tables and parts of one key that are read: tomllib takes the square of their number."""
_LONG_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{_KEYS},}}""")
_PYTHON_VERDICT = re.compile(r"(?m)^([ \t]*verdict[ \t]*=[ \t]*)((?i:true|false))(?=[ \t]*(?:#.*)?$)")
_TEXT_FIELDS = ("explanation", "answer")
_PLACEHOLDERS = frozenset({"", "...", "…", "-", "?", "todo", "tbd", "n/a", "none", "your answer", "your answer here"})


@dataclass(frozen=True)
class Written:
    """The tables of answers.toml by part, or the sentence that says why none can be read.

    Attributes:
        tables: what could be read.
        problem: why nothing could.
        unread: by part, the text of the tables that are not valid TOML, for a person to read.
        faults: the sentence that says why, for each of them.
    """

    tables: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    unread: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def complaints(self) -> list[str]:
        """What a student should know at once, since verdicts and texts are graded elsewhere: sentences."""
        if self.problem is not None:
            return [f"{self.problem}: none of its answers count."]
        verdicts = {part: table["verdict"] for part, table in self.tables.items() if _has_verdict(table)}
        wrong = [
            part for part, verdict in verdicts.items() if str(verdict).strip().lower() not in ("", "true", "false")
        ]
        return [*self.faults, *(f'The verdict of {part} in {FILE} is neither "true" nor "false".' for part in wrong)]

    def text(self, part: str, key: str) -> str:
        """A field of a part's own table, stripped; empty if it is missing or a placeholder."""
        table = self.tables.get(part)
        return _meaningful(table.get(key)) if isinstance(table, dict) else ""

    def number(self, part: str, *path: str) -> float | None:
        """A reported number in percent; None if it is missing, a placeholder or no number.

        ``"91.5"`` and ``"91.5 %"`` are read as 91.5.
        """
        value = self._value(part, *path)
        try:
            number = float(value.replace("%", "").replace(",", ".") if isinstance(value, str) else value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            return None
        if isinstance(value, bool) or not 0 <= number <= 100:
            return None
        return number

    def what_is_no_number(self, part: str, *path: str) -> str:
        """What stands where ``number`` finds none, as a short text; empty if nothing does, or a placeholder."""
        value = self._value(part, *path)
        if value is None or (isinstance(value, str) and not _meaningful(value)):
            return ""
        if isinstance(value, (dict, list)):
            return f"a {type(value).__name__}"
        return "a number beyond all" if isinstance(value, int) and value.bit_length() > 64 else repr(value)[:40]

    def _value(self, part: str, *path: str) -> object:
        value: object = self.tables.get(part)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value


def _has_verdict(table: object) -> bool:
    return isinstance(table, dict) and isinstance(table.get("verdict"), (str, bool))


def _meaningful(value: object) -> str:
    text = value.strip() if isinstance(value, str) else repr(value) if isinstance(value, (float, bool)) else ""
    return "" if text.lower().strip(" .!") in _PLACEHOLDERS or not text.strip(" .-_?!") else text


def read_written(data: bytes | None, parts: Collection[str] = ()) -> Written:
    """Parse the file of a submission; where it is no TOML as a whole, a broken table costs no other table.

    Args:
        data: its content; None if it is missing.
        parts: the ids that tables are named by: a header that names one of them is read whatever its quotation marks.
    """
    if data is None:
        return Written(problem=f"{FILE} is not in the submission")
    if len(data) > _MOST:
        return Written(problem=f"{FILE} is larger than {_MOST >> 10} KiB: leave out what is no answer")
    try:
        text = data.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            return Written(problem=f"{FILE} has a key of over {_KEYS} parts: write texts in quotation marks")
        return _complete(Written(_by_part(tomllib.loads(text), parts)), parts)
    except UnicodeDecodeError as error:
        return Written(problem=_not_toml(error))
    except (ValueError, RecursionError) as error:  # not TOML, or a number of thousands of digits
        found = _table_by_table(text, parts)
        return _complete(found, parts) if found.tables else Written(problem=_not_toml(error))


def _not_toml(error: Exception, where: str = "") -> str:
    return f"{FILE} is not valid TOML{where}: {str(error)[:200]}"


def _complete(written: Written, parts: Collection[str]) -> Written:
    """What was read, with a fault for each part that is something else than a table."""
    no_tables = [part for part in parts if not isinstance(written.tables.get(part, {}), dict)]
    faults = [
        f'{part} in {FILE} is no table: write ["{part}"] once, above its answers. Nothing of it counts.'
        for part in no_tables
    ]
    return replace(written, faults=(*written.faults, *faults))


def _by_part(tables: dict[str, Any], parts: Collection[str]) -> dict[str, Any]:
    """The tables by part, where TOML tells apart what means the same.

    ``[p1.2]`` and ``[["p1.2"]]`` are ``["p1.2"]``, and ``["2d.numbers"]`` is ``[2d.numbers]``.
    """
    for part in parts:
        found: Any = tables.get(part, tables)
        for name in part.split(".") if found is tables else ():
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, list) and len(found) == 1:
            [found] = found
        if found is not None:
            tables[part] = found
        for key in [key for key in tables if key.startswith(f"{part}.") and key not in parts]:
            table = tables[key]
            for name in reversed(key.removeprefix(f"{part}.").split(".", _KEYS)):
                table = {name: table}
            with contextlib.suppress(ValueError):
                _merge(tables, {part: table})
    return tables


def _table_by_table(text: str, parts: Collection[str]) -> Written:
    """What can be read of a text whose tables are parsed each for itself, as Python's spelling of a verdict is."""
    tables: dict[str, Any] = {}
    unread: dict[str, str] = {}
    faults: list[str] = []
    ids = {part.lower(): part for part in parts}
    of_part = _header_of(ids)
    first, *pieces = _pieces(of_part, text.replace("\r\n", "\n"))
    try:
        _merge(tables, _by_part(tomllib.loads(first), parts))
    except (ValueError, RecursionError) as error:
        faults.append(f"{_not_toml(error, ' above its first table')}. Nothing of it counts.")
    above = first.count("\n")
    for piece in pieces:
        line, _, body = piece.partition("\n")
        header, lines_above = line.strip(), "\n" * above  # so that a message names the file's line
        above += piece.count("\n")
        known = of_part.match(line)
        if known is not None:
            line = f'["{ids[known[1].lower()]}"{known[2]}]'
        try:
            path = tomllib.loads(line)
        except ValueError as error:
            faults.append(f"{_not_toml(error, f' in {header}')}. Nothing of it counts.")
            continue
        try:
            body = _PYTHON_VERDICT.sub(lambda found: found[0].lower(), body)
            _merge(tables, tomllib.loads(f"{lines_above}{line}\n{body}"))
        except (ValueError, RecursionError) as error:
            part = next(iter(path))
            unread[part] = f"{unread.get(part, '')}\n\n{piece}".strip()
            faults.append(
                f"{_not_toml(error, f' in {header}')}. A person can read its texts; nothing else of it counts."
            )
    return Written(tables, unread=unread, faults=tuple(faults))


def _header_of(ids: Collection[str]) -> re.Pattern[str]:
    """A line that names a part, and perhaps a table of it, in brackets and quotation marks as they happen to be.

    No two of its repetitions can take the same characters: a line of 200,000 quotation marks takes no time.
    """
    names = "|".join(map(re.escape, ids)) or r"(?!)"
    blank = r" \t\u00a0\u200b\ufeff"
    return re.compile(
        rf"[{blank}]*+\[{{1,2}}+[{blank}{_QUOTES}]*+((?i:{names}))[{_QUOTES}]*+((?:\.[\w-]++)*+)[{blank}{_QUOTES}\]:,]*+(?:#.*)?$",
        re.MULTILINE,
    )


def _pieces(of_part: re.Pattern[str], text: str) -> list[str]:
    """The text above the first header, and each header with what is below it.

    A line of a text in three quotation marks is a header only if it names a part: the quotation marks may be what is
    broken.
    """
    texts = [found.span() for found in _TEXT.finditer(text)]
    opened = [low for low, _ in texts]
    known = {found.start() for found in re.finditer(rf"(?m)^(?={of_part.pattern})", text)}
    others = {found.start() for found in _HEADER.finditer(text)}
    inside = {start for start in others if (i := bisect(opened, start)) and start < texts[i - 1][1]}
    starts = [0, *sorted(known | (others - inside))[:_TABLES]]
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Add nested tables.

    Raises:
        ValueError: a name stands twice; what stood first stays.
    """
    for name, value in table.items():
        if name not in into:
            into[name] = value
        elif isinstance(into[name], dict) and isinstance(value, dict):
            _merge(into[name], value)
        else:
            raise ValueError(f"{name} stands twice")


def _prompts(table: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The path below the part and the prompt of every question that is answered in words."""
    if "prompt" in table and any(name in table for name in _TEXT_FIELDS):
        yield (), str(table["prompt"])
    for name, value in table.items():
        if isinstance(value, dict):
            yield from (((name, *path), prompt) for path, prompt in _prompts(value))


def manual_items(assignment: Assignment, template: Written, written: Written) -> tuple[ManualItem, ...]:
    """What a person grades: one item per part with manual points, its prompts from the template.

    The prompts of the template count, so that a submission cannot change a question.
    """
    items = []
    for part in assignment.parts.values():
        questions = list(_prompts(template.tables.get(part.id, {})))
        if not part.manual or not questions:
            continue
        answers = [_answer(written.tables.get(part.id), path) for path, _ in questions]
        answers.append(written.unread.get(part.id, ""))
        items.append(
            ManualItem(
                part=part.id,
                prompt="\n".join(prompt for _, prompt in questions),
                text="\n\n".join(answer for answer in answers if answer),
                max_score=part.manual,
            )
        )
    return tuple(items)


def _answer(table: object, path: tuple[str, ...]) -> str:
    for name in path:
        table = table.get(name) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        return ""
    return next((text for name in _TEXT_FIELDS if (text := _meaningful(table.get(name)))), "")
