"""report.ktap: all kernels as nested KTAP, which the kernel's kunit.py and other tools read.

The format is that of Documentation/dev-tools/ktap.rst, version 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.model import RunResult
from harness.report.cases import Case, Mark, cases
from harness.report.options import ReportOptions, called
from harness.text import cut, short

_NAME = 200
_REASON = 300
_TEXT = 16 * 1024

#: Where one of these stands, kunit.py takes the kernel's log to be at its end.
_END = re.compile(r"List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted")
_DIRECTIVES = {"timeout": "TIMEOUT"}


@dataclass
class _Node:
    """Cases by the parts of their group, in the order in which they came."""

    name: str
    inner: dict[str, _Node] = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)

    def add(self, parts: Sequence[str], case: Case) -> None:
        """Put a case below the nodes named ``parts``."""
        if not parts:
            self.cases.append(case)
            return
        first, *rest = parts
        self.inner.setdefault(first, _Node(first)).add(rest, case)

    @property
    def is_red(self) -> bool:
        """Whether something below it is."""
        return any(case.mark.is_red for case in self.cases) or any(
            one.is_red for one in self.inner.values()
        )

    @property
    def is_skipped(self) -> bool:
        """Whether everything below it is."""
        return all(case.mark is Mark.SKIPPED for case in self.cases) and all(
            one.is_skipped for one in self.inner.values()
        )


def pieces(result: RunResult, options: ReportOptions) -> Iterator[str]:
    """``result`` as KTAP; a kernel is a test with a subtest for each suite, file and test."""
    nodes = []
    for kernel in result.kernels:
        node = _Node(called(kernel, result.kernels, options))
        for case in cases(kernel, result):
            node.add(case.group.removesuffix(".py").split("/"), case)
        nodes.append(node)
    yield "KTAP version 1\n"
    yield f"1..{len(nodes)}\n"
    for number, node in enumerate(nodes, 1):
        yield from _node(node, number, "")


def _node(node: _Node, number: int, indent: str) -> Iterator[str]:
    deeper = f"{indent}    "
    name = _name(node.name)
    yield f"{deeper}KTAP version 1\n"
    yield f"{deeper}# Subtest: {name}\n"
    yield f"{deeper}1..{len(node.cases) + len(node.inner)}\n"
    for place, case in enumerate(node.cases, 1):
        yield from _case(case, place, deeper)
    for place, one in enumerate(node.inner.values(), len(node.cases) + 1):
        yield from _node(one, place, deeper)
    word = "not ok" if node.is_red else "ok"
    skip = " # SKIP all of it" if node.is_skipped else ""
    yield f"{indent}{word} {number} {name}{skip}\n"


def _case(case: Case, number: int, indent: str) -> Iterator[str]:
    name = _name(case.name)
    if case.mark is Mark.PASSED:
        yield f"{indent}ok {number} {name}\n"
    elif case.mark is Mark.SKIPPED:
        yield f"{indent}ok {number} {name} # SKIP {_reason(case.message)}\n"
    else:
        for line in cut(case.text or case.message, _TEXT).splitlines():
            yield f"{indent}{_diagnostic(line)}\n"
        directive = _DIRECTIVES.get(case.kind, "ERROR" if case.mark is Mark.ERROR else "")
        yield f"{indent}not ok {number} {name}{f' # {directive}' if directive else ''}\n"


def _name(name: str) -> str:
    """A name that no reader takes a directive out of, and that tells one test."""
    return _not_the_end(short(name, _NAME).replace("#", "_")).strip() or "_"


def _reason(text: str) -> str:
    return _not_the_end(short(text, _REASON).replace("#", "_")).strip()


def _diagnostic(line: str) -> str:
    # By two blanks it is told from "# Subtest: ".
    return f"#  {_not_the_end(short(line, 1000))}".rstrip()


def _not_the_end(text: str) -> str:
    return _END.sub(lambda found: found[0].replace(" ", "_"), text)
