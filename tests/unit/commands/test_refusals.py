"""What cannot work is refused in one line, before anything is booted or written."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

from harness.bisect.tester import Tester
from harness.cli import main
from harness.errors import FetchError, InputError
from harness.guest.accel import refuse_missing_kvm
from harness.guest.payload import Selection
from harness.guest.root import refuse_bad_root
from harness.kernels import resolve
from harness.kernels.archive.debian import ArchiveKernel
from harness.kernels.sources import KernelSources
from harness.progress import SilentProgress
from harness.run import Run
from harness.selectable import refuse_what_selects_nothing
from harness.unimported import Unknown, read_tests

_OLD, _NEW = "debian:6.12.95+deb13-amd64", "debian:6.12.96+deb13-amd64"
_LISTED = tuple(
    ArchiveKernel(f"{number}+deb13-amd64", f"{number}-1", "amd64", ("trixie-security",))
    for number in ("6.12.96", "6.12.95", "6.12.94")
)
_CHECK = "--check page_cache_write"
_ENDS = f"--old {_OLD} --new {_NEW}"
#: Command lines, and what is said of them.
REFUSED = {
    f"run {_OLD} nosuch": "nosuch: no such file",
    f"run {_OLD} debian:6.12.97+deb13-amd64": "does not list it; there are 6.12.9",
    f"run {_OLD} debian:6.12.96": "a release names its flavour too",
    f"run {_OLD} debian:bullseye": "no suite 'bullseye'",
    f"run {_OLD} debian:trixie/arm": "no flavour 'arm'",
    f"run {_OLD} a.deb,b.rpm": "packages are not mixed",
    f"run {_OLD} a.deb": "no such file",
    f"run {_OLD} cut.deb": "cut.deb",
    f"run {_OLD} empty": "empty: no kernel in it",
    f"run {_OLD} text.txt": "text.txt",
    f"run {_OLD} git:nosuch@v1": "'nosuch' is no directory",
    f"run {_OLD} git:empty@v1": "not a git repository",
    f"run {_OLD} git:tree@v9": "no such commit",
    f"run {_OLD} git:tree": "holds no kernel source",
    f"run {_OLD} git:tree@": "no revision after the @",
    f"run {_OLD} ''": "is no kernel spec",
    f"run {_OLD} --baseline nosuch": "nosuch: no such file",
    f"run {_OLD} --baseline {_OLD}": "cannot be compared with itself",
    f"run {_OLD} --kconfig nosuch": "no kconfig fragment 'nosuch'",
    f"run {_OLD} --suite nosuch": "neither a suite",
    f"run {_OLD} --suite functional/test_hash.py::test_no": "has no test test_no",
    f"run {_OLD} --suite 'functional/test_rng.py::test_generates[x]'": "functional/test_rng.py",
    f"run {_OLD} --suite no_test": "holds no test",
    f"run {_OLD} --suite mine -k nosuch": "-k nosuch: selects no test of mine",
    f"run {_OLD} --suite mine -k 'and and'": "Wrong expression",
    f"run {_OLD} --suite functional/test_rng.py -k nosuch": "selects no test of functional",
    f"run {_OLD} --root nosuch": "--root nosuch: neither",
    f"run {_OLD} --root empty": "--root empty",
    f"run {_OLD} --root text.txt": "neither a directory nor an ext4 image",
    f"run {_OLD} --dump-guest-memory text.txt": "not a directory",
    f"run {_OLD} --out text.txt": "text.txt",
    f"run {_OLD} --out ''": "argument --out: '': names no path",
    f"run {_OLD} --cache ''": "argument --cache: '': names no path",
    f"run {_OLD} --cache text.txt": "text.txt",
    f"run {_OLD} --append ''": "argument --append: ''",
    f"run {_OLD} --append 'a=\"b c\"'": "passes on no double quote",
    f"run {_OLD} --append a={300 * 'a'} --append b={300 * 'b'}": "--append: 606 bytes",
    f"run {_OLD} --append {256 * 'a'} --root host": "has 256 left for them with --root host",
    f"run {_OLD} --append {256 * 'a'} --root root": "has 256 left for them with --root root",
    f"run {_OLD} --append {600 * 'a'} --executor dask://h:1": "--append: 601 bytes",
    f"run {_OLD} --mirror foo": "argument --mirror: 'foo'",
    f"run {_OLD} --seed x": "argument --seed: 'x': must be a whole number",
    f"run {_OLD} --repeat 99999999999999999999": "argument --repeat",
    f"run {_OLD} --expect x": "must be NAME=VALUE",
    f"run {_OLD} --expectations nosuch": "nosuch: No such file",
    "run": "name a kernel",
    "run --resume nosuch --jobs 2": "takes no other argument (--jobs)",
    "run --resume nosuch --list": "takes no other argument (--list)",
    "run --resume nosuch": "nosuch",
    f"bisect {_ENDS} {_CHECK} --append {600 * 'a'}": "--append: 601 bytes",
    f"bisect {_ENDS} {_CHECK} --append {600 * 'a'} --executor dask://h:1": "--append: 601 bytes",
    f"bisect {_ENDS} --check nosuch": "'nosuch' is no check",
    f"bisect {_ENDS} --check zero_copy.skcipher.splice_fil": "near it",
    f"bisect {_ENDS} --check functional/test_no.py::test_x": "no file functional/test_no.py",
    f"bisect {_ENDS} --check /etc/test_no.py::test_x": "no file /etc/test_no.py",
    f"bisect {_ENDS} --check seed:99": "--check seed 99",
    f"bisect {_ENDS} --command ' '": "no program named",
    f'bisect {_ENDS} --command "\'"': "--command '",
    f"bisect {_ENDS} {_CHECK} --among 'debian:5.*'": "no kernel from",
    f"bisect {_ENDS} {_CHECK} --among ,": "--among: names no kernel",
    f"bisect {_ENDS} {_CHECK} --among {_OLD},nosuch": "nosuch: no such file",
    f"bisect {_ENDS} {_CHECK} --among git:tree": "git:tree",
    f"bisect {_ENDS} {_CHECK} --root nosuch": "--root nosuch",
    f"bisect --old {_OLD} --new {_OLD} {_CHECK}": "both ends are the same kernel",
    f"bisect --old {_OLD} --new debian:7.9-amd64 {_CHECK}": "does not list it",
    f"bisect --old HEAD --new HEAD~9 {_CHECK} --among git:tree": "no such commit",
    f"bisect --old HEAD --new HEAD {_CHECK} --among git:tree": "are the same commit",
    f"bisect --old HEAD --new HEAD~1 {_CHECK} --among git:tree": "holds no kernel source",
    f"bisect-step {_CHECK} nosuch": "nosuch: no such file",
    f"bisect-step {_CHECK} {_OLD} --append {600 * 'a'}": "--append: 601 bytes",
    f"bisect-step {_CHECK}": "not a git repository",
    f"bisect-step {_CHECK} git:tree@v9": "no such commit",
    f"bisect-step {_CHECK} {_OLD} --out mine": "holds no bisect but test_mine.py",
    f"bisect {_ENDS} {_CHECK} --out mine --fresh": "holds no bisect but test_mine.py",
    "shell nosuch --exec true": "nosuch: no such file",
    f"shell {_OLD} --exec ''": "--exec names no command",
    f"shell {_OLD} --exec true --root nosuch": "--root nosuch",
    f"shell {_OLD} --exec true --append {600 * 'a'}": "--append: 601 bytes",
    f"validate {_OLD} --append {600 * 'a'}": "--append: 601 bytes",
    f"benchmark {_OLD} --append {600 * 'a'}": "--append: 601 bytes",
    f"kernels fetch {_OLD} nosuch": "nosuch: no such file",
    f"kernels build {_OLD}": "only git:TREE@REV is built",
    "kernels build git:tree@v9": "no such commit",
    "kernels show nosuch": "nosuch: no such file",
    "kernels list --from 6.13 --to 6.12": "--from 6.13 is after --to 6.12",
    "kernels list --from x": "argument --from: 'x' is no version",
    "kernels list 5.*": "no kernel of Debian's archive matches",
    "kernels cache prune nosuch": "nothing called 'nosuch'",
    "kernels cache prune --older-than x": "argument --older-than: 'x': must be a number of days",
    "kernels cache prune --older-than nan": "argument --older-than: 'nan'",
    "kernels cache prune --all 6.12.96+deb13-amd64": "--all leaves nothing to name",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with what the command lines name, in which nothing can be booted."""
    place = tmp_path / "place"
    (place / "empty").mkdir(parents=True)
    (place / "root/usr/bin/python3").mkdir(parents=True)
    (place / "text.txt").write_text("no kernel")
    (place / "cut.deb").write_bytes(b"!<arch>\n")
    (place / "no_test").mkdir()
    (place / "no_test/helper.py").write_text("def test_in_no_test_file(): pass\n")
    (place / "mine").mkdir()
    (place / "mine/test_mine.py").write_text("import af_alg\ndef test_one(): raise SystemExit\n")
    tree = place / "tree"
    subprocess.run(["git", "init", "-q", tree], check=True)
    for _ in range(2):
        subprocess.run(["git", "-C", tree, *_COMMIT], check=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("AFALG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    archive = SimpleNamespace(
        kernels=lambda: _LISTED, failed_suites=tuple, mirror=SimpleNamespace(main="http://m")
    )
    monkeypatch.setattr(resolve, "_archive", lambda *_: archive)
    for kind, name in ((Run, "execute"), (Tester, "test")):
        monkeypatch.setattr(kind, name, _booted)
    return place


_COMMIT = (
    *("-c", "user.name=n", "-c", "user.email=e"),
    *("commit", "-q", "--allow-empty", "-m", "a commit"),
)


def _booted(*_: object) -> NoReturn:
    raise AssertionError("it was not refused")


def _said(capsys: pytest.CaptureFixture[str]) -> str:
    """The last line on stderr, without what is said on the way."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [line for line in captured.err.splitlines() if line.startswith("afalg-harness")][-1]


@pytest.mark.parametrize("line", REFUSED)
def test_refused(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.iterdir())
    code = main(shlex.split(line))
    said = _said(capsys)
    assert REFUSED[line] in said
    assert code == (128 if line.startswith("bisect-step") else 2), said
    assert sorted(place.iterdir()) == before


def test_what_is_right_is_not_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It gets as far as to boot."""
    for line in (
        f"run {_OLD} {_NEW} --suite mine -k one",
        f"run {_OLD} --append {599 * 'a'}",
        f"run {_OLD} --append {255 * 'a'} --root host",
        f"bisect {_ENDS} {_CHECK} --among 'debian:6.12.*'",
        f"bisect-step {_CHECK} {_OLD}",
    ):
        assert main(shlex.split(line)) in (3, 129)
        assert "AssertionError: it was not refused" in _said(capsys)


@pytest.fixture(autouse=True)
def _details(details: Path) -> None:
    """Of the assertion above."""


def test_a_mirror_that_does_not_answer_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other kernels of the run may be in the cache."""

    def archive(*_: object) -> NoReturn:
        raise FetchError("no answer")

    monkeypatch.setattr(resolve, "_archive", archive)
    resolve.refuse_impossible([_OLD], KernelSources(Path("/nonexistent")), SilentProgress())


def test_kvm_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("harness.guest.accel._KVM", tmp_path / "kvm")
    refuse_missing_kvm("auto", tmp_path)
    with pytest.raises(Exception, match=r"--accel kvm: this host has no /dev/kvm"):
        refuse_missing_kvm("kvm", tmp_path)


def test_roots_that_can_be_booted(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").symlink_to("/nowhere/python3.11")
    image = tmp_path / "image"
    image.write_bytes(bytes(1080) + b"\x53\xef")
    for root in ("image", "host", str(tmp_path), str(image)):
        refuse_bad_root(root, None)


_READABLE = '''
"""Tests."""
import os, pytest
from af_alg import open_socket
_SIZES = [1, 2]
@pytest.fixture
def socket(): yield open_socket()
def test_one(): raise SystemExit
def helper(a): pass
'''
_UNREADABLE = (
    "def test_with_a_fixture(tmp_path): pass",
    "import pytest\n@pytest.mark.skip\ndef test_marked(): pass",
    "class TestMore:\n    def test_it(self): pass",
    "from others import *",
    "from others import test_theirs",
    "test_made = lambda: None",
    "globals().update(test_made=print)",
    "for n in range(3): pass",
    "def pytest_generate_tests(metafunc): pass",
    "pytestmark = []",
    "import pytest\n@pytest.fixture(autouse=True, params=[1, 2])\ndef twice(): pass",
    "def broken(:",
    "async def test_async(): pass",
)


def _suite(tmp_path: Path, text: str) -> Path:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "test_it.py").write_text(text)
    return suite


def test_a_suite_of_ones_own_is_read(tmp_path: Path) -> None:
    suite = _suite(tmp_path, _READABLE)
    assert read_tests(suite) == {Path("suite/test_it.py"): ("test_one",)}
    assert read_tests(suite / "test_it.py") == {Path("test_it.py"): ("test_one",)}


@pytest.mark.parametrize("text", _UNREADABLE)
def test_what_reading_does_not_tell(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unknown):
        read_tests(_suite(tmp_path, text))


def test_what_reading_does_not_tell_is_left_to_the_guest(tmp_path: Path) -> None:
    suite = _suite(tmp_path, _UNREADABLE[0])
    refuse_what_selects_nothing(Selection((str(suite),), ("-k", "nosuch")))
    with pytest.raises(InputError, match="Wrong expression"):
        refuse_what_selects_nothing(Selection((str(suite),), ("-k", "and and")))


def _selects(arguments: Sequence[str], *suites: Path) -> bool:
    try:
        refuse_what_selects_nothing(Selection(tuple(map(str, suites)), tuple(arguments)))
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    ("keyword", "selects"),
    [
        ("test_one", True),
        ("ONE", True),
        ("suite", True),
        ("test_it.py", True),
        ("not one", False),
        ("not two", True),
        ("one and two", False),
        ("one or two", True),
    ],
)
def test_keywords_are_those_of_pytest(tmp_path: Path, keyword: str, selects: bool) -> None:
    assert _selects(("-k", keyword), _suite(tmp_path, _READABLE)) is selects


def test_one_of_several_suites_is_enough(tmp_path: Path) -> None:
    suite = _suite(tmp_path, _READABLE)
    hashes = Path("functional/test_hash.py")
    assert _selects(("-k", "test_one"), suite, hashes)
    assert _selects(("-k", "test_sha256"), suite, hashes)
    assert not _selects(("-k", "nosuch"), suite, hashes)
