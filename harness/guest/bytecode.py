"""Bytecode of what a guest runs, made once on the host by the guest image's own Python.

An emulated CPU takes eight seconds to compile the suite as pytest wants it, at every boot.
Nothing of the suite is executed here: only the image's Python and pytest run, on sources.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from harness.errors import HarnessError, Interrupted
from harness.files import keep_newest
from harness.guest.vng import Root
from harness.locks import wait_for
from harness.processes import run
from harness.progress import Progress

_SCRIPT = Path(__file__).with_name("compile_suite.py")
#: Where the payload lies in the guest: tracebacks name its files so.
_PLACE = "run/afalg"
_PYTHON = "/usr/bin/python3"
#: What Python needs of the image.
_PARTS = ("bin", "lib", "lib64")
_KEPT = 8  # suites whose bytecode stays in the cache


def add_bytecode(payload: Path, root: Root, progress: Progress) -> None:
    """Add to the archive ``payload`` the bytecode of the Python files in it.

    Only for the default image: which Python another root has is not known. Where it cannot be
    made that is said, and each guest compiles by itself.
    """
    if not root.isolated:
        return
    try:
        made = _bytecode(payload, root.path).read_bytes()
    except Interrupted:
        raise
    except (HarnessError, OSError, tarfile.TarError) as error:
        told = str(error).strip().splitlines()
        progress.finish("suite", f"compiled anew in each guest: {told[-1] if told else error!r}")
        return
    with (
        tarfile.open(fileobj=io.BytesIO(made)) as source,
        tarfile.open(payload, "a", format=tarfile.PAX_FORMAT) as archive,
    ):
        for member in source:
            archive.addfile(member, source.extractfile(member))


def _bytecode(payload: Path, image: Path) -> Path:
    """The archive of bytecode for ``payload``, from the cache beside the image if it is there."""
    kept = image.parent / "bytecode"
    target = kept / f"{_key(payload)}.tar"
    if target.is_file():
        os.utime(target)
        return target
    kept.mkdir(exist_ok=True)
    lock = FileLock(image.parent / "bytecode.lock")
    wait_for(lock)
    work = image.parent / "compiling"  # whoever has the lock owns it
    try:
        if not target.is_file():
            shutil.rmtree(work, ignore_errors=True)
            _make(payload, image, work, target)
            keep_newest(kept, "*.tar", _KEPT)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()
    return target


def _key(payload: Path) -> str:
    digest = hashlib.sha256(_SCRIPT.read_bytes())
    for name, content in _sources(payload):
        digest.update(f"{name} {len(content)}\0".encode() + content)
    return digest.hexdigest()


def _sources(payload: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each Python file in the archive."""
    with tarfile.open(payload) as archive:
        for member in archive:
            if member.name.endswith(".py") and (file := archive.extractfile(member)):
                yield member.name, file.read()


def _make(payload: Path, image: Path, work: Path, target: Path) -> None:
    """Unpack Python and the sources, compile them, and pack the bytecode."""
    sources = work / _PLACE
    sources.mkdir(parents=True)
    (work / "usr").mkdir()
    wanted = " ".join(f"/usr/{part}" for part in _PARTS)
    # debugfs reads words as a shell does, and this path is a person's: it is not told it.
    run(
        ["debugfs", "-R", f"rdump {wanted} usr", image],
        doing="taking Python out of the guest image",
        directory=work,
    )
    for name in _PARTS:
        (work / name).symlink_to(f"usr/{name}")
    for name, content in _sources(payload):
        source = sources / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        os.utime(source, (0, 0))  # as in the archive: bytecode names its source's time
    shutil.copyfile(_SCRIPT, work / _SCRIPT.name)
    # An ordinary user may change the root in a user namespace.
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    words: list[str | Path] = ["unshare", *as_root, "--root", work, "--wd", "/"]
    words += [_PYTHON, "-I", "-W", "ignore", f"/{_SCRIPT.name}", f"/{_PLACE}"]
    run(words, doing="compiling the suite")
    packed = work / "bytecode.tar"
    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(sources.rglob("__pycache__/*.pyc")):
            info = tarfile.TarInfo(str(path.relative_to(sources)))
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(info, file)
    packed.replace(target)
