"""``kernels``: the command line as a person uses it, without a network."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from harness import cli, known_states
from harness.commands.actions.kernels import fetch as fetch_command
from harness.commands.actions.kernels import list as list_command
from harness.commands.actions.kernels import show as show_command
from harness.errors import ExitCode, FetchError
from harness.kernels.archive.debian import ArchiveKernel
from harness.kernels.cache.kernel_store import KernelStore
from harness.kernels.resolve import resolve
from harness.kernels.sources import KernelSources
from harness.model import BootableKernel, CodeFinding, CodeWord
from harness.progress import Progress
from tests.stored_runs import MATRIX, stored_text

COMMAND = str(Path(sys.executable).parent / "afalg-harness")
KERNELS = (
    ArchiveKernel("7.3-amd64", "7.3~rc7-1~exp1", "amd64", ("experimental",)),
    ArchiveKernel("7.2.12+deb13-amd64", "7.2.12-1~bpo13+1", "amd64", ("trixie-backports",)),
    ArchiveKernel(
        "7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1", "cloud-amd64", ("trixie-backports",)
    ),
    ArchiveKernel("6.12.43+deb12-amd64", "6.12.43-1~bpo12+1", "amd64", ("bookworm-backports",)),
    ArchiveKernel("6.1.0-50-amd64", "6.1.176-1", "amd64", ("bookworm", "bookworm-security")),
)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one kernel of the archive, another version of one, and a local one."""
    cache = tmp_path / "cache"
    local = "f" * 32
    for number, release in enumerate(("6.12.43+deb12-amd64", "7.3-amd64", "7.3-gone-amd64")):
        key = f"{number}{KEY[1:]}"
        (cache / "kernels" / key).mkdir(parents=True)
        content = {"release": release, "packages": [], "notes": []}
        (cache / "kernels" / key / "kernel.json").write_text(json.dumps(content))
        version = {"6.12.43+deb12-amd64": "6.12.43-1~bpo12+1"}.get(release, "7.3-1")
        KernelStore(cache).remember(release, version, key)
    (cache / "kernels" / local).mkdir()
    content = {"release": "mine", "packages": [], "notes": [], "origin": "/home/me/\x1b[31mlinux"}
    (cache / "kernels" / local / "kernel.json").write_text(json.dumps(content))
    monkeypatch.setenv("AFALG_CACHE", str(cache))
    monkeypatch.setattr(list_command, "available", lambda _sources, _progress: KERNELS)
    monkeypatch.setattr(list_command, "indexed", lambda _sources: KERNELS)
    return cache


def _run(*arguments: str) -> int:
    return cli.main(["kernels", *arguments])


def _listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]]


def test_newest_first(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("list") == ExitCode.OK
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        f"debian:{kernel.release}" for kernel in KERNELS
    ]
    assert lines[4].split() == [
        "debian:6.12.43+deb12-amd64",
        "6.12.43-1~bpo12+1",
        "yes",
        "bookworm-backports",
    ]
    assert lines[1].index("experimental") == lines[2].index("trixie"), "aligned"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["7.2*"], [1, 2]),
        (["debian:7.2*"], [1, 2]),
        (["*cloud*"], [2]),
        (["--flavour", "cloud"], [2]),
        (["--suite", "bookworm-security"], [4]),
        (["--from", "7.2"], [0, 1, 2]),
        (["--from", "7.2.12"], [0, 1, 2]),
        (["--from", "7.2.13"], [0]),
        (["--to", "6.12"], [3, 4]),
        (["--to", "6.12.42"], [4]),
        (["--from", "6.1.176", "--to", "6.1.176"], [4]),
        (["--from", "6.1.177", "--to", "6.99"], [3]),
        (["--cached"], [3]),
        (["--from", "6", "--flavour", "amd64", "7.*"], [0, 1]),
    ],
)
def test_filters(
    cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[int]
) -> None:
    assert _run("list", *arguments) == ExitCode.OK
    listed = [name for name in _listed(capsys) if "gone" not in name]
    if arguments == ["--cached"]:
        listed.remove("debian:7.3-amd64")  # in another version than the archive's
    assert listed == [f"debian:{KERNELS[number].release}" for number in expected]


def test_cached_in_another_version(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("list", "7.3-amd64") == ExitCode.OK
    assert "  other version  " in capsys.readouterr().out


def test_cached_but_no_longer_in_the_archive(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_command, "indexed", lambda _sources: ())
    assert _run("list", "--cached") == ExitCode.OK
    out = capsys.readouterr().out
    assert out.count("no longer listed") == 3
    assert _listed_first(out) == "debian:7.3-amd64"


def _listed_first(out: str) -> str:
    return out.splitlines()[1].split()[0]


def test_list_as_json(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("list", "--json", "--to", "6.12") == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == [
        {
            "spec": "debian:6.12.43+deb12-amd64",
            "release": "6.12.43+deb12-amd64",
            "version": "6.12.43-1~bpo12+1",
            "flavour": "amd64",
            "suites": ["bookworm-backports"],
            "cached": True,
        },
        {
            "spec": "debian:6.1.0-50-amd64",
            "release": "6.1.0-50-amd64",
            "version": "6.1.176-1",
            "flavour": "amd64",
            "suites": ["bookworm", "bookworm-security"],
            "cached": False,
        },
    ]


def _findings(modules: Path | None, image: Path) -> tuple[CodeFinding, ...]:
    """Of a kernel whose hash sockets alone take pages."""
    assert modules is None, "these kernels have none"
    assert image.name.startswith("vmlinuz-")
    return (
        CodeFinding("aead.input", CodeWord.CANNOT, ("aead_sendmsg",)),
        CodeFinding("hash.input", CodeWord.CAN, ("hash_sendmsg", "extract_iter_to_sg")),
        CodeFinding("skcipher.output", CodeWord.CAN, ("skcipher_recvmsg", "pin_user_pages")),
        CodeFinding("rng.output", CodeWord.SILENT, reason="no symbols"),
    )


def test_what_the_code_of_cached_kernels_says(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_command, "ask", _findings)
    assert _run("list", "--static", "6.12*") == ExitCode.OK
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "KERNEL"
    assert line.split() == ["debian:6.12.43+deb12-amd64", "hash", "skcipher", "rng.output"]
    assert _run("list", "--static", "--json") == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3, "those in the cache"
    assert rows[0]["code"][1]["evidence"] == ["hash_sendmsg", "extract_iter_to_sg"]


def test_what_the_code_of_one_kernel_says(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show_command, "ask", _findings)
    assert _run("show", "debian:7.3-gone-amd64") == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("code:")] == [
        "aead.input cannot: nothing below aead_sendmsg takes them",
        "hash.input can refer to pages: hash_sendmsg -> extract_iter_to_sg",
        "skcipher.output can refer to pages: skcipher_recvmsg -> pin_user_pages",
        "rng.output silent: no symbols",
    ]
    assert _run("show", "debian:7.3-gone-amd64", "--json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["code"][3]["reason"] == "no symbols"


@pytest.mark.parametrize("json_too", [False, True])
def test_nothing_matches(cache: Path, capsys: pytest.CaptureFixture[str], json_too: bool) -> None:
    assert _run("list", "5.*", *(["--json"] if json_too else [])) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ("[]\n" if json_too else "")
    (line,) = err.splitlines()
    assert "no kernel of Debian's archive matches" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--from", "six"],
        ["list", "--suite", "sarge"],
        ["list", "--flavour", "grape"],
        ["cache", "prune", "--older-than", "-1"],
        ["cache", "prune", "--older-than", "nan"],
        ["cache", "prune", "--older-than", "soon"],
        ["fetch"],
        [],
    ],
)
def test_wrong_use(cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert _run(*arguments) == ExitCode.USAGE
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["build", "debian:trixie"], ["show", "/none"], ["cache", "prune", "5.10"]]
)
def test_bad_input(cache: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert _run(*arguments) == ExitCode.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("afalg-harness: ")


COMMANDS = [[], ["list"], ["show"], ["fetch"], ["build"], ["cache"]]
COMMANDS += [["cache", "list"], ["cache", "prune"]]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert _run(*command, "--help") == ExitCode.OK
    assert " ".join(["  afalg-harness kernels", *command]) in capsys.readouterr().out


def test_quiet_is_heard_in_any_place() -> None:
    parser = cli.build_parser()
    for words in (["-q", "cache", "list"], ["cache", "-q", "list"], ["cache", "list", "-q"]):
        assert parser.parse_args(["kernels", *words]).quiet
    assert not parser.parse_args(["kernels", "cache", "list"]).quiet


def test_kconfigs_reach_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[KernelSources] = []

    def interrupted(_spec: str, sources: KernelSources, _progress: object) -> None:
        seen.append(sources)
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch_command, "resolve", interrupted)
    monkeypatch.setattr(fetch_command, "refuse_bad_kernels", lambda *_: None)
    spec, cache = f"git:{tmp_path}@HEAD", ["--cache", str(tmp_path / "cache")]
    assert _run("build", spec, *cache) == ExitCode.INTERRUPTED
    _run("build", spec, "--kconfig", "debug", "--kconfig", "my.config", *cache)
    assert [sources.kconfigs for sources in seen] == [("base", "afalg"), ("debug", "my.config")]


def test_one_that_cannot_be_fetched_stops_no_other(
    cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(spec: str, sources: KernelSources, progress: Progress) -> BootableKernel:
        if spec == "debian:sid":
            raise FetchError(f"{spec}: no answer")
        return resolve(spec, sources, progress)

    monkeypatch.setattr(fetch_command, "resolve", fetch)
    monkeypatch.setattr(fetch_command, "refuse_bad_kernels", lambda *_: None)
    assert _run("fetch", "debian:sid", "debian:7.3-gone-amd64") == ExitCode.INFRASTRUCTURE
    out, err = capsys.readouterr()
    assert out.startswith("debian:7.3-gone-amd64  7.3-gone-amd64  /")
    assert "afalg-harness: debian:sid: no answer" in err


def test_one_that_does_not_exist_stops_all(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("fetch", "debian:7.3-gone-amd64", "/none") == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert "afalg-harness: /none: no such file" in err


def test_cache_list(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("cache", "list") == ExitCode.OK
    out = capsys.readouterr().out
    assert "\x1b" not in out, "no file name drives a terminal"
    assert len(out.splitlines()) == 6
    assert f"{cache}: 33 kB in all, kernels: 4" in out
    assert _run("cache", "list", "--json") == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert {row["release"]: row["origin"] for row in rows}["mine"].startswith("/home/me/")


def test_prune_by_name_and_age(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = cache / "kernels" / ("f" * 32)
    old = time.time() - 10 * 86400
    os.utime(place, (old, old))
    assert _run("cache", "prune", "mine", "--older-than", "11") == ExitCode.OK
    assert place.exists()
    assert _run("cache", "prune", "--older-than", "9", "--dry-run") == ExitCode.OK
    assert "would delete kernel mine (ffffffff)" in capsys.readouterr().out
    assert place.exists()
    assert _run("cache", "prune", "--older-than", "9") == ExitCode.OK
    assert [path.name[0] for path in sorted((cache / "kernels").glob("[0-9a-f]*"))] == list("012")
    assert _run("cache", "prune", "9123456789", "debian:7.3-gone-amd64") == ExitCode.USAGE
    assert _run("cache", "prune", "1123456789", "debian:7.3-gone-amd64") == ExitCode.OK
    assert [path.name[0] for path in sorted((cache / "kernels").glob("[0-9a-f]*"))] == ["0"]
    assert _run("cache", "prune", "--all") == ExitCode.OK
    assert list((cache / "kernels").glob("[0-9a-f]*")) == []


def test_reader_that_goes_away(cache: Path) -> None:
    process = subprocess.run(
        ["bash", "-c", f"{COMMAND} kernels cache list | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.stdout, process.stderr) == ("0\n", "")


@pytest.mark.parametrize("columns", [30, 80, 120])
def test_on_a_terminal(cache: Path, columns: int) -> None:
    """Nothing is cut or broken, and where a table fits no line is longer than the width."""
    child = pexpect.spawn(
        COMMAND,
        ["kernels", "cache", "list"],
        dimensions=(50, columns),
        encoding="utf-8",
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1"},
        timeout=60,
    )
    text = child.read()
    with contextlib.suppress(pexpect.ExceptionPexpect):
        child.wait()
    assert child.exitstatus == 0
    assert "debian:6.12.43+deb12-amd64" in text
    assert "mine from /home/me/" in text
    lines = [line.rstrip() for line in text.splitlines() if str(cache) not in line]
    assert columns == 30 or max(map(len, lines)) <= columns


def test_map_says_what_to_do_where_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = ["--cache", str(tmp_path / "empty"), "--store", str(tmp_path / "none")]
    code = cli.main(["kernels", "map", "-q", *nothing])
    assert not (tmp_path / "none").exists()
    assert code == ExitCode.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "kernels fetch" in said.err


def test_map_of_a_run_and_of_the_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What ran is told by its run, what was only fetched by its code; globs select of both."""
    (tmp_path / "results.json").write_text(stored_text(MATRIX))
    finding = CodeFinding("skcipher.input", CodeWord.CAN, ("sendmsg",))
    monkeypatch.setattr(known_states, "read_code", lambda _: (finding,))
    monkeypatch.setattr(KernelStore, "recall", lambda *_: object())
    asked = ["kernels", "map", "-q", "--run", str(tmp_path), "--format", "json"]
    assert cli.main([*asked, "7.3*", "debian:6.12.4*"]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert [(row["kernel"], row["from"]) for row in rows] == [
        ("6.12.43+deb12-amd64", "run"),
        ("7.3-amd64", "code"),
        ("7.3-gone-amd64", "code"),
        ("7.3.4+deb13-amd64", "run"),
    ]
    written = tmp_path / "map.json"
    assert cli.main([*asked, "--booted", "--output", str(written)]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    assert {row["from"] for row in json.loads(written.read_text())} == {"run"}


def test_map_of_the_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same states as of the run itself."""
    (tmp_path / "results.json").write_text(stored_text(MATRIX))
    store = str(tmp_path / "store")
    assert cli.main(["runs", "import", str(tmp_path), "--store", store]) == ExitCode.OK
    capsys.readouterr()
    asked = ["kernels", "map", "--booted", "--format", "csv"]
    assert cli.main([*asked, "--store", store]) == ExitCode.OK
    by_store = capsys.readouterr().out
    assert cli.main([*asked, "--run", str(tmp_path)]) == ExitCode.OK
    by_run = capsys.readouterr().out
    tables = [list(csv.DictReader(io.StringIO(text))) for text in (by_store, by_run)]
    assert len(tables[0]) == 12
    assert tables[0] == tables[1]
