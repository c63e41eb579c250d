"""What a bisect found, stored for the reports of the runs that it made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.files import write_whole

if TYPE_CHECKING:
    from harness.bisect.report import Conclusion

#: In the directory of the bisect.
FILE_NAME = "found.json"
_VERSION = re.compile(r"(?:.*:)?(\d+\.\d+)(?:\.(\d+))?(-rc\d+)?")


def store_found(conclusion: Conclusion, directory: Path) -> None:
    """Store what the bisect in ``directory`` named. Raises OSError."""
    content = {
        "question": conclusion.question,
        "noun": conclusion.noun,
        "last_old": conclusion.last_old or conclusion.old.spec,
        "first_new": list(conclusion.first_new),
    }
    write_whole(directory / FILE_NAME, json.dumps(content, indent=1) + "\n")


def introduced_by(run: Path) -> str:
    """What regzbot is told of a run that a bisect made: a commit or a range; "" if nothing.

    ``run`` is the directory of the bisect, or of one of its runs. Raises InputError if what
    is stored there is damaged.
    """
    places = (run, *run.resolve().parents[:2])
    path = next((place / FILE_NAME for place in places if (place / FILE_NAME).is_file()), None)
    if path is None:
        return ""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        first_new, last_old = [str(one) for one in found["first_new"]], str(found["last_old"])
        is_commit = found["noun"] == "commit"
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: damaged; bisect again") from error
    if len(first_new) != 1:
        return ""
    if is_commit:
        return first_new[0]
    tags = (_tag(last_old), _tag(first_new[-1]))
    return "..".join(tags) if all(tags) and tags[0] != tags[1] else ""


def _tag(spec: str) -> str:
    """``debian:6.12.96+deb13-amd64`` -> ``v6.12.96``, the tag of what Debian packaged."""
    version = _VERSION.match(spec)
    if version is None:
        return ""
    patch = f".{version[2]}" if version[2] not in {None, "0"} else ""
    return f"v{version[1]}{patch}{version[3] or ''}"
