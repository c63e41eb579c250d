"""Revisions of a user's git tree: found, checked out elsewhere, the tree left as it is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.kernels.source.git import GitTree

FILES = {"Kbuild": "# top\n", "arch/x86/Kconfig": "# x86\n", "crypto/a.c": "1\n", "net/b.c": "1\n"}


def git(place: Path, *arguments: str) -> str:
    """What git prints; identity and dates are fixed."""
    settings = {
        f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return subprocess.run(
        ["git", "-C", place, *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def commit(place: Path, message: str, **files: str) -> str:
    """Commit ``files`` (their names with __ for slashes and _c for .c) and return the id."""
    for name, text in files.items():
        path = place / name.replace("__", "/").replace("_c", ".c")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(place, "add", "-A")
    git(place, "commit", "-qm", message)
    return git(place, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with two commits, tagged ``first`` and ``second``."""
    place = tmp_path / "linux"
    place.mkdir()
    git(place, "init", "-q", "-b", "main")
    for name, text in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    commit(place, "The first")
    git(place, "tag", "first")
    commit(place, "The second, 'quoted'", crypto__a_c="2\n")
    git(place, "tag", "second")
    return place


def _listing(place: Path) -> dict[str, tuple[int, int, int]]:
    """Every file and directory below ``place``, with times, sizes and inodes."""
    found = {}
    for path in [place, *place.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def _files(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): path.read_text()
        for path in place.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(place).parts
    }


def test_commit(tree: Path) -> None:
    found = GitTree(tree).commit("HEAD")
    assert found.id == git(tree, "rev-parse", "HEAD")
    assert found.tree == git(tree, "rev-parse", "HEAD^{tree}")
    assert found.subject == "The second, 'quoted'"
    assert GitTree(tree).is_kernel(found)


@pytest.mark.parametrize(
    "revision", ["first", "HEAD~1", "HEAD^", "main~1", "main@{0}~1", ":/The first"]
)
def test_any_revision_that_git_knows(tree: Path, revision: str) -> None:
    assert GitTree(tree).commit(revision).id == git(tree, "rev-parse", "first")


def test_revision_with_dashes(tree: Path) -> None:
    git(tree, "update-ref", "refs/tags/--all", "first")
    git(tree, "tag", "v6.1-rc1-next-20260101", "first")
    assert GitTree(tree).commit("--all").subject == "The first"
    assert GitTree(tree).commit("v6.1-rc1-next-20260101").subject == "The first"
    with pytest.raises(InputError, match=r"@--help: the tree has no such commit"):
        GitTree(tree).commit("--help")


@pytest.mark.parametrize(
    "revision", ["nowhere", "0" * 40, "HEAD:crypto", "HEAD~9", "a b", "first..second", "^first"]
)
def test_unknown_revision(tree: Path, revision: str) -> None:
    with pytest.raises(InputError) as error:
        GitTree(tree).commit(revision)
    assert str(error.value) == f"git:{tree}@{revision}: the tree has no such commit"


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^git:{tmp_path}: not a git repository"):
        GitTree(tmp_path)


def test_empty_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(InputError, match="@HEAD: the tree has no such commit"):
        GitTree(tmp_path).commit("HEAD")


def test_no_kernel(tree: Path) -> None:
    git(tree, "rm", "-q", "-r", "arch")
    assert not GitTree(tree).is_kernel(GitTree(tree).commit(commit(tree, "No x86")))


def test_user_tree_is_never_written_to(tree: Path, tmp_path: Path) -> None:
    # An index whose times are out of date is what git status likes to refresh.
    os.utime(tree / "net/b.c", (1, 1))
    (tree / "crypto/a.c").write_text("changed\n")
    before = _listing(tree)
    user = GitTree(tree)
    assert user.has_changes()
    for revision in ("first", "second"):
        user.check_out(user.commit(revision), tmp_path / "checkout")
    assert _listing(tree) == before


def test_check_out_touches_only_what_differs(tree: Path, tmp_path: Path) -> None:
    user, target = GitTree(tree), tmp_path / "checkout"
    user.check_out(user.commit("first"), target)
    assert _files(target) == FILES
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.c")}
    user.check_out(user.commit("second"), target)
    assert _files(target) == FILES | {"crypto/a.c": "2\n"}
    assert (target / "crypto/a.c").stat().st_mtime_ns != times[target / "crypto/a.c"]
    assert (target / "net/b.c").stat().st_mtime_ns == times[target / "net/b.c"]


def test_check_out_mends_the_checkout(tree: Path, tmp_path: Path) -> None:
    user, target = GitTree(tree), tmp_path / "checkout"
    user.check_out(user.commit("first"), target)
    (target / "net/b.c").write_text("spoilt\n")
    (target / "crypto/a.c").unlink()
    (target / "added.c").write_text("left by a build\n")
    (target / ".git/index.lock").write_text("left by one that was killed")
    user.check_out(user.commit("first"), target)
    assert _files(target) == FILES


@pytest.mark.parametrize("missing", [".git/HEAD", ".git/objects/info", ".git/index"])
def test_check_out_after_a_checkout_cut_short(tree: Path, tmp_path: Path, missing: str) -> None:
    user, target = GitTree(tree), tmp_path / "checkout"
    user.check_out(user.commit("first"), target)
    subprocess.run(["rm", "-r", target / missing], check=True)
    user.check_out(user.commit("second"), target)
    assert _files(target) == FILES | {"crypto/a.c": "2\n"}


def test_check_out_after_the_old_commit_is_gone(tree: Path, tmp_path: Path) -> None:
    user, target = GitTree(tree), tmp_path / "checkout"
    amended = user.commit(commit(tree, "To be amended", net__b_c="typo\n"))
    user.check_out(amended, target)
    git(tree, "reset", "-q", "--hard", "second")
    git(tree, "reflog", "expire", "--expire=now", "--all")
    git(tree, "gc", "-q", "--prune=now")
    with pytest.raises(InputError):
        user.commit(amended.id)
    user.check_out(user.commit("second"), target)
    assert _files(target) == FILES | {"crypto/a.c": "2\n"}


def test_shallow_clone(tree: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{tree}", str(shallow))
    user, target = GitTree(shallow), tmp_path / "checkout"
    user.check_out(user.commit("HEAD"), target)
    assert _files(target)["crypto/a.c"] == "2\n"
    assert git(target, "rev-list", "--count", "HEAD") == "1"
    git(shallow, "fetch", "-q", "--unshallow")
    user.check_out(user.commit("HEAD~1"), target)
    assert _files(target) == FILES
    user.check_out(user.commit("HEAD"), target)
    assert git(target, "rev-list", "--count", "HEAD") == "2"


def test_bare_repository(tree: Path, tmp_path: Path) -> None:
    bare = tmp_path / "linux.git"
    git(tmp_path, "clone", "-q", "--bare", str(tree), str(bare))
    user = GitTree(bare)
    user.check_out(user.commit("first"), tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES
    assert not user.has_changes()


def test_clone_that_borrows_objects(tree: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--shared", str(tree), "borrower")
    user = GitTree(tmp_path / "borrower")
    user.check_out(user.commit("HEAD~1"), tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES


def test_worktree(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", "--detach", str(tmp_path / "other"), "first")
    user = GitTree(tmp_path / "other")
    assert user.commit("HEAD").subject == "The first"
    user.check_out(user.commit("HEAD"), tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES


def test_subdirectory(tree: Path, tmp_path: Path) -> None:
    user = GitTree(tree / "crypto")
    head = user.commit("first")
    assert user.is_kernel(head)
    user.check_out(head, tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES
    (tree / "net/b.c").write_text("changed\n")
    assert user.has_changes()


def test_relative_path(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    user = GitTree(Path("linux"))
    user.check_out(user.commit("first"), tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES


def test_environment_of_a_hook(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    user = GitTree(tree)
    user.check_out(user.commit("first"), tmp_path / "checkout")
    assert _files(tmp_path / "checkout") == FILES
    assert _files(other) == {}


def test_settings_of_the_user(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration meant for a person at a terminal changes nothing."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    (hooks / "post-checkout").chmod(0o755)
    settings = tmp_path / ".gitconfig"
    settings.write_text(
        f"[core]\n\thooksPath = {hooks}\n[log]\n\tshowSignature = true\n\tdecorate = full\n"
        "[color]\n\tui = always\n[status]\n\tbranch = true\n\tshowStash = true\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    user = GitTree(tree)
    first = user.commit("first")
    assert (first.tree, first.subject) == (git(tree, "rev-parse", "first^{tree}"), "The first")
    user.check_out(first, tmp_path / "checkout")
    assert not (tmp_path / "hook-ran").exists()
    assert not user.has_changes()


def test_changes(tree: Path) -> None:
    user = GitTree(tree)
    assert not user.has_changes()
    (tree / "untracked").write_text("")
    assert not user.has_changes()
    (tree / "net/b.c").write_text("changed\n")
    assert user.has_changes()
    git(tree, "add", "-u")
    assert user.has_changes()
