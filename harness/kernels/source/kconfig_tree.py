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

_DEFINITION = re.compile(r"(?:menu)?config\s+(\w+)")
_IF = re.compile(r"if\b\s*(.+)")
_BLOCK = re.compile(r"(?:menu|choice)\b")
_BLOCK_END = re.compile(r"(?:endif|endmenu|endchoice)\b")
_SOURCE = re.compile(r"source\s+\"([^\"]+)\"")
_DEPENDS = re.compile(r"depends\s+on\s+(.+)")
_SELECT = re.compile(r"select\s+(\w+)(.*)")
_PROMPT = re.compile(
    r"(?:bool|tristate|string|hex|int|prompt)\s+(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')(.*)"
)
_OTHER_BLOCK = re.compile(r"(?:comment|mainmenu)\b")
_TOKEN = re.compile(r"\s*(&&|\|\||!=|<=|>=|[!()=<>]|\"[^\"]*\"|'[^']*'|\$\([^)]*\)|[\w.-]+)")
_NUMBER = re.compile(r"-?\d+|0x[0-9a-fA-F]+")
_ORDER = {"n": 0, "m": 1, "y": 2}


@dataclass
class _Option:
    depends: list[list[str]] = field(default_factory=list)  # of each definition
    prompts: list[str] = field(default_factory=list)  # what each may be seen under
    transitional: bool = False  # an old name, read from old configs and never written


class KconfigTree:
    """The options that the Kconfig files of one tree define."""

    def __init__(self) -> None:
        self._options: dict[str, _Option] = {}
        self._selected_by: dict[str, list[tuple[str, str]]] = {}  # (by what, if what)

    @classmethod
    def read(cls, tree: Path) -> Self:
        """All that the Kconfig file at the top of ``tree`` sources for x86."""
        read = cls()
        read._read_file(tree, tree / "Kconfig", [])
        return read

    def knows(self, option: str) -> bool:
        """Whether the tree has ``option``, and not merely as the old name of another."""
        return option in self._options and not self._options[option].transitional

    def _read_file(self, tree: Path, path: Path, outside: list[list[str]]) -> None:
        around = list(outside)  # conditions of the blocks that are open
        name, conditions = "", list[str]()
        for line in _lines(path.read_text(errors="replace")):
            if definition := _DEFINITION.match(line):
                name = definition[1]
                conditions = [condition for block in around for condition in block]
                self._options.setdefault(name, _Option()).depends.append(conditions)
            elif condition := _IF.match(line):
                around.append([_expression(condition[1])])
                name = ""
            elif _BLOCK.match(line):
                around.append(conditions := [])
                name = ""
            elif _BLOCK_END.match(line):
                if len(around) > len(outside):
                    around.pop()
                name, conditions = "", []
            elif source := _SOURCE.match(line):
                pattern = source[1].replace("$(SRCARCH)", "x86")
                for other in () if "$" in pattern else sorted(tree.glob(pattern)):
                    self._read_file(tree, other, around)
                name, conditions = "", []
            elif _OTHER_BLOCK.match(line):
                name, conditions = "", []
            elif depends := _DEPENDS.match(line):
                conditions.append(_expression(depends[1]))
            elif name and (select := _SELECT.match(line)):
                self._selected_by.setdefault(select[1], []).append((name, _only_if(select[2])))
            elif name and (prompt := _PROMPT.match(line)):
                self._options[name].prompts.append(_only_if(prompt[1]))
            elif name and line == "transitional":
                self._options[name].transitional = True

    def explain(self, option: str, wanted: str, effective: Mapping[str, str]) -> str:
        """Why ``option`` is not ``wanted`` in the config ``effective``, in a few words."""
        found = self._options.get(option)
        if found is None:
            return "this tree has no such option"
        if found.transitional:
            return "in this tree it is only the old name of another option"
        hidden = all(_value(prompt, effective) == 0 for prompt in found.prompts)
        visible = " or ".join(f"'{_shown(one, effective)}'" for one in found.prompts)
        if wanted == "n":
            holders = [
                f"CONFIG_{name}"
                for name, condition in self._selected_by.get(option, [])
                if effective.get(name, "n") != "n" and _value(condition, effective) != 0
            ]
            if holders:
                return f"selected by {', '.join(holders[:3])}"
            if found.prompts and hidden:
                return f"it can be unset only with {visible}"
            return "the tree sets it itself"
        least = 2 if wanted == "y" and effective.get(option) == "m" else 1
        shortest: list[str] | None = None
        for conditions in found.depends:
            unmet = [
                part
                for condition in conditions
                for part in _conjuncts(condition)
                if _value(part, effective) < least
            ]
            if shortest is None or len(unmet) < len(shortest):
                shortest = unmet
        if shortest:
            named = ", ".join(f"'{_shown(part, effective)}'" for part in dict.fromkeys(shortest))
            return f"it depends on {named}"
        if not found.prompts:
            return "it cannot be set, only selected by others"
        if hidden:
            return f"it can be set only with {visible}"
        return "another option, or a choice, overrides it"


def _expression(text: str) -> str:
    """The condition ``text``, without a comment; ``A if B`` (7.0) as what it means."""
    text = text.partition("#")[0].strip()
    what, conditional, when = text.partition(" if ")
    return f"({what}) || !({when.strip()})" if conditional else text


def _only_if(rest: str) -> str:
    """The condition in what follows a prompt or the option selected; "y" if there is none."""
    match = _IF.match(rest.partition("#")[0].strip())
    return match[1].strip() if match else "y"


def _lines(text: str) -> Iterator[str]:
    """Logical lines without indentation, comments and help texts."""
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
        yield stripped


def _tokens(expression: str) -> list[str]:
    return _TOKEN.findall(expression)


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
        r"\b(?=\w*[A-Z])[A-Z0-9_]{2,}\b",
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
        if token[:1] in "\"'" or token in _ORDER or _NUMBER.fullmatch(token):
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
