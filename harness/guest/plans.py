"""Plans that guests have told, kept beside the guest image: with one at hand a guest runs what
comes first before it has collected the rest.

Nothing rests on it: the guest checks the plan, and without one it makes its own. Whatever goes
wrong with the files is passed over.
"""

from __future__ import annotations

import contextlib
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.files import keep_newest, write_whole
from harness.guest.payload import add_plan, plan_key
from harness.guest.vng import Root

_KEPT = 8  # plans that stay in the cache


def add_known_plan(payload: Path, root: Root, comes_first: Callable[[str], bool]) -> None:
    """Add to the archive ``payload`` the plan of its suites, if it is known.

    ``comes_first`` says of a test's id whether it is among those that are run at once.
    """
    file = _file(payload, root)
    plan = _load(file) if file is not None else ()
    first = list(dict.fromkeys(test.partition("::")[0] for test in filter(comes_first, plan)))
    if first:
        add_plan(payload, plan, first)


def keep_plan(payload: Path, root: Root, plan: Sequence[str]) -> None:
    """Keep the whole plan that a guest has told of ``payload``."""
    file = _file(payload, root)
    if file is None or file.exists() or not plan:
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        write_whole(file, json.dumps(list(plan)))
        keep_newest(file.parent, "*.json", _KEPT)


def forget_plan(payload: Path, root: Root) -> None:
    """The plan of ``payload`` is not to be relied on."""
    file = _file(payload, root)
    if file is not None:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def _file(payload: Path, root: Root) -> Path | None:
    """Where the plan is kept: of the default image alone, whose pytest is known."""
    key = None
    if root.isolated:
        with contextlib.suppress(OSError, tarfile.TarError):
            key = plan_key(payload)
    return root.path.parent / "plans" / f"{key}.json" if key else None


def _load(file: Path) -> tuple[str, ...]:
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    is_plan = isinstance(plan, list) and all(isinstance(test, str) for test in plan)
    return tuple(plan) if is_plan else ()
