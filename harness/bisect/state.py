"""The steps of a bisect, stored as each ends, so that it can go on after any interruption."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.bisect.found import FILE_NAME as FOUND
from harness.errors import InfrastructureError, InputError
from harness.files import write_whole

_FILE = "bisect.json"


@dataclass(frozen=True)
class Asked:
    """What a bisect was asked: two that differ in any of it are two bisects."""

    check: str
    find: str
    ends: tuple[str, str]
    among: tuple[str, ...]
    options: tuple[str, ...] = ()  # all else that bears on what is observed

    def identity(self) -> str:
        """A short name for it."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:10]


@dataclass(frozen=True)
class Step:
    """One kernel that was tested, or could not be."""

    spec: str
    value: str  # "" if it cannot be judged
    reason: str = ""
    release: str = ""
    test: str = ""  # id of the test that saw it
    votes: tuple[str, ...] = ()
    seconds: float = 0.0
    runs: tuple[str, ...] = field(default=())  # run directories, relative to the bisect's


class BisectState:
    """The directory of one bisect."""

    def __init__(self, directory: Path, asked: Asked, *, fresh: bool) -> None:
        """Opens ``directory``, made if need be; ``fresh`` drops what a bisect left in it.

        Raises InputError (it belongs to another bisect, or to none, is in use, cannot be
        written).
        """
        self.directory = directory
        self._asked = asked
        self.steps: dict[str, Step] = {}
        self._recording = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(directory / ".lock")
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(f"{directory}: another bisect is at work there") from error
        except OSError as error:
            raise InputError(f"{directory}: {error.strerror or error}") from error
        try:
            self._refuse_what_is_not_ours()
            if fresh:
                self._clear()
            self._load()
            self._save()
        except OSError as error:
            self.close()
            raise InputError(f"{directory}: {error.strerror or error}") from error
        except BaseException:
            self.close()
            raise

    def _refuse_what_is_not_ours(self) -> None:
        """Whatever else is in there is not ours to delete or to write over."""
        names = {path.name for path in self.directory.iterdir()} - {".lock"}
        if names and _FILE not in names:
            raise InputError(
                f"{self.directory}: holds no bisect but {min(names)}; name another directory"
                " with --out"
            )

    def _clear(self) -> None:
        for name in ("runs", "git", "command"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in (_FILE, "bisect.md", FOUND):
            (self.directory / name).unlink(missing_ok=True)

    def _load(self) -> None:
        try:
            data = json.loads((self.directory / _FILE).read_text())
            asked, steps = data["asked"], [_step_of(item) for item in data["steps"]]
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{self.directory / _FILE} is damaged; start again with --fresh"
            ) from error
        if asked != json.loads(json.dumps(asdict(self._asked))):
            raise InputError(
                f"{self.directory} holds another bisect; name another --out, or add --fresh"
            )
        self.steps = {step.spec: step for step in steps}

    def record(self, step: Step) -> None:
        """Store a step. Raises InfrastructureError if that cannot be done (disk full)."""
        with self._recording:
            self.steps[step.spec] = step
            self._save()

    def _save(self) -> None:
        content = {
            "asked": asdict(self._asked),
            "steps": [asdict(step) for step in self.steps.values()],
        }
        path = self.directory / _FILE
        try:
            write_whole(path, json.dumps(content, indent=1))
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "no space left for" if full else f"{error.strerror or error}:"
            raise InfrastructureError(
                f"{what} {path}; the same command goes on once that is mended"
            ) from error

    def run_directory(self, spec: str, number: int) -> Path:
        """An empty place for one run of ``spec``; what an interrupted one left is removed."""
        safe = "".join(char if char.isalnum() or char in ".+-" else "_" for char in spec)
        path = self.directory / "runs" / f"{safe[-80:]}~{number}"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def close(self) -> None:
        """Let another process use the directory."""
        with contextlib.suppress(OSError):
            self._lock.release()


def _step_of(item: dict[str, Any]) -> Step:
    return Step(**{**item, "votes": tuple(item["votes"]), "runs": tuple(item["runs"])})
