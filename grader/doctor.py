"""What ``grader doctor`` says: versions, and which layers of the sandbox are on in a worker of this machine."""

from __future__ import annotations

import platform
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from grader import __version__
from grader.worker.host import Worker
from grader.worker.sandbox.policy import Layer

__all__ = ["examine", "print_findings"]


def examine() -> dict[str, Any]:
    """Start a worker that runs nothing and ask it.

    Raises:
        InternalError: no worker can be started.
    """
    with tempfile.TemporaryDirectory(prefix="grader-") as folder:
        worker = Worker(Path(folder))
        try:
            status = worker.status
        finally:
            worker.close()
    return {
        "versions": {
            "grader": __version__,
            "python": platform.python_version(),
            "torch": _version("torch"),
            "platform": platform.platform(),
        },
        "sandbox": status.to_json(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def print_findings(found: dict[str, Any], console: Console) -> None:
    """Print the versions and a row for each layer."""
    console.print("  ".join(f"{name} {text}" for name, text in found["versions"].items()), highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("Layer", "", "What it allows or forbids", "Here"):
        table.add_column(title, overflow="fold")
    for layer in Layer:
        state = found["sandbox"][layer.value]
        table.add_row(layer.value, "on" if state["on"] else "OFF", layer.purpose, state["detail"])
    console.print(table)
    missing = [layer.value for layer in Layer if not found["sandbox"][layer.value]["on"]]
    console.print(f"Missing: {', '.join(missing)}." if missing else "Every layer is on.", highlight=False)
