"""What makes two reports of a kernel the same report."""

from __future__ import annotations

import hashlib
import re

from harness.model import ConsoleEvent

#: What the kernel makes reports with: lib/dump_stack.c, mm/kasan/report.c, kernel/panic.c.
REPORTING = re.compile(
    r"_*(?:dump_stack(?:_lvl)?|show_\w+|print_\w+|kasan_\w+|asan_\w+|check_region_inline|panic"
    r"|v?panic|warn\w*|report_bug|handle_bug|exc_\w+|asm_exc_\w+|die\w*|oops_\w+|ubsan_\w+)$"
)
#: A function in a trace, as it came (name+0x1f/0x80) or decoded (name (crypto/x.c:12)).
_FUNCTION = re.compile(
    r"(?:^|[\s:])([A-Za-z_][\w.]*)(?:\+0x[0-9a-f]+/0x[0-9a-f]+| \([^()\s]+:\d+[^()]*[()])"
)
#: What compilers append to a function's name, another one to each.
_CLONE = re.compile(r"\.(?:constprop|isra|part|cold|llvm)\b.*$")
_VOLATILE = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\b\d+s?\b")
_FRAMES = 3


def fingerprint(event: ConsoleEvent) -> str:
    """Eight hex digits that the same report has on another boot, build or release.

    Made of its kind and the first functions of its trace; without a trace, of its title
    less addresses, offsets, line numbers, CPUs and PIDs.
    """
    told = _functions(event) or (_VOLATILE.sub("N", event.title),)
    text = "\n".join((event.kind, *told))
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:8]


def _functions(event: ConsoleEvent) -> tuple[str, ...]:
    """The first functions of a trace; not those that report, nor guesses ("? function")."""
    found = (
        _CLONE.sub("", match.group(1))
        for line in event.lines
        if " ? " not in line
        for match in _FUNCTION.finditer(line)
    )
    return tuple(dict.fromkeys(one for one in found if not REPORTING.match(one)))[:_FRAMES]
