"""Real downloads from the archive: interrupted, killed, and wanted by two at once.

Boots nothing, but needs a mirror, as the tests beside it do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import documented

from .conftest import AFTER, COMMAND, bootable

SPEC = "debian:bookworm/cloud"  # its packages are among the smallest
_LIMIT = 'Acquire::http::Dl-Limit "500";\nAcquire::https::Dl-Limit "500";\n'  # kB/s
_PATIENCE = 120


def _start(cache: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *arguments, "--cache", cache],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cache.parent,
        # What a killed one leaves must not be taken for a leftover of another test's.
        env={**os.environ, "TMPDIR": str(cache.parent)},
    )


def _kernels(cache: Path, *arguments: str) -> str:
    process = _start(cache, "kernels", *arguments)
    stdout, stderr = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, stderr
    return stdout


def _downloaders(cache: Path) -> list[int]:
    """The processes of apt that work for this cache."""
    wanted = f"APT_CONFIG={cache}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def _eventually(condition: Callable[[], bool], patience: float = _PATIENCE) -> bool:
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _half_downloaded(cache: Path) -> bool:
    parts = [path for path in cache.glob("packages/.*.part/**/*") if path.is_file()]
    return any(path.stat().st_size > 100_000 for path in parts) and _downloaders(cache) != []


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds a package index and nothing else."""
    cache = tmp_path_factory.mktemp("fetch") / "cache"
    assert "debian:6.1." in _kernels(cache, "list", "6.1.*")
    return cache


@pytest.fixture
def slow(cache: Path) -> Iterator[None]:
    """Downloads from a mirror at half a megabyte a second."""
    (configuration,) = cache.glob("apt/*/apt.conf")
    before = configuration.read_text()
    configuration.write_text(before + _LIMIT)
    yield
    configuration.write_text(before)


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("fetch", signal.SIGTERM),
        ("fetch", signal.SIGINT),
        ("fetch", signal.SIGKILL),
        ("run", signal.SIGTERM),
    ],
)
def test_ended_amid_a_download(cache: Path, command: str, number: signal.Signals) -> None:
    arguments = ["kernels", "fetch"] if command == "fetch" else ["run", "--root", "host"]
    process = _start(cache, *arguments, SPEC)
    assert _eventually(lambda: _half_downloaded(cache))
    started = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=_PATIENCE)
    assert time.monotonic() - started < 5, "it does not wait for the download"
    assert process.returncode == (130 if number is not signal.SIGKILL else -number)
    assert _eventually(lambda: _downloaders(cache) == [], 5)
    left = list((cache / "packages").iterdir())
    assert len(left) == (1 if number is signal.SIGKILL else 0)
    _kernels(cache, "cache", "prune")
    assert list((cache / "packages").iterdir()) == []


def test_two_at_once_download_once(cache: Path) -> None:
    """After a download that was killed, at that."""
    processes = [_start(cache, "kernels", "fetch", SPEC) for _ in range(2)]
    ended = [process.communicate(timeout=_PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    assert len({stdout for stdout, _ in ended}) == 1
    said = "".join(stderr for _, stderr in ended)
    assert said.count("downloading") == 1
    assert said.count("waiting for another process") >= 1


def test_show(cache: Path) -> None:
    shown = json.loads(_kernels(cache, "show", SPEC, "--json"))
    assert re.fullmatch(r"[0-9a-f]{40}", shown["build_id"])
    assert shown["banner"].startswith(f"Linux version {shown['release']} (")
    assert "gcc" in shown["compiler"]
    assert set(shown["interfaces"].values()) == {"module"}
    assert shown["config"]["CONFIG_CRYPTO_USER_API_HASH"] == "m"
    assert shown["signatures"]["signed"] == shown["modules"] > 50
    assert len(shown["signatures"]["signers"]) == 1
    (package,) = shown["packages"]
    assert package["trust"] == "signed index"
    assert len(package["sha256"]) == 64
    assert f"debian:{shown['release']}" in _kernels(cache, "list", "--cached")


def _of_the_cache_of_all(arguments: list[str], tmp_path: Path) -> str:
    """What a command prints that takes kernels of the cache that the tests share."""
    done = subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_documented(tmp_path: Path) -> None:
    """As a page shows it: the archive's list, what a kernel is, what is there already."""
    listed = _of_the_cache_of_all(documented.arguments("kernels list"), tmp_path)
    kernels = [line.split()[0] for line in listed.splitlines()[1:]]
    assert kernels
    assert all(kernel.startswith("debian:6.12.") for kernel in kernels)
    bootable(AFTER)
    shown = _of_the_cache_of_all(documented.arguments("kernels show"), tmp_path)
    assert AFTER.removeprefix("debian:") in shown
    fetched = _of_the_cache_of_all(documented.arguments("kernels fetch"), tmp_path)
    assert AFTER.removeprefix("debian:") in fetched
