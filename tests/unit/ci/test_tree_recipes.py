"""The recipes for whoever has a kernel tree: a target of its Makefile, and a series by b4."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes import BEFORE, Checkout, machine, make_checkout, store

#: How a kernel's Makefile calls itself once more for another output directory.
_MAKEFILE = """\
this-makefile := $(lastword $(MAKEFILE_LIST))
abs_srctree := $(realpath $(dir $(this-makefile)))
ifneq ($(sub_make_done),1)
ifeq ("$(origin O)", "command line")
KBUILD_OUTPUT := $(O)
endif
abs_objtree := $(or $(KBUILD_OUTPUT),$(CURDIR))
need-sub-make := 1
export sub_make_done := 1
$(filter-out $(this-makefile), $(MAKECMDGOALS)) __all: __sub-make
\t@:
__sub-make:
\t$(MAKE) -C $(abs_objtree) -f $(abs_srctree)/Makefile $(MAKECMDGOALS)
else
need-sub-make :=
endif
ifeq ($(need-sub-make),)
objtree := .
endif
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of the harness whose runs are stored ones."""
    return make_checkout(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel tree and, beside it, what was built of it."""
    place = tmp_path / "linux"
    for path in (place, tmp_path / "build"):
        path.mkdir()
    (place / "Makefile").write_text(_MAKEFILE)
    return place


def make(
    tree: Path, checkout: Checkout, *words: str, **told: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "afalg-check", *words],
        cwd=tree,
        env=machine(**checkout.environment(**told)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("is_included", [True, False])
def test_make_tests_what_was_built(is_included: bool, tree: Path, checkout: Checkout) -> None:
    fragment = checkout.top.with_name("afalg-harness")  # make has no words with spaces in them
    fragment.symlink_to(checkout.top)
    path = f"{fragment}/ci/make/afalg.mk"
    words = [] if is_included else ["-f", path]
    if is_included:
        (tree / "Makefile").write_text(f"{_MAKEFILE}\ninclude {path}\n")
    built = tree.with_name("build")
    made = make(tree, checkout, *words, f"O={built}", "AFALG_BASELINE=debian:trixie")
    assert made.returncode == 0, made.stderr
    assert "warning" not in made.stderr
    run, out, baseline, separator, kernel = checkout.started
    assert (run, separator, kernel) == ("run", "--", str(built))
    assert out.startswith(f"--out={built}/.afalg/2")
    assert baseline == "--baseline=debian:trixie"

    (checkout.top / "started").unlink()
    failed = make(tree, checkout, *words, RUN_EXIT="3")
    assert failed.returncode == 2
    assert "afalg: infrastructure (3)" in failed.stderr
    assert "Error 3" in failed.stderr
    assert checkout.started[-1] == str(tree)


def _git(tree: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    done = subprocess.run(
        ["git", *identity, *words], cwd=tree, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def series(tree: Path) -> Path:
    """A mailbox with a series of two patches, and the tree at what it is based on."""
    source = tree / "af_alg.c"
    source.write_text("".join(f"line {number}\n" for number in range(9)))
    _git(tree, "init", "-q", "-b", "main")
    _git(tree, "add", ".")
    _git(tree, "commit", "-qm", "base")
    _git(tree, "checkout", "-qb", "series")
    for number in (2, 6):
        source.write_text(source.read_text().replace(f"line {number}\n", "changed\n"))
        _git(tree, "commit", "-qam", f"crypto: change line {number}")
    patches = _git(tree, "format-patch", "--stdout", "--thread", "--base=main", "main")
    _git(tree, "checkout", "-q", "main")
    mailbox = tree.with_name("series.mbx")
    mailbox.write_text(patches + "\n")
    return mailbox


def _check_series(
    tree: Path, checkout: Checkout, *words: str, **told: str
) -> subprocess.CompletedProcess[str]:
    # No test asks a server for keys.
    (tree / ".git/config").open("a").write("[b4]\n\tattestation-policy = off\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    identity = {"EMAIL": "n@example.org", "GIT_COMMITTER_NAME": "n", "HOME": str(tree.parent)}
    return subprocess.run(
        [checkout.top / "ci/b4/check-series.sh", *words],
        cwd=tree,
        env=machine(**checkout.environment(**told)) | identity | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def _message_id(mailbox: Path) -> str:
    lines = mailbox.read_text().splitlines()
    first = next(line for line in lines if line.lower().startswith("message-id:"))
    return first.partition("<")[2].rstrip(">")


def test_a_series_against_its_base(tree: Path, series: Path, checkout: Checkout) -> None:
    before = _git(tree, "for-each-ref")
    stored = str(store(tree.with_name("stored"), BEFORE))
    words = ("--mbox", str(series), _message_id(series), "--suite", "zero_copy")
    checked = _check_series(tree, checkout, *words, RUN_EXIT="1", STORED=stored)
    assert checked.returncode == 1, checked.stderr
    run, option, value, out, base, commit = checkout.started[:6]
    assert (run, option, value) == ("run", "--suite", "zero_copy")
    place = out.removeprefix("--out=")
    assert base == f"git:{tree}@{_git(tree, 'rev-parse', 'main')}"
    commit = commit.rpartition("@")[2]
    assert _git(tree, "diff", "--shortstat", commit, "series") == ""
    assert _git(tree, "rev-list", "--count", f"main..{commit}") == "2"
    assert "bisect --good" in checked.stderr
    assert (tree / place / "report.eml").is_file()
    assert _git(tree, "for-each-ref") == before
    assert _git(tree, "status", "--porcelain") == f"?? {place}/"
    assert _git(tree, "worktree", "list").count("\n") == 0


def test_a_series_that_does_not_apply(tree: Path, series: Path, checkout: Checkout) -> None:
    (tree / "af_alg.c").write_text("all new\n")
    _git(tree, "commit", "-qam", "another base")
    words = ("--base", "HEAD", "--mbox", str(series), _message_id(series))
    checked = _check_series(tree, checkout, *words)
    assert checked.returncode == 2
    assert "does not apply" in checked.stderr
    assert checkout.started == []
    assert _git(tree, "worktree", "list").count("\n") == 0
