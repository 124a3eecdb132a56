"""Which first-party files a module's behaviour depends on.

Read from the source, not from what happens to be imported: imports inside functions count, and
nothing is executed. Not seen are `importlib` calls and files opened by name: a stage declares
those (`files=` of `pipeline.declaration.stage`).
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = ("flows", "tasks", "pipeline", "dataset", "metrics", "models", "tracking")
"""The project's own packages; their `__init__.py` stay empty."""


def closure(module: str, root: Path) -> list[str]:
    """Paths, relative to `root` and sorted, of `module` and all first-party modules it reaches.

    Raises FileNotFoundError where `module` itself has no file.
    """
    start = _file(module, root)
    if start is None:
        raise FileNotFoundError(f"no file for module {module} below {root}")
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name, root)
        if name in found or path is None:
            continue
        found[name] = path
        waiting.extend(_imports(name, path.read_bytes()))
    return sorted({path.relative_to(root).as_posix() for path in found.values()})


def sources(root: Path) -> list[Path]:
    """Every first-party Python file, sorted."""
    return sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))


def _file(module: str, root: Path) -> Path | None:
    if module.split(".", maxsplit=1)[0] not in PACKAGES:
        return None
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            # An empty __init__.py says nothing that could change a result.
            return (
                candidate if candidate.name != "__init__.py" or candidate.stat().st_size else None
            )
    return None


@cache
def _imports(module: str, source: bytes) -> tuple[str, ...]:
    """Remembered by content: nine closures share most of their files."""
    return tuple(_named(module, ast.parse(source, filename=module)))


def _named(module: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".")[: -node.level] if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            yield from _with_parents(base)
            # `from models import fit` may name a module or something inside one.
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])
