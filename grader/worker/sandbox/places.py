"""Which files a worker may read: Python, its packages, system libraries, and a few devices."""

from __future__ import annotations

import site
import sys
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import grader

__all__ = ["essentials", "libraries", "rules"]

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/fonts", "/etc/localtime", "/etc/alternatives")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_WRITABLE = ("/dev/null", "/dev/full")
_GPU_DEVICES = "nvidia*"
"""Below /dev: the control device, one for each GPU, the one for unified memory, and a folder with those of MIG."""
_GPU_FACTS = ("/proc/self", "/proc/cpuinfo", "/proc/devices", "/proc/driver/nvidia", "/proc/meminfo", "/proc/modules",
              "/proc/sys/vm", "/sys/bus/pci", "/sys/devices", "/sys/module")  # fmt: skip
"""What CUDA reads to know the machine; none of it says anything of other processes."""
_PACKAGES = ("torch", "torchvision", "numpy", "matplotlib", "PIL", "safetensors")


def essentials() -> frozenset[Path]:
    """The folders without which nothing can be imported."""
    paths = sysconfig.get_paths()
    torch = find_spec("torch")
    places = (torch.submodule_search_locations or ()) if torch else ()
    return frozenset(map(Path, (sys.prefix, sys.base_prefix, paths["stdlib"], *places)))


@cache
def libraries() -> frozenset[Path]:
    """What Python may import from, and what that needs; without the grader itself, which is loaded already.

    Called in the fork server, so that a fork finds the answer.
    """
    paths = sysconfig.get_paths()
    found = {Path(sys.prefix), Path(sys.base_prefix), *map(Path, _SYSTEM)}
    found |= {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if site.ENABLE_USER_SITE:
        found.add(Path(site.getusersitepackages()))
    for name in _PACKAGES:  # wherever else they were installed
        spec = find_spec(name)
        found |= {Path(place) for place in (spec.submodule_search_locations or ())} if spec else set()
    hidden = _hidden()
    allowed = {path.resolve() for path in found if path.exists() and path.resolve() != Path("/")}
    return frozenset(part for path in allowed for part in _outside(path, hidden))


def _hidden() -> Path:
    """Where goldens and more lie: the checkout, or the data inside an installed package."""
    package = Path(grader.__file__).resolve().parent
    return package.parent if (package.parent / "pyproject.toml").is_file() else package / "_data"


def _outside(path: Path, hidden: Path) -> list[Path]:
    """``path``, or what is in it besides ``hidden``."""
    if path == hidden:
        return []
    if path not in hidden.parents:
        return [path]
    return [part for entry in path.iterdir() for part in _outside(entry, hidden)]


def rules(scratch: str, *, gpu: bool = False) -> dict[Path, bool]:
    """By path, whether it may be written; everything else may not even be read. ``gpu`` adds what CUDA needs."""
    readable = dict.fromkeys(libraries(), False) | {Path(name): name in _WRITABLE for name in _DEVICES}
    if gpu:
        readable |= dict.fromkeys(map(Path, _GPU_FACTS), False) | dict.fromkeys(Path("/dev").glob(_GPU_DEVICES), True)
    return readable | {Path(scratch): True}
