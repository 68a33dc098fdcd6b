"""What the project's documents promise: their links, their headings, and the commands that they show."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.conftest import ROOT

__all__ = ["Command", "Document", "commands_in", "documents", "make_targets"]

_SHELL = ("", "bash", "console", "sh", "shell")
_PROGRAM = re.compile(r"^(?:\S*[/\\])?(grader|make)(?:\.exe)?$")
_REMARK = re.compile(r"\s(?:#|  )\s*.*$")  # a comment, or words in a column of their own
_CHOICE = re.compile(r"^[\w.-]+(?:\|[\w.-]+)+$")  # build|check


@dataclass(frozen=True)
class Command:
    """A call of ``grader`` or ``make``.

    Attributes:
        words: the program's name and its arguments.
        shown: the line as it is written.
        mentioned: whether it stands in running text, where arguments may be left out.
    """

    words: tuple[str, ...]
    shown: str
    mentioned: bool = False


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        name: what a failing test calls it.
        text: Markdown.
        folder: where its relative links start.
    """

    name: str
    text: str
    folder: Path

    def links(self) -> Iterator[str]:
        """The target of every link and image."""
        for token in self._inline():
            if token.type in ("link_open", "image"):
                yield str(token.attrs.get("href") or token.attrs.get("src") or "")

    def anchors(self) -> set[str]:
        """The anchor of every heading, as code hosts make them."""
        tokens = MarkdownIt("commonmark").enable("table").parse(self.text)
        headings = [text.content for opening, text in pairwise(tokens) if opening.type == "heading_open"]
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def commands(self) -> Iterator[Command]:
        """Every ``grader`` and ``make`` line of its code blocks, and those that its text mentions."""
        for token in MarkdownIt("commonmark").enable("table").parse(self.text):
            if token.type in ("fence", "code_block") and token.info.strip() in _SHELL:
                yield from commands_in(token.content)
        for token in self._inline():
            if token.type == "code_inline":
                yield from (Command(c.words, c.shown, mentioned=True) for c in commands_in(token.content))

    def _inline(self) -> Iterator[Token]:
        for token in MarkdownIt("commonmark").enable("table").parse(self.text):
            yield from token.children or ()


def documents() -> list[Document]:
    """Everything that is written for people: the pages of the checkout, the kit's page, the driver notebook's text."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    found = [Document(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"), page.parent) for page in pages]
    kit = ROOT / "grader" / "authoring" / "kit_readme.md"  # in the kit it lies beside the template
    found.append(Document("kit_readme.md", kit.read_text(encoding="utf-8"), ROOT / "student_template"))
    notebook = ROOT / "reference" / "hw4.ipynb"
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    found.append(Document("hw4.ipynb", "\n\n".join(texts), notebook.parent))
    return found


def commands_in(text: str) -> Iterator[Command]:
    """The ``grader`` and ``make`` calls in lines of shell: for ``build|check`` both, with what is in square brackets.

    Raises:
        ValueError: a line of them has a quote that is not closed.
    """
    for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        for piece in re.split(r"&&|;|\s\|\s", _REMARK.sub("", line.strip().removeprefix("$ "))):
            words = re.sub(r"[\[\]]|\.\.\.", " ", piece).split()
            while words and re.match(r"^\w+=", words[0]):  # FOO=1 make demo
                words.pop(0)
            if words and (program := _PROGRAM.match(words[0])):
                arguments = shlex.split(" ".join(words[1:]))
                choices = [word.split("|") if _CHOICE.match(word) else [word] for word in arguments]
                yield from (Command((program[1], *chosen), line.strip()) for chosen in product(*choices))


def make_targets() -> set[str]:
    """What the Makefile can make by name."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([A-Za-z][\w-]*):(?!=)", makefile, flags=re.MULTILINE))
