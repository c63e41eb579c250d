"""Reads a kernel tree's Kconfig files, as far as it takes to say why an option was lost.

Kconfig's own tools warn that a value was overridden, never why; the libraries for its
language do not read the files of recent kernels (``transitional``, 6.18; ``modules``, 6.6).
Syntax: Documentation/kbuild/kconfig-language.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_DEFINITION = re.compile(r"^(?:menu)?config\s+(\w+)")
_DEPENDS = re.compile(r"^\s+depends on\s+(.+)")
_SELECT = re.compile(r"^\s+select\s+(\w+)")
_PROMPT = re.compile(
    r"^\s+(?:bool|tristate|string|hex|int|prompt)\s+[\"'](?:[^\"\\]|\\.)*?[\"'](.*)"
)
_OTHER_BLOCK = re.compile(r"^(?:choice|endchoice|comment|source|mainmenu|endmenu|endif)\b")
_TOKEN = re.compile(r"\s*(&&|\|\||!=|<=|>=|[!()=<>]|\"[^\"]*\"|'[^']*'|\$\([^)]*\)|[\w.-]+)")
_ORDER = {"n": 0, "m": 1, "y": 2}


@dataclass
class _Option:
    depends: list[list[str]] = field(default_factory=list)  # of each definition
    prompt: bool = False


class KconfigTree:
    """The options that the Kconfig files of one tree define."""

    def __init__(self) -> None:
        self.options: dict[str, _Option] = {}
        self.selected_by: dict[str, list[str]] = {}

    @classmethod
    def read(cls, tree: Path) -> Self:
        """Everything but what only other architectures than x86 have."""
        read = cls()
        for path in sorted(tree.rglob("Kconfig*")):
            place = path.relative_to(tree).parts
            if place[0] in ("Documentation", "scripts", "tools"):
                continue
            if place[0] == "arch" and len(place) > 2 and place[1] != "x86":
                continue
            if path.is_file():
                read._read_file(path)
        return read

    def _read_file(self, path: Path) -> None:
        around: list[str] = []  # conditions of the blocks that are open
        name, conditions = "", around
        for line in _lines(path.read_text(errors="replace")):
            if definition := _DEFINITION.match(line):
                name = definition[1]
                option = self.options.setdefault(name, _Option())
                option.depends.append(conditions := list(around))
            elif line.startswith("if "):
                around.append(line[3:])
                name = ""
            elif line.startswith("menu"):
                around.append("y")
                name, conditions = "", around
            elif line.startswith(("endif", "endmenu")):
                if around:
                    around.pop()
                name = ""
            elif _OTHER_BLOCK.match(line):
                name, conditions = "", []
            elif depends := _DEPENDS.match(line):
                if conditions is around:  # of a menu
                    around[-1] = f"({around[-1]}) && ({depends[1]})"
                else:
                    conditions.append(depends[1])
            elif name and (select := _SELECT.match(line)):
                self.selected_by.setdefault(select[1], []).append(name)
            elif name and _PROMPT.match(line):
                self.options[name].prompt = True

    def explain(self, option: str, wanted: str, effective: Mapping[str, str]) -> str:
        """Why ``option`` is not ``wanted`` in the config ``effective``, in a few words."""
        if option not in self.options:
            return "this tree has no such option"
        if wanted == "n":
            holders = [
                f"CONFIG_{name}"
                for name in self.selected_by.get(option, [])
                if effective.get(name, "n") != "n"
            ]
            return f"selected by {', '.join(holders[:3])}" if holders else "the tree sets it itself"
        found = self.options[option]
        shortest: list[str] | None = None
        for conditions in found.depends:
            unmet = [
                part
                for condition in conditions
                for part in _conjuncts(condition)
                if _value(part, effective) == 0
            ]
            if shortest is None or len(unmet) < len(shortest):
                shortest = unmet
        if shortest:
            named = ", ".join(f"'{_shown(part, effective)}'" for part in dict.fromkeys(shortest))
            return f"it depends on {named}"
        if not found.prompt:
            return "it cannot be set, only selected by others"
        return "another option, or a choice, overrides it"


def _lines(text: str) -> Iterator[str]:
    """Logical lines, without comments and help texts."""
    help_indent: int | None = None
    started = False  # whether the help text has had its first line
    for line in text.replace("\\\n", " ").expandtabs().splitlines():
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if help_indent is not None and stripped:
            if not started:
                started, help_indent = True, indent
            if indent >= help_indent > 0:
                continue
            help_indent = None
        if not stripped or stripped.startswith("#"):
            continue
        if stripped in ("help", "---help---"):
            help_indent, started = 0, False
            continue
        yield line


def _tokens(expression: str) -> list[str]:
    return _TOKEN.findall(expression.partition("#")[0])


def _conjuncts(expression: str) -> list[str]:
    """The parts of a condition that must all hold."""
    parts, depth, current = [], 0, list[str]()
    for token in _tokens(expression):
        depth += (token == "(") - (token == ")")
        if token == "&&" and depth == 0:
            parts.append(current)
            current = []
        else:
            current.append(token)
    texts = []
    for part in (*parts, current):
        text = " ".join(part).replace("( ", "(").replace(" )", ")").replace("! ", "!")
        inner = text[1:-1]
        if text.startswith("(") and text.endswith(")") and "(" not in inner and "||" not in inner:
            texts += _conjuncts(inner)
        elif text:
            texts.append(text)
    return texts


def _shown(part: str, effective: Mapping[str, str]) -> str:
    """``part`` with the value of each option in it."""
    return re.sub(
        r"\b[A-Z][A-Z0-9_]{2,}\b",
        lambda match: f"{match[0]} [={effective.get(match[0], 'n')}]",
        part,
    )


def _value(expression: str, effective: Mapping[str, str]) -> int:
    """0, 1 or 2 for n, m or y. What cannot be evaluated here (a macro) counts as y."""
    tokens = _tokens(expression)
    position = 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1] if position <= len(tokens) else ""

    def symbol(token: str) -> str:
        if token[:1] in "\"'" or token in _ORDER:
            return token.strip("\"'")
        return effective.get(token, "n").strip('"')

    def atom() -> int:
        token = take()
        if token == "!":
            return 2 - atom()
        if token == "(":
            inner = either()
            take()
            return inner
        if token.startswith("$(") or not token:
            return 2
        if peek() in ("=", "!="):
            negated = take() == "!="
            return 2 if (symbol(token) == symbol(take())) != negated else 0
        if peek() in ("<", ">", "<=", ">="):
            take()
            take()
            return 2
        return _ORDER.get(symbol(token), 2)

    def both() -> int:
        result = atom()
        while peek() == "&&":
            take()
            result = min(result, atom())
        return result

    def either() -> int:
        result = both()
        while peek() == "||":
            take()
            result = max(result, both())
        return result

    return either()
