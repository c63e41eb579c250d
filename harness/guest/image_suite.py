"""Which suite of Debian the guest image is made of, and how a mirror has it.

Only the name and the date of a suite are read here. What is installed from it is checked
against the archive's keys by apt, which mmdebstrap runs.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import FetchError, InputError
from harness.files import write_whole
from harness.mirror import APT_HELPER, last_line
from harness.processes import finish
from harness.scratch import scratch_directory

#: The archive's own name of the newest stable one.
STABLE = "stable"
#: Stable ones, newest first, for mirrors that have them but not that name, or do not answer.
KNOWN_STABLE = ("trixie", "bookworm")
_LIFETIME = 24 * 3600  # seconds after which the mirror is asked anew


@dataclass(frozen=True)
class SuiteRelease:
    """A suite as a mirror has it."""

    codename: str  # "trixie"
    date: int  # Unix time at which it was made; nothing in it is younger


def release_of(mirror: str, suite: str) -> SuiteRelease:
    """The release of ``suite`` at ``mirror`` (a URL).

    Raises InputError if the mirror has no such suite, FetchError if it does not answer.
    """
    url = f"{mirror}/dists/{suite}/InRelease"
    with scratch_directory() as scratch:
        target = scratch / "InRelease"
        options = ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=1"]
        result = finish([str(APT_HELPER), *options, "download-file", url, str(target)])
        if result.returncode != 0 or not target.is_file():
            said = result.stderr + result.stdout
            if re.search(r"\b404\b|File not found|No such file", said):
                raise InputError(f"{suite}: the mirror {mirror} has no such suite")
            raise FetchError(f"{url} could not be fetched: {last_line(result.stderr)}")
        text = target.read_text(encoding="utf-8", errors="replace")
    return _parsed(text, url)


def _parsed(text: str, url: str) -> SuiteRelease:
    from debian.deb822 import Deb822  # noqa: PLC0415  (25 ms)

    fields = Deb822(text.splitlines())  # which skips the signature around it
    date = email.utils.parsedate_tz(fields.get("Date", ""))
    if date is None or not re.fullmatch(r"[a-z][a-z0-9.-]*", fields.get("Codename", "")):
        raise FetchError(f"{url} is not the release of a suite")
    return SuiteRelease(fields["Codename"], int(email.utils.mktime_tz(date)))


def newest_stable(cache: Path, mirror: str, *, refresh: bool = False) -> str:
    """The codename of the newest stable suite that ``mirror`` (a URL) has.

    The mirror is asked once a day, or with ``refresh``; what it said is kept below ``cache``, and
    holds on where it does not answer. Raises FetchError if it never did.
    """
    identity = hashlib.sha256(mirror.encode()).hexdigest()[:12]
    record = cache / f"stable-{identity}.json"
    try:
        known = json.loads(record.read_text())
        codename, asked = str(known["codename"]), float(known["time"])
    except (OSError, ValueError, KeyError, TypeError):
        codename, asked = "", 0.0
    if codename and not refresh and 0 <= time.time() - asked < _LIFETIME:
        return codename
    try:
        codename = _ask(mirror)
    except FetchError:
        if not codename:
            raise
        return codename
    record.parent.mkdir(parents=True, exist_ok=True)
    write_whole(record, json.dumps({"codename": codename, "time": time.time(), "mirror": mirror}))
    return codename


def _ask(mirror: str) -> str:
    for suite in (STABLE, *KNOWN_STABLE):
        try:
            return release_of(mirror, suite).codename
        except InputError:
            continue
    raise FetchError(f"the mirror {mirror} has no stable suite; name one with --guest-suite")
