"""What is built from a checkout: the version of its tag, and all that an installation needs."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

_TOP = Path(__file__).parents[2]
_USER = ("-c", "user.name=n", "-c", "user.email=e@e")


def _git(place: Path, *words: str) -> str:
    argv: list[str | Path] = ["git", "-C", place, *_USER, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one commit: what git knows here, as it lies here."""
    place = tmp_path_factory.mktemp("dist") / "checkout"
    listed = _git(_TOP, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (_TOP / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(_TOP / name, place / name)
    _git(place, "init", "-q")
    _git(place, "add", "--all")
    _git(place, "commit", "-q", "-m", "all")
    return place


def _build(tree: Path, kind: str, place: Path) -> Path:
    """The sdist or wheel of ``tree``, built with what is installed here."""
    place.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = [sys.executable, "-m", "hatchling", "build"]
    argv += ["-t", kind, "-d", place]
    # The build has the harness of the tree, not the one that is tested here.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        argv, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = place.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(checkout: Path) -> Path:
    """Of the tag v1.2.3."""
    _git(checkout, "tag", "v1.2.3")
    try:
        return _build(checkout, "sdist", checkout.with_name("sdist"))
    finally:
        _git(checkout, "tag", "--delete", "v1.2.3")


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    """The sdist, where no git is."""
    shutil.unpack_archive(sdist, sdist.parent)  # Debian 12's tarfile has no filters
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """Of the sdist."""
    return _build(unpacked, "wheel", unpacked.parent.with_name("wheel"))


def test_an_sdist_keeps_its_version(sdist: Path, wheel: Path) -> None:
    assert sdist.name == "afalg_harness-1.2.3.tar.gz"
    assert wheel.name == "afalg_harness-1.2.3-py3-none-any.whl"


def test_an_sdist_has_what_a_distribution_builds_and_tests_with(
    sdist: Path, unpacked: Path
) -> None:
    for name in ("ci/setup.sh", "tests/unit/test_distribution.py", "tests/afalg/conftest.py"):
        assert (unpacked / name).read_bytes() == (_TOP / name).read_bytes()
    with tarfile.open(sdist) as archive:
        assert not [name for name in archive.getnames() if "__pycache__" in name]


def _metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def test_versions_where_there_is_no_tag(checkout: Path, tmp_path: Path) -> None:
    """A clone without tags, a later commit than a tag's, and a tree without git."""
    assert _version(checkout, tmp_path / "untagged").startswith("0.1.dev1+g")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", checkout, clone], check=True)
    _git(clone, "tag", "v1.2.3")
    _git(clone, "commit", "-q", "--allow-empty", "-m", "one more")
    assert _version(clone, tmp_path / "later").startswith("1.2.4.dev1+g")
    shutil.rmtree(clone / ".git")
    assert _version(clone, tmp_path / "bare") == "0.1.dev0"


def test_versions_of_the_archives_that_git_makes(checkout: Path, tmp_path: Path) -> None:
    """As servers offer them for download."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", checkout, clone], check=True)
    for name in ("untagged", "tagged"):
        tree = tmp_path / name
        tree.mkdir()
        if name == "tagged":
            _git(clone, "tag", "v1.2.3")
        _git(clone, "archive", f"--output={tree}.tar", "HEAD")
        subprocess.run(["tar", "-xf", f"{tree}.tar", "-C", tree], check=True)
    assert _version(tmp_path / "tagged", tmp_path / "a") == "1.2.3"
    assert _version(tmp_path / "untagged", tmp_path / "b").startswith("0.")


def _version(tree: Path, place: Path) -> str:
    """That which a wheel of ``tree`` would have."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_metadata(wheel: Path) -> None:
    metadata = _metadata(wheel)
    assert metadata["License-Expression"] == "GPL-2.0-or-later"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata.get_payload() == (_TOP / "README.md").read_text()


def test_the_licence_is_said_once() -> None:
    licence = tomllib.loads((_TOP / "pyproject.toml").read_text())["project"]["license"]
    listed = _git(_TOP, "grep", "--files-with-matches", "--fixed-strings", licence)
    assert [*filter(lambda name: not name.startswith("tests/"), listed.split())] == [
        "pyproject.toml"
    ]


def test_the_wheel_works_where_nothing_else_of_the_checkout_is(wheel: Path, tmp_path: Path) -> None:
    """Its command, its suite, its templates and its man pages; what it is built on is ours."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=False, symlinks=True)
    (packages,) = place.glob("lib/python3*/site-packages")
    install: list[str | Path] = [sys.executable, "-m", "pip", "--python", place / "bin/python"]
    install += ["install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    (ours,) = (path for path in map(Path, sys.path) if (path / "virtme").is_dir())
    # Behind its own: ours has an editable harness, whose .pth file is not read from here.
    (packages / "others.pth").write_text(f"{ours}\n")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    # vng is beside the interpreter wherever pip installed both.
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(*words: str) -> str:
        done = subprocess.run(
            [place / "bin/afalg-harness", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("--version") == "afalg-harness 1.2.3\n"
    assert "boot kernels" in run("--help")
    assert "python: " in run("doctor")
    assert "functional/test_hash.py::test_sha256" in run("run", "--list")
    pages = {path.name for path in (place / "share/man/man1").iterdir()}
    assert {"afalg-harness.1", "afalg-harness-run.1"} < pages
    assert (packages / "harness/_suite/conftest.py").is_file()
    assert {path.name for path in (packages / "harness/_kconfigs").iterdir()} == {
        path.name for path in (_TOP / "kconfigs").iterdir()
    }
