"""``ci/check-kernels.sh``: what a CI server's job says by its environment is what is run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.recipes import AFTER, BEFORE, Checkout, machine, make_checkout, store


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout of the harness whose runs are stored ones."""
    return make_checkout(tmp_path)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """An empty directory, in which a job begins."""
    place = tmp_path / "job"
    place.mkdir()
    return place


def run(checkout: Checkout, job: Path, **told: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout.top / "ci/check-kernels.sh"],
        cwd=job,
        env=machine(**checkout.environment(**told)),
        capture_output=True,
        text=True,
        check=False,
    )


def test_everything_that_can_be_said(checkout: Checkout, job: Path) -> None:
    for name in ("linux-image-7_amd64.deb", "linux-modules-7_amd64.deb", "linux-libc-dev.deb"):
        (job / name).touch()
    ended = run(
        checkout,
        job,
        AFALG_TREE="a tree",
        AFALG_PACKAGES="linux-image-*.deb\n  linux-modules-*.deb \n",
        AFALG_KERNELS="\ndebian:trixie\n--root=host\n$(touch gone); `touch gone`\n",
        AFALG_BASELINE="last-good",
        AFALG_SUITES="zero_copy\nsecurity/test_keys.py::test_x[a b]",
        AFALG_EXPECTATIONS="known.toml",
        AFALG_SHARD="2/3",
        AFALG_ARGUMENTS="-k\nsplice or sendfile",
        AFALG_OUT="the run",
    )
    assert checkout.started == [
        *("run", "--out=the run", "-k", "splice or sendfile"),
        *("--suite=zero_copy", "--suite=security/test_keys.py::test_x[a b]"),
        *("--baseline=last-good", "--expectations=known.toml", "--shard=2/3", "--"),
        *("a tree", "linux-image-7_amd64.deb,linux-modules-7_amd64.deb"),
        *("debian:trixie", "--root=host", "$(touch gone); `touch gone`"),
    ]
    assert not (job / "gone").exists()
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("code", "word"),
    [(0, "none"), (1, "regression"), (2, "usage"), (3, "infrastructure"), (130, "interrupted")],
)
def test_exit_codes(code: int, word: str, checkout: Checkout, job: Path) -> None:
    """Nothing is stored here: where that is no fault, nothing was to be run, and nothing passed."""
    told = {"RUN_EXIT": str(code), "AFALG_KERNELS": "host", "AFALG_OUTPUTS": "outputs"}
    ended = run(checkout, job, **told)
    assert ended.returncode == code
    assert (job / "outputs").read_text() == f"exit_code={code}\noutcome={word}\n"
    assert ended.stderr.startswith(f"afalg: {word} ({code}): ")


def test_a_kernel_that_passed(checkout: Checkout, job: Path, tmp_path: Path) -> None:
    stored = str(store(tmp_path / "stored", AFTER))
    ended = run(checkout, job, STORED=stored, AFALG_KERNELS="host", AFALG_OUTPUTS="outputs")
    assert (job / "outputs").read_text() == "exit_code=0\noutcome=passed\n"
    assert ended.stderr.endswith("afalg: passed (0): as expected\n")


@pytest.mark.parametrize(
    ("told", "complaint"),
    [
        ({}, "no kernel is named"),
        ({"AFALG_KERNELS": " \n"}, "no kernel is named"),
        ({"AFALG_PACKAGES": "*.deb"}, "*.deb: there is no such package"),
    ],
    ids=str,
)
def test_nothing_is_run_without_a_kernel(
    told: dict[str, str], complaint: str, checkout: Checkout, job: Path
) -> None:
    ended = run(checkout, job, **told)
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert checkout.started == []


def test_shards_are_put_together(checkout: Checkout, job: Path, tmp_path: Path) -> None:
    """By the real harness, and with its exit code."""
    for part, release in enumerate((BEFORE, AFTER)):
        store(job / f"part-{part}", release)
    ended = run(checkout, job, AFALG_MERGE="part-*", AFALG_OUT="whole")
    assert checkout.started[:5] == ["report", "--out=whole", "merge", "part-0", "part-1"]
    assert ended.returncode == 2  # which are no shards of one run
    assert "afalg: usage (2)" in ended.stderr


def test_reports_have_the_label(checkout: Checkout, job: Path, tmp_path: Path) -> None:
    stored = store(tmp_path / "stored", AFTER)
    run(checkout, job, STORED=str(stored), AFALG_KERNELS="host", AFALG_LABEL="mainline")
    text = (job / "afalg-run/junit.xml").read_text()
    assert "mainline" in text
    assert {"summary.md", "annotations.txt"} < {path.name for path in (job / "afalg-run").iterdir()}


def test_buildkite_shows_the_summary(checkout: Checkout, job: Path, tmp_path: Path) -> None:
    agent = tmp_path / "bin/buildkite-agent"
    agent.parent.mkdir()
    agent.write_text('#!/bin/sh\necho "$@" >called\ncat >shown\n')
    agent.chmod(0o755)
    told = {"BUILDKITE": "true", "BUILDKITE_JOB_ID": "17", "RUN_EXIT": "1"}
    path = f"{agent.parent}{os.pathsep}{os.environ['PATH']}"
    stored = store(tmp_path / "stored", BEFORE)
    ended = run(checkout, job, **told, PATH=path, STORED=str(stored), AFALG_KERNELS="host")
    assert ended.returncode == 1
    assert (job / "called").read_text() == "annotate --context afalg-17 --style error\n"
    assert (job / "shown").read_text() == (job / "afalg-run/summary.md").read_text()


def test_a_signal_reaches_the_harness_and_its_end_is_awaited(checkout: Checkout, job: Path) -> None:
    begun = job / "begun"
    os.mkfifo(begun)
    (checkout.top / ".venv/bin/afalg-harness").write_text(
        f"#!/bin/bash\ntrap 'echo ended >ended; exit 130' TERM\necho $$ >'{begun}'\n"
        "sleep 90 & wait $!; kill %1\n"
    )
    environment = machine(**checkout.environment(AFALG_KERNELS="host"))
    script = [checkout.top / "ci/check-kernels.sh"]
    with subprocess.Popen(script, cwd=job, env=environment, start_new_session=True) as process:
        begun.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 130
        assert (job / "ended").read_text() == "ended\n"
        with contextlib.suppress(ProcessLookupError):  # the stub's sleep, if the stub left it
            os.killpg(process.pid, signal.SIGKILL)
