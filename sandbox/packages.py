"""Which modules a program can import, and the part of the file system that takes."""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import os
import site
import sys
import sysconfig
from dataclasses import dataclass
from typing import Any

POLICIES = ("stdlib", "numpy", "host")
"""`stdlib`: the standard library alone. `numpy`: and numpy. `host`: everything the harness itself can import."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives")
_INSIDE = "/packages"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packages:
    """A policy, resolved on this machine."""

    policy: str
    binds: tuple[str, ...]
    masks: tuple[str, ...]
    moves: tuple[tuple[str, str], ...]
    import_path: tuple[str, ...]
    """Added to the end of `sys.path` in the box."""
    preload: tuple[str, ...]
    """Imported before any program runs, so that each finds them warm."""
    versions: dict[str, str]
    """Third-party distributions a program can import; part of what a number covers."""

    def settings(self) -> dict[str, Any]:
        tree = {"binds": list(self.binds), "masks": list(self.masks), "moves": [list(move) for move in self.moves]}
        return {"tree": tree, "import_path": list(self.import_path), "preload": list(self.preload)}


def resolve(policy: str) -> Packages:
    """The directories to show, hide and search for `policy`.

    Raises:
        ValueError: an unknown policy.
        ModuleNotFoundError: `numpy` was asked for and is not installed.
    """
    if policy not in POLICIES:
        raise ValueError(f"unknown package policy {policy!r}; accepted: {', '.join(POLICIES)}")
    binds = _standard_binds()
    if policy == "host":
        shown = tuple(path for path in dict.fromkeys([*site.getsitepackages(), *_purelib()]) if os.path.isdir(path))
        extra = tuple(path for path in shown if not _below(path, binds))
        versions = {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()}
        masks = tuple(path for path in _third_party(binds) if path not in shown)
        return _packages(policy, binds + extra, masks, import_path=shown, versions=dict(sorted(versions.items())))
    masks = _third_party(binds)
    if policy == "numpy":
        versions = {"numpy": importlib.metadata.version("numpy")}
        moves = _numpy_moves()
        preload = ("numpy", "numpy.random")
        return _packages(policy, binds, masks, moves, import_path=(_INSIDE,), preload=preload, versions=versions)
    return _packages(policy, binds, masks)


def _packages(
    policy: str,
    binds: tuple[str, ...],
    masks: tuple[str, ...],
    moves: tuple[tuple[str, str], ...] = (),
    import_path: tuple[str, ...] = (),
    preload: tuple[str, ...] = (),
    versions: dict[str, str] | None = None,
) -> Packages:
    return Packages(
        policy=policy,
        binds=binds,
        masks=masks,
        moves=moves,
        import_path=import_path,
        preload=preload,
        versions=versions or {},
    )


def _standard_binds() -> tuple[str, ...]:
    """The system's libraries and this interpreter's standard library."""
    binds = [path for path in _SYSTEM if os.path.lexists(path)]
    paths = sysconfig.get_paths()
    for path in (os.path.join(sys.base_prefix, "lib"), paths["stdlib"], paths["platstdlib"]):
        resolved = os.path.realpath(path)
        if os.path.isdir(resolved) and not _below(resolved, tuple(binds)):
            binds.append(resolved)
        if path != resolved and os.path.isdir(path) and not _below(path, tuple(binds)):
            binds.append(path)
    return tuple(binds)


def _third_party(binds: tuple[str, ...]) -> tuple[str, ...]:
    """Directories of installed packages that lie inside what is shown."""
    roots = [path for path in binds if os.path.isdir(path) and not os.path.islink(path)]
    patterns = [
        f"{depth}{kind}-packages" for depth in ("", "*/", "lib/*/", "local/lib/*/") for kind in ("site", "dist")
    ]
    found = [path for root in roots for pattern in patterns for path in glob.glob(os.path.join(root, pattern))]
    return tuple(dict.fromkeys(path for path in found if os.path.isdir(path) and not os.path.islink(path)))


def _purelib() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return (paths["purelib"], paths["platlib"])


def _numpy_moves() -> tuple[tuple[str, str], ...]:
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("numpy is not installed, so `--packages numpy` cannot be given to programs")
    package = os.path.dirname(os.path.realpath(spec.origin))
    libraries = package + ".libs"  # where wheels keep their shared libraries
    moves = [(package, f"{_INSIDE}/numpy")]
    if os.path.isdir(libraries):
        moves.append((libraries, f"{_INSIDE}/numpy.libs"))
    return tuple(moves)


def _below(path: str, parents: tuple[str, ...]) -> bool:
    return any(path == parent or path.startswith(parent.rstrip("/") + "/") for parent in parents)
