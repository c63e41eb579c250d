"""apt with a private state: the indexes of a Debian mirror, and downloads from it.

apt runs as whoever runs us, with lists, caches and sources of its own below a directory of
ours; the machine's apt is read for the mirror and for how to reach it (proxies, timeouts),
never changed. apt checks what it fetches against the signed index.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.distributions import install_command
from harness.errors import HostError, InfrastructureError
from harness.kernels.archive.suites import SUITES
from harness.mirror import Mirror, last_line
from harness.processes import find_program, finish, helper

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

#: Bytes that the indexes of all suites take, with room to spare.
_SPACE = 200 * 1024 * 1024
_FETCH_FAILED = re.compile(r"(?:/dists/|\s)([a-z-]+)(?:/InRelease|\s(?:In)?Release\b|/main/)")
_PERCENT = re.compile(r"(?:dlstatus|pmstatus):[^:]*:([0-9.]+):")


class PrivateApt:
    """apt with lists, caches, sources and configuration below one directory."""

    def __init__(self, state: Path) -> None:
        """``state`` is that directory; nothing is written yet."""
        self.state = state

    def configure(self, mirror: Mirror) -> None:
        """Write the configuration for all suites at ``mirror``.

        Raises HostError if apt or the archive's keys are missing, OSError (ENOSPC) if the
        indexes would not fit.
        """
        if not KEYRING.is_file():
            raise HostError(f"{KEYRING} is missing; {install_command('debian-archive-keyring')}")
        find_program("apt-get")
        for name in ("lists/partial", "cache/archives/partial", "empty"):
            (self.state / name).mkdir(parents=True, exist_ok=True)
        # On a full disk apt-get update may hang for good instead of failing.
        require_space(self.state, _SPACE)
        (self.state / "status").touch()
        (self.state / "sources.list").write_text(sources_list(mirror))
        user = pwd.getpwuid(os.geteuid()).pw_name
        configuration = self.state / "apt.conf"
        configuration.touch(mode=0o600)  # it may repeat a proxy's password
        configuration.write_text(apt_configuration(self.state, user, machine_acquire_settings()))

    def run(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run one of apt's programs to its end, whatever its exit status.

        Raises OSError (ENOSPC) if it complained of a full disk.
        """
        result = _run(argv, self._environment(), self.state)
        _check_space(result.stderr, self.state)
        return result

    def query(self, argv: Sequence[str]) -> str:
        """The output of one that reads the index. Raises InfrastructureError if it fails."""
        result = self.run(argv)
        if result.returncode != 0:
            raise InfrastructureError(
                f"reading the package index in {self.state}: {last_line(result.stderr)}"
            )
        return result.stdout

    def run_with_progress(
        self, argv: Sequence[str], directory: Path, advance: Callable[[float], None]
    ) -> subprocess.CompletedProcess[str]:
        """Run apt in ``directory``, passing on how far its download is (0 to 1)."""
        reading, writing = os.pipe()
        command = [argv[0], "-qq", "-o", f"APT::Status-Fd={writing}", *argv[1:]]
        errors = directory / "stderr"
        with (
            errors.open("w+") as stderr,
            os.fdopen(reading) as status,
            contextlib.ExitStack() as ours,
        ):
            ours.callback(os.close, writing)
            with helper(
                command,
                stdout=subprocess.DEVNULL,
                stderr=stderr.fileno(),
                environment=self._environment(),
                directory=directory,
                pass_fds=(writing,),
            ) as process:
                ours.close()
                for line in status:
                    match = _PERCENT.match(line)
                    if match:
                        advance(min(float(match.group(1)) / 100, 1.0))
                code = process.wait()
        complaints = errors.read_text(errors="replace")
        _check_space(complaints, directory)
        return subprocess.CompletedProcess(command, code, "", complaints)

    def _environment(self) -> dict[str, str]:
        return dict(os.environ) | {"APT_CONFIG": str(self.state / "apt.conf"), "LC_ALL": "C"}


def sources_list(mirror: Mirror) -> str:
    """The sources.list of all suites at ``mirror``."""
    lines = []
    for suite in SUITES:
        base = mirror.security if suite.endswith("-security") else mirror.main
        lines.append(f"deb [signed-by={KEYRING}] {base} {suite} main\n")
    return "".join(lines)


def apt_configuration(state: Path, user: str, acquire: Sequence[str]) -> str:
    """An apt.conf that keeps apt below ``state``, and off the machine's hooks and sources.

    ``acquire`` are lines taken over from the machine's configuration.
    """
    private = {
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::parts": state / "empty",
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "empty",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": state / "empty",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::Etc::trustedparts": state / "empty",
        "Dir::State": state,
        "Dir::State::lists": state / "lists",
        "Dir::State::status": state / "status",
        "Dir::Cache": state / "cache",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": user,
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
        "Acquire::GzipIndexes": "true",
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
    }
    # A mirror that does not answer should be said to be down in less than apt's minutes.
    patience = ['Acquire::Retries "1";', 'Acquire::http::Timeout "20";']
    lines = [*patience, *acquire, *(f'{name} "{value}";' for name, value in private.items())]
    lines.append('APT::Architectures { "amd64"; };')
    return "".join(f"{line}\n" for line in lines)


def machine_acquire_settings() -> list[str]:
    """How this machine's apt reaches its mirrors: proxies, timeouts, clock checks."""
    wanted = re.compile(
        r"Acquire::(?:http|https|ftp|Retries|ForceIPv|Check-|Max-ValidTime|Min-ValidTime|Proxy)\S*"
        r' "[^"]+";'
    )
    dump = _run(["apt-config", "dump"], dict(os.environ) | {"LC_ALL": "C"}, None).stdout
    return [line for line in dump.splitlines() if wanted.fullmatch(line)]


def failed_suites(stderr: str) -> set[str]:
    """The suites that apt-get update complained of on its stderr."""
    failed: set[str] = set()
    for line in stderr.splitlines():
        if line.startswith(("E:", "W:", "Err:")):
            failed.update(name for name in _FETCH_FAILED.findall(line) if name in SUITES)
    return failed


def _run(
    argv: Sequence[str], environment: dict[str, str], directory: Path | None
) -> subprocess.CompletedProcess[str]:
    return finish(argv, environment=environment, directory=directory)


def require_space(directory: Path, size: int) -> None:
    """Raise OSError (ENOSPC) unless ``size`` bytes are free where ``directory`` lies."""
    if shutil.disk_usage(directory).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))


def _check_space(stderr: str, directory: Path) -> None:
    if os.strerror(errno.ENOSPC) in stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))
