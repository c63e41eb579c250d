"""What imports what: along the flow from kernels to reports, and in no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import harness

ROOT = Path(harness.__file__).parent

#: Packages below which each package is a thing of its own.
_DIVIDED = ("harness", "harness.kernels")
#: Packages of which nothing but those that are given may be imported, by who imports it.
#: A kernel's part of the way ends before the guest's begins; judging and rendering work on
#: the values of the model alone, whoever made them.
_NOT_FROM: dict[str, dict[str, tuple[str, ...]]] = {
    "harness.model": {"harness": ("harness.guest.inside.words",)},
    "harness.guest.inside": {"harness": ("harness.guest.inside",)},
    "harness.kernels": dict.fromkeys(
        ("harness.guest", "harness.judge", "harness.report", "harness.bisect", "harness.run"), ()
    ),
    "harness.guest": dict.fromkeys(
        ("harness.kernels", "harness.judge", "harness.report", "harness.bisect", "harness.run"), ()
    ),
    "harness.judge": {
        "harness.guest": ("harness.guest.inside",),
        **dict.fromkeys(("harness.kernels", "harness.report", "harness.bisect", "harness.run"), ()),
    },
    "harness.report": {
        "harness.guest": ("harness.guest.inside",),
        **dict.fromkeys(("harness.kernels", "harness.bisect", "harness.run"), ()),
    },
}


def _is_below(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _imports(root: Path) -> Iterator[tuple[str, str]]:
    """Each module below the package at ``root`` with each of that package's that it imports."""
    files = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path
        for path in sorted(root.rglob("*.py"))
    }
    modules = {name.removesuffix(".__init__"): path for name, path in files.items()}
    for module, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}:{node.lineno}: relative imports are not read here"
                below = [f"{node.module}.{alias.name}" for alias in node.names]
                # ``from package import name``: a module of it, or what its __init__.py has.
                named = [name if name in modules else str(node.module) for name in below]
            else:
                continue
            yield from ((module, name) for name in named if _is_below(name, root.name))


def _thing(module: str) -> str:
    """The package or module, as fine as ``_DIVIDED`` says, that ``module`` belongs to."""
    words = module.split(".")
    # What runs inside the guest stands alone: the host shares its words and records.
    if _is_below(module, "harness.guest.inside"):
        return "harness.guest.inside"
    depth = 2
    while depth <= len(words) and ".".join(words[:depth]) in _DIVIDED:
        depth += 1
    return ".".join(words[:depth])


def _graph(root: Path) -> Mapping[str, set[str]]:
    """What each thing imports of the others."""
    graph: dict[str, set[str]] = {}
    for module, imported in _imports(root):
        one, other = _thing(module), _thing(imported)
        if one != other:
            graph.setdefault(one, set()).add(other)
    return graph


def test_no_circle() -> None:
    graph = _graph(ROOT)
    assert "harness.guest.inside" in graph["harness.model"]
    assert "harness.kernels.parts" in graph["harness.kernels.packages"]
    TopologicalSorter(graph).prepare()


def test_circle_is_found(tmp_path: Path) -> None:
    root = tmp_path / "harness"
    for name, text in {
        "one/value.py": "from harness.two import late\n",
        "two/__init__.py": "",
        "two/late.py": "def f():\n    import harness.three.value\n",
        "three/value.py": "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from harness.one.value import Value\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    with pytest.raises(CycleError):
        TopologicalSorter(_graph(root)).prepare()


@pytest.mark.parametrize("importer", _NOT_FROM)
def test_along_the_flow(importer: str) -> None:
    imports = [pair for pair in _imports(ROOT) if _is_below(pair[0], importer)]
    assert imports or importer == "harness.guest.inside"
    against = [
        f"{module} imports {imported}"
        for module, imported in imports
        for package, allowed in _NOT_FROM[importer].items()
        if _is_below(imported, package) and not any(_is_below(imported, name) for name in allowed)
    ]
    assert against == []
