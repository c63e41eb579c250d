"""A PostgreSQL server of one's own: no TCP, no root, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PROGRAMS = Path("/usr/lib/postgresql")  # VERSION/bin, as Debian has it
_USER = "afalg"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a new, empty database while the block lasts."""
    # Not below pytest's directories: those are root's alone, and names of sockets are short.
    place = Path(tempfile.mkdtemp(prefix="afalg-pg-", dir="/tmp"))
    account = _account(place)
    data = place / "data"
    try:
        _run(
            "initdb", data, "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", _USER, **account
        )
        settings = (
            f"-c listen_addresses= -c unix_socket_directories={place}"
            " -c fsync=off -c max_connections=40"
        )
        log = place / "log"
        _run("pg_ctl", data, "start", "-w", "-t", "300", "-l", log, "-o", settings, **account)
        try:
            yield f"postgresql://{_USER}@/postgres?host={place}"
        finally:
            _run("pg_ctl", data, "stop", "-w", "-m", "immediate", **account)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _account(place: Path) -> dict[str, Any]:
    """Who runs the server: it refuses root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _run(program: str, data: Path, *arguments: object, **account: Any) -> None:
    found = sorted(_PROGRAMS.glob(f"*/bin/{program}"))
    assert found, f"{program}: not installed; ci/setup.sh does that"
    argv = [str(found[-1]), "-D", str(data), *map(str, arguments)]
    done = subprocess.run(
        argv,
        cwd=data.parent,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        **account,
    )
    log = data.parent / "log"
    assert done.returncode == 0, done.stdout or (log.read_text() if log.exists() else argv)
