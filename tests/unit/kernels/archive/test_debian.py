"""The archive: reading what apt prints, and which packages make up a kernel."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.errors import FetchError, InputError
from harness.kernels.archive.apt import PrivateApt
from harness.kernels.archive.debian import (
    INDEX_LIFETIME,
    Archive,
    ArchiveKernel,
    ArchivePackage,
    file_name,
    meta_packages,
    needed_packages,
    newest,
    parse_madison,
)
from harness.kernels.archive.suites import SUITES
from harness.mirror import Mirror

STANZAS = (Path(__file__).parent / "stanzas.txt").read_text()
MADISON = """\
linux-image-6.12.9+deb13-amd64 | 6.12.9-1 | http://m/d trixie/main amd64 Packages
linux-image-6.12.117+deb13-amd64 | 6.12.117-1 | http://m/d trixie/main amd64 Packages
linux-image-6.12.117+deb13-rt-amd64 | 6.12.117-1 | http://m/d trixie/main amd64 Packages
linux-image-6.12.117+deb13-cloud-amd64 | 6.12.117-1 | http://m/d trixie/main amd64 Packages
linux-image-6.1.0-50-amd64 |  6.1.176-1 | http://m/d bookworm/main amd64 Packages
linux-image-6.1.0-50-amd64 |  6.1.176-1 | http://m/s bookworm-security/main amd64 Packages
linux-image-7.3-amd64 | 7.3~rc7-1~exp1 | http://m/d experimental/main amd64 Packages
linux-image-7.3-amd64 | 7.3-1 | http://m/d sid/main amd64 Packages
linux-image-6.12.117+deb13-amd64-dbg | 6.12.117-1 | http://m/d trixie/main amd64 Packages
linux-image-6.12.117+deb13-amd64-unsigned | 6.12.117-1 | http://m/d trixie/main amd64 Packages
linux-image-amd64 | 6.12.117-1 | http://m/d trixie/main amd64 Packages
     linux | 6.12.117-1 | http://m/d trixie/main Sources
"""
MIRROR = Mirror("http://mirror/debian", "http://mirror/debian-security")


def test_madison() -> None:
    assert parse_madison(MADISON) == (
        ArchiveKernel("7.3-amd64", "7.3-1", "amd64", ("sid",)),
        ArchiveKernel("7.3-amd64", "7.3~rc7-1~exp1", "amd64", ("experimental",)),
        ArchiveKernel("6.12.117+deb13-amd64", "6.12.117-1", "amd64", ("trixie",)),
        ArchiveKernel("6.12.117+deb13-rt-amd64", "6.12.117-1", "rt-amd64", ("trixie",)),
        ArchiveKernel("6.12.117+deb13-cloud-amd64", "6.12.117-1", "cloud-amd64", ("trixie",)),
        ArchiveKernel("6.12.9+deb13-amd64", "6.12.9-1", "amd64", ("trixie",)),
        ArchiveKernel("6.1.0-50-amd64", "6.1.176-1", "amd64", ("bookworm", "bookworm-security")),
    )


@pytest.mark.parametrize(
    ("suite", "flavour", "expected"),
    [
        ("trixie", "amd64", "6.12.117+deb13-amd64"),
        ("trixie", "cloud-amd64", "6.12.117+deb13-cloud-amd64"),
        ("trixie", "rt-amd64", "6.12.117+deb13-rt-amd64"),
        ("bookworm-security", "amd64", "6.1.0-50-amd64"),
        ("sid", "cloud-amd64", None),
    ],
)
def test_newest(suite: str, flavour: str, expected: str | None) -> None:
    found = newest(parse_madison(MADISON), suite, flavour)
    assert (found.release if found else None) == expected


def test_newest_is_by_debian_version_order() -> None:
    candidate = newest(parse_madison(MADISON), "experimental", "amd64")
    assert candidate is not None
    assert candidate.version == "7.3~rc7-1~exp1"


def test_meta_packages() -> None:
    meta = (
        "Package: linux-image-6.12-amd64\nVersion: 6.12.117-1~deb12u1\n"
        "Depends: linux-image-6.12.117+deb12-amd64 (= 6.12.117-1~deb12u1)\n\n"
    )
    assert meta_packages(meta + STANZAS) == {"linux-image-6.12-amd64"}


def test_kernels_are_no_meta_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def query(_apt: PrivateApt, argv: Sequence[str]) -> str:
        asked.append(list(argv))
        if argv[1] == "pkgnames":
            return "linux-image-6.12-amd64\nlinux-image-amd64\nlinux-image-7.3-amd64-dbg\n"
        if argv[1] == "show":
            return "Package: linux-image-6.12-amd64\nDepends: linux-image-6.12.9-amd64\n"
        return "linux-image-6.12-amd64 | 6.12.9-1 | http://m/d trixie/main amd64 Packages\n"

    monkeypatch.setattr(PrivateApt, "query", query)
    assert Archive(tmp_path, MIRROR).kernels() == ()
    assert asked[1:] == [
        ["apt-cache", "show", "linux-image-6.12-amd64"],
        ["apt-cache", "madison", "linux-image-6.12-amd64"],
    ]


def _kernel(release: str, version: str) -> ArchiveKernel:
    return ArchiveKernel(release, version, "amd64", ("trixie-backports",))


def test_one_package_carries_an_old_kernel() -> None:
    kernel = _kernel("6.12.43+deb12-amd64", "6.12.43-1~bpo12+1")
    (package,) = needed_packages(kernel, STANZAS)
    assert package.name == "linux-image-6.12.43+deb12-amd64"
    assert package.size == 106038560
    assert package.trust == "signed index"


def test_config_of_6_18_lies_in_base() -> None:
    kernel = _kernel("6.18.15+deb13-amd64", "6.18.15-1~bpo13+1")
    base, image = needed_packages(kernel, STANZAS)
    assert (base.name, base.trust) == (
        "linux-base-6.18.15+deb13-amd64",
        "outside the signed index",
    )
    assert (image.name, image.trust) == ("linux-image-6.18.15+deb13-amd64", "signed index")


def test_parts_of_a_new_kernel() -> None:
    """linux-modules is listed, but in another version than the one that belongs to it."""
    kernel = _kernel("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1")
    version = "7.3.4-1~bpo13+1"
    base = "5663505495b5c90be94af42105c7b28629802516779102dac48d5a00cc00fccf"
    binary = "7e3248d03a84dcdda88c567aa8c4038f2e7795d2dd167b112c56f8901b6f513f"
    assert needed_packages(kernel, STANZAS) == (
        ArchivePackage("linux-base-7.3.4+deb13-amd64", version, base, 1077476),
        ArchivePackage("linux-binary-7.3.4+deb13-amd64", version, binary, 14138336),
        ArchivePackage("linux-modules-7.3.4+deb13-amd64", version, None, None),
    )


def test_file_name_has_no_epoch() -> None:
    package = ArchivePackage("linux-base-7.3-amd64", "1:7.3~rc7-1~exp1", None, None)
    assert file_name(package) == "linux-base-7.3-amd64_7.3~rc7-1~exp1_amd64.deb"


def test_index_ages(tmp_path: Path) -> None:
    archive = Archive(tmp_path, MIRROR)
    assert archive.needs_update(1000.0)
    (state,) = {archive._stamp.parent}
    state.mkdir(parents=True)
    archive._stamp.write_text(json.dumps({"time": 1000.0, "failed": []}))
    assert not archive.needs_update(1000.0 + INDEX_LIFETIME - 1)
    assert archive.needs_update(1000.0 + INDEX_LIFETIME)
    assert archive.needs_update(999.0), "a clock that was set back"
    archive._stamp.write_text("{}")
    assert archive.needs_update(1000.0)


def test_mirrors_do_not_share_an_index(tmp_path: Path) -> None:
    other = Mirror("http://other/debian", "http://other/debian-security")
    assert Archive(tmp_path, MIRROR)._stamp != Archive(tmp_path, other)._stamp


Run = Callable[[PrivateApt, Sequence[str]], "subprocess.CompletedProcess[str]"]


def _ends(code: int, stderr: str) -> Run:
    return lambda _apt, argv: subprocess.CompletedProcess(list(argv), code, "", stderr)


def test_update_keeps_the_suites_that_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path, MIRROR)
    monkeypatch.setattr(PrivateApt, "configure", lambda self, _: self.state.mkdir(parents=True))
    stderr = "E: The repository 'http://mirror/debian forky Release' does not have a Release file."
    monkeypatch.setattr(PrivateApt, "run", _ends(100, stderr))
    archive.update()
    assert archive.failed_suites() == ("forky",)


EVERY_SUITE = "".join(
    f"W: Failed to fetch http://m/d/dists/{suite}/InRelease  Could not connect\n"
    for suite in SUITES
)


@pytest.mark.parametrize(("code", "stderr"), [(100, "E: Could not connect"), (0, EVERY_SUITE)])
def test_update_of_a_mirror_that_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, stderr: str
) -> None:
    archive = Archive(tmp_path, MIRROR)
    monkeypatch.setattr(PrivateApt, "configure", lambda _self, _mirror: None)
    monkeypatch.setattr(PrivateApt, "run", _ends(code, stderr))
    with pytest.raises(FetchError, match="index of http://mirror/debian could not be fetched: "):
        archive.update()


POOL_PACKAGE = ArchivePackage("linux-modules-7.1.13+deb13-amd64", "7.1.13-1~bpo13+1", None, None)


def test_fetch_from_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def run(_apt: PrivateApt, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        asked.append(argv[:-1])
        Path(argv[-1]).write_bytes(b"package")
        return subprocess.CompletedProcess(list(argv), 0, "", "")

    monkeypatch.setattr(PrivateApt, "run", run)
    path = Archive(tmp_path, MIRROR).fetch(POOL_PACKAGE, lambda *_: None)
    name = "linux-modules-7.1.13+deb13-amd64_7.1.13-1~bpo13+1_amd64.deb"
    url = f"http://mirror/debian/pool/main/l/linux/{name}"
    assert asked == [["/usr/lib/apt/apt-helper", "download-file", url]]
    assert path == tmp_path / "packages" / name
    assert path.read_bytes() == b"package"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("stderr", "error", "said"),
    [
        ("E: Failed to fetch http://x  404  Not Found", InputError, "gone from the archive"),
        ("E: Could not connect", FetchError, "could not be downloaded .*: Could not connect"),
    ],
)
def test_pool_failures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stderr: str,
    error: type[Exception],
    said: str,
) -> None:
    monkeypatch.setattr(PrivateApt, "run", _ends(100, stderr))
    with pytest.raises(error, match=said):
        Archive(tmp_path, MIRROR).fetch(POOL_PACKAGE, lambda *_: None)
    assert list((tmp_path / "packages").iterdir()) == []


def _download(content: bytes, calls: list[list[str]]) -> Callable[..., object]:
    def run(
        _apt: PrivateApt, argv: list[str], place: Path, advance: Callable[[float], None]
    ) -> subprocess.CompletedProcess[str]:
        calls.append(argv)
        advance(0.5)
        (place / "x.deb").write_bytes(content)
        return subprocess.CompletedProcess(argv, 0, "", "")

    return run


def test_fetch_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = hashlib.sha256(b"package").hexdigest()
    package = ArchivePackage("linux-binary-7.3-amd64", "7.3-1", sha256, 14138336)
    calls: list[list[str]] = []
    reports: list[tuple[str, float | None]] = []
    monkeypatch.setattr(PrivateApt, "run_with_progress", _download(b"package", calls))
    archive = Archive(tmp_path, MIRROR)
    path = archive.fetch(package, lambda *report: reports.append(report))
    assert path.read_bytes() == b"package"
    assert calls == [["apt-get", "download", "linux-binary-7.3-amd64=7.3-1"]]
    activity = "downloading linux-binary-7.3-amd64 (14 MB)"
    assert reports == [(activity, 0.0), (activity, 0.5)]
    assert archive.fetch(package, lambda *_: None) == path
    assert len(calls) == 1, "what an interrupted run left whole is used"


def test_download_that_differs_from_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = ArchivePackage("linux-binary-7.3-amd64", "7.3-1", "0" * 64, 7)
    monkeypatch.setattr(PrivateApt, "run_with_progress", _download(b"other", []))
    with pytest.raises(FetchError, match="is not what the index says"):
        Archive(tmp_path, MIRROR).fetch(package, lambda *_: None)
    assert list((tmp_path / "packages").iterdir()) == []
