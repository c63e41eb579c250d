"""Alterations of the kernel's AF_ALG code, for ci/mutation.py: pure functions of its text.

Four kinds. ``line``: one line altered (a condition turned round, an operator, a constant or an
errno swapped, a statement left out). ``condition``: the same of an ``if`` or a statement, but
only where some value of a dimension holds ("only for the unprivileged"). ``zero_copy``:
af_alg_sendmsg() takes pages by reference again, under such a condition or two of them.
``fault``: faults of sorts that were seen in kernels, written by hand (leaks, what goes wrong
beyond a size).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from mutant_conditions import (
    FAULTS,
    FUNCTIONAL_CONDITIONS,
    ZERO_COPY_CONDITIONS,
    Condition,
)

#: Of each hundred mutants of a sample, how many are of a kind.
SHARES: Mapping[str, int] = {"line": 40, "zero_copy": 25, "condition": 25, "fault": 10}
#: The text of af_alg.c that the mutants of kind zero_copy alter, beside those as released.
ZERO_COPY_BASE = "af_alg.c, by reference never"

#: Lines that say nothing of behaviour a guest can see: locks against what does not happen
#: in it, reports to developers, declarations.
_LEFT_OUT = re.compile(
    r"lock_sock|release_sock|_lock\(|_unlock|rcu_|WARN_|BUG_ON|pr_|MODULE_|EXPORT_|^\s*[*/]|#"
    r"|module_(?:init|exit)|^\S.*[({,]$|memzero_explicit|kfree_sensitive"
)
_SWAPS = {
    " < ": " >= ",
    " <= ": " < ",
    " > ": " <= ",
    " >= ": " > ",
    " == ": " != ",
    " != ": " == ",
    " && ": " || ",
    " || ": " && ",
    " + ": " - ",
    " - ": " + ",
    " += ": " -= ",
    " -= ": " += ",
    "true": "false",
    "false": "true",
    " = 0;": " = 1;",
    " = 1;": " = 0;",
    "return 0;": "return -EIO;",
    "++": "--",
}
_CONDITION = re.compile(r"\b(if|while) \((.+)\)( \{)?$")
_ERRNO = re.compile(r"-E[A-Z]+\b")
_STATEMENT = re.compile(r"^\t+(?:[\w>.\[\]*-]+(?:->|\.)?[\w>.\[\]-]*\(.*\)|[\w>.\[\]-]+ .?= .+);$")
_FUNCTION = re.compile(r"^(?!static const|EXPORT|MODULE|module_)\w[\w *]*?\b\*?(\w+)\(")


@dataclass(frozen=True)
class Mutant:
    """Lines of a file in place of others."""

    kind: str
    file: str  # "af_alg.c"
    line: int  # the first of them, from 1
    old: str
    new: str
    name: str = ""  # of its condition or fault
    base: str = ""  # the text that it alters; "": the file as released

    def __str__(self) -> str:
        said = f"{self.file}:{self.line}: {_told(self.old)}  =>  {_told(self.new) or '(nothing)'}"
        return f"[{self.kind}] {self.name + ': ' if self.name else ''}{said}"

    def applied(self, texts: Mapping[str, str]) -> str:
        """The altered file. ``texts`` has the files as released, and ZERO_COPY_BASE."""
        lines = texts[self.base or self.file].split("\n")
        old = self.old.split("\n")
        at = self.line - 1
        assert lines[at : at + len(old)] == old, f"{self.file}:{self.line} reads otherwise"
        return "\n".join([*lines[:at], *self.new.split("\n"), *lines[at + len(old) :]])


def _told(text: str) -> str:
    return " ".join(text.split()).removesuffix(" ;") if text.strip() != ";" else ""


def every_mutant(texts: Mapping[str, str]) -> dict[str, list[Mutant]]:
    """All mutants of the files, by kind. ``texts`` as for ``Mutant.applied``."""
    released = {name: text for name, text in texts.items() if name != ZERO_COPY_BASE}
    return {
        "line": [one for name, text in released.items() for one in line_mutants(name, text)],
        "zero_copy": list(zero_copy_mutants(texts[ZERO_COPY_BASE])),
        "condition": [
            one for name, text in released.items() for one in condition_mutants(name, text)
        ],
        "fault": list(fault_mutants(released)),
    }


class Sample:
    """A random sample, drawn by kind according to SHARES, each kind shuffled with the seed.

    Within the kind ``line`` each line of the code is as likely as another, however many
    alterations it has; so is each condition within ``condition``. Conditions of zero-copy
    come alone and, every third of them, in pairs of two dimensions. A mutant
    that is ``refused`` (does not build, same machine code) is replaced by the next of its kind.
    """

    def __init__(self, every: Mapping[str, Sequence[Mutant]], size: int, seed: int) -> None:
        self._waiting = {
            kind: _in_turn(mutants, random.Random(f"{seed} {kind}"))
            for kind, mutants in every.items()
        }
        self._places = _places(size, {kind: len(mutants) for kind, mutants in every.items()})
        self.size = len(self._places)

    def __iter__(self) -> Iterator[Mutant]:
        for kind in self._places:
            yield from self._next(kind)

    def _next(self, kind: str) -> Iterator[Mutant]:
        if self._waiting[kind]:
            yield self._waiting[kind].pop(0)

    def instead(self, refused: Mutant) -> Mutant | None:
        """The next of its kind; None if there is none."""
        return next(self._next(refused.kind), None)


def _places(size: int, there_are: Mapping[str, int]) -> list[str]:
    """The kind of each place of a sample, mixed evenly; kinds that have run out give theirs up."""
    taken: dict[str, int] = dict.fromkeys(there_are, 0)
    places: list[str] = []
    while len(places) < size:
        left = [kind for kind, count in there_are.items() if taken[kind] < count]
        if not left:
            break
        # The kind that is furthest behind its share.
        kind = min(left, key=lambda kind: (taken[kind] + 1) / SHARES[kind])
        taken[kind] += 1
        places.append(kind)
    return places


def _in_turn(mutants: Sequence[Mutant], chance: random.Random) -> list[Mutant]:
    """Shuffled, but one of each group (line, condition) before the second of any."""
    groups: dict[object, list[Mutant]] = {}
    for mutant in chance.sample(mutants, len(mutants)):
        groups.setdefault(_group(mutant), []).append(mutant)
    rounds: list[list[Mutant]] = []
    for members in groups.values():
        for number, mutant in enumerate(members):
            if number == len(rounds):
                rounds.append([])
            rounds[number].append(mutant)
    for members in rounds:
        chance.shuffle(members)
    ordered = [mutant for members in rounds for mutant in members]
    alone = [mutant for mutant in ordered if _PAIRED not in mutant.name]
    paired = [mutant for mutant in ordered if _PAIRED in mutant.name]
    mixed: list[Mutant] = []
    while alone or paired:
        mixed += [*alone[:2], *paired[:1]]
        del alone[:2], paired[:1]
    return mixed


def _group(mutant: Mutant) -> object:
    if mutant.kind == "line":
        return mutant.file, mutant.line
    return mutant.name


def line_mutants(file: str, text: str) -> Iterator[Mutant]:
    """Every alteration of one line of a source file that the rules make."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("\t") or _LEFT_OUT.search(line):
            continue
        for new in dict.fromkeys(_alterations(line)):
            if new != line:
                yield Mutant("line", file, number, line, new)


def _alterations(line: str) -> Iterator[str]:
    condition = _CONDITION.search(line)
    if condition:
        word, inside, brace = condition.group(1, 2, 3)
        yield f"{line[: condition.start()]}{word} (!({inside})){brace or ''}"
    for old, new in _SWAPS.items():
        for match in re.finditer(re.escape(old), line):
            yield line[: match.start()] + new + line[match.end() :]
    for match in _ERRNO.finditer(line):
        other = "-EIO" if match.group() != "-EIO" else "-EINVAL"
        yield line[: match.start()] + other + line[match.end() :]
    if _STATEMENT.match(line):
        yield "\t;"


def condition_mutants(file: str, text: str) -> Iterator[Mutant]:
    """Each ``if`` turned round and each statement left out, under each condition in scope."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("\t") or _LEFT_OUT.search(line):
            continue
        known = in_scope(text, number)
        for condition in FUNCTIONAL_CONDITIONS:
            if not condition.needs <= known or (condition.files and file not in condition.files):
                continue
            for new in _under(line, condition.expression):
                yield Mutant("condition", file, number, line, new, condition.name)


def _under(line: str, expression: str) -> Iterator[str]:
    found = _CONDITION.search(line)
    if found and found.group(1) == "if":
        inside, brace = found.group(2, 3)
        yield f"{line[: found.start()]}if (!!({inside}) != !!({expression})){brace or ''}"
    elif _STATEMENT.match(line) and not re.match(r"\t+\w[\w *]* = .*;$", line):
        indent = re.match(r"\t+", line)
        assert indent is not None
        yield f"{indent.group()}if (!({expression})) {line.strip()}"


def function_at(text: str, line: int) -> tuple[str, int]:
    """The function that a line (from 1) is in, and the line it begins at; ("", 0) if in none."""
    lines = text.split("\n")
    for number in range(min(line, len(lines)), 0, -1):
        told = lines[number - 1]
        if told.startswith("}") and number != line:
            return "", 0
        found = _FUNCTION.match(told)
        if found:
            return found.group(1), number
    return "", 0


def in_scope(text: str, line: int) -> frozenset[str]:
    """Names of parameters, and of local variables that have a value, ahead of a line."""
    _, start = function_at(text, line)
    if not start:
        return frozenset()
    before = "\n".join(text.split("\n")[start - 1 : line - 1])
    head, brace, body = before.partition("\n{")
    if not brace:
        return frozenset()
    parameters = re.findall(r"(\w+)(?:\[\])?(?=[,)])", head)
    return frozenset(parameters) | frozenset(re.findall(r"\b(\w+)\s*=[^=]", body))


_PAIRED = ", and "


def zero_copy_base(merged: str) -> str:
    """af_alg.c with the branch that takes pages by reference, taken never.

    ``merged`` is the file with the removal (ffdd2bc37895) undone. What a condition may ask
    for and the kernel does not keep is noted where nothing else reads it: the number of the
    socket's request in ``sk_mark``, who accepted it in ``sk_priority``.
    """
    asks = "msg->msg_flags & MSG_SPLICE_PAGES"
    for old, new in (
        (
            "\t\tssize_t plen;\n",
            f"\t\tssize_t plen;\n\t\tbool by_reference =\n\t\t\t({asks}) &&\n\t\t\t(false);\n",
        ),
        (f"if (ctx->merge && !({asks})) {{", "if (ctx->merge && !by_reference) {"),
        (f"if ({asks}) {{", "if (by_reference) {"),
        (
            "\tctx->init = true;\n",
            "\tbegins = !ctx->init;\n\tif (begins)\n\t\tsk->sk_mark++;\n\tctx->init = true;\n",
        ),
        ("\tbool init = false;\n", "\tbool init = false;\n\tbool begins;\n"),
        (
            "\talg_sk(sk2)->type = type;\n",
            "\talg_sk(sk2)->type = type;\n\tsk2->sk_priority = task_tgid_nr(current);\n",
        ),
        (
            "\terr = type->setkey(ask->private, key_data, key_datalen);\n",
            "\terr = type->setkey(ask->private, key_data, key_datalen);\n\task->sk.sk_mark = 1;\n",
        ),
        ("#include <linux/atomic.h>\n", "#include <linux/atomic.h>\n#include <crypto/aead.h>\n"),
    ):
        assert merged.count(old) == 1, f"{old!r} is there {merged.count(old)} times"
        merged = merged.replace(old, new)
    return merged


def zero_copy_mutants(base: str) -> Iterator[Mutant]:
    """Pages by reference under each condition, and under each two of different dimensions."""
    lines = base.split("\n")
    line = lines.index("\t\t\t(false);") + 1

    def of(name: str, expression: str) -> Mutant:
        new = f"\t\t\t({expression});"
        return Mutant("zero_copy", "af_alg.c", line, lines[line - 1], new, name, ZERO_COPY_BASE)

    for one in ZERO_COPY_CONDITIONS:
        yield of(one.name, one.expression)
    for one, other in combinations(ZERO_COPY_CONDITIONS, 2):
        if _go_together(one, other):
            both = f"({one.expression}) && ({other.expression})"
            yield of(f"{one.name}{_PAIRED}{other.name}", both)


def _go_together(one: Condition, other: Condition) -> bool:
    """Whether two conditions are values of dimensions that the shapes pair."""
    return bool(one.dimension and other.dimension and one.dimension != other.dimension)


def fault_mutants(texts: Mapping[str, str]) -> Iterator[Mutant]:
    """The faults that were written by hand, at the lines where they belong."""
    for fault in FAULTS:
        text, old = texts[fault.file], f"\n{fault.old}\n"
        assert text.count(old) == 1, f"{fault.name}: {text.count(old)} times in {fault.file}"
        line = text[: text.index(old)].count("\n") + 2
        yield Mutant("fault", fault.file, line, fault.old, fault.new, fault.name)
