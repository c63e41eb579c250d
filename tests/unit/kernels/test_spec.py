"""Kernel specs: what each form means, and what is said of those that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.kernels.spec import (
    DirectorySpec,
    GitSpec,
    HostSpec,
    ImageSpec,
    KernelSpec,
    PackagesSpec,
    ReleaseSpec,
    SuiteSpec,
    parse_spec,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("debian:6.12.43+deb12-amd64", ReleaseSpec("6.12.43+deb12-amd64")),
        ("debian:6.1.0-50-amd64", ReleaseSpec("6.1.0-50-amd64")),
        ("debian:7.3-amd64", ReleaseSpec("7.3-amd64")),
        ("debian:7.3.4+deb13-cloud-amd64", ReleaseSpec("7.3.4+deb13-cloud-amd64")),
        ("debian:trixie-backports", SuiteSpec("trixie-backports", "amd64")),
        ("debian:trixie-backports/amd64", SuiteSpec("trixie-backports", "amd64")),
        ("debian:sid/cloud", SuiteSpec("sid", "cloud-amd64")),
        ("debian:sid/cloud-amd64", SuiteSpec("sid", "cloud-amd64")),
        ("debian:bookworm/rt", SuiteSpec("bookworm", "rt-amd64")),
    ],
)
def test_archive(text: str, expected: KernelSpec) -> None:
    assert parse_spec(text) == expected


def test_paths(tmp_path: Path) -> None:
    image, first, second = (tmp_path / name for name in ("vmlinuz", "a.deb", "b.deb"))
    for path in (image, first, second):
        path.touch()
    assert parse_spec(str(image)) == ImageSpec(image)
    assert parse_spec(str(tmp_path)) == DirectorySpec(tmp_path)
    assert parse_spec(str(first)) == PackagesSpec((first,))
    assert parse_spec(f"{first},{second}") == PackagesSpec((first, second))
    for name in ("a.rpm", "a.pkg.tar.zst", "a.pkg.tar.xz"):
        (tmp_path / name).touch()
        assert parse_spec(str(tmp_path / name)) == PackagesSpec((tmp_path / name,))
    (tmp_path / "tree.rpm").mkdir()
    assert parse_spec(str(tmp_path / "tree.rpm")) == DirectorySpec(tmp_path / "tree.rpm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no kernel spec"),
        (" debian:sid", "no kernel spec"),
        ("debian:", "no suite ''"),
        ("debian:potato", "no suite 'potato'"),
        ("debian:sid/huge", "no flavour 'huge'"),
        ("debian:sid/", "no flavour ''"),
        ("debian:6.12/../../etc", "cannot be a kernel release"),
        ("debian:6.12.43+deb12", "debian:6.12.43+deb12-amd64"),
        ("git:", "names no tree"),
        ("git:/no/linux@v7.3", "'/no/linux' is no directory"),
        ("git:/tmp@", "no revision after the @"),
        ("a.rpm", "a.rpm: no such file"),
        ("a.deb,b.rpm", "'b.rpm' is no .deb, and packages are not mixed"),
        ("a.rpm,b.pkg.tar.zst", "'b.pkg.tar.zst' is no .rpm"),
        ("a.pkg.tar.zst,debian:sid", "'debian:sid' is no .pkg.tar.zst"),
        ("/does/not/exist", "no such file or directory"),
        ("/does/not/exist.deb", "no such file"),
        ("/dev/null", "neither a file nor a directory"),
        ("a.deb,vmlinuz", "'vmlinuz' is no .deb"),
        ("a.deb,", "'' is no .deb"),
    ],
)
def test_nonsense(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_spec(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_git(tmp_path: Path) -> None:
    tree = tmp_path / "a@b"
    tree.mkdir()
    assert parse_spec(f"git:{tree}") == GitSpec(tree, "HEAD")
    assert parse_spec(f"git:{tree}@v7.3") == GitSpec(tree, "v7.3")
    assert parse_spec(f"git:{tree}@main@{{1}}") == GitSpec(tree, "main@{1}")


def test_host() -> None:
    assert parse_spec("host") == HostSpec()
