"""Which programs that use AF_ALG still do their job on this kernel, as booted.

A program that fails is a fact and no failed test: on 7.3 many fail by design
(af_alg_restrict, 2f204fe718f5), and the fact then says whether they work at level 0. A
test fails if a program claims success with an output that is wrong by an independent
computation: hashlib, the host's known answers, or OpenSSL's own code.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import vectors
from programs import Missing, Observer, Runner, Trial, Use, Watcher, hasten

from harness.guest.inside.words import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import RecordFact
    from programs import Finished

pytestmark = pytest.mark.policy_as_booted

TEXT = hashlib.shake_256(b"consumers").digest(4096)
KEY = bytes(range(32))
USERS = ("root", "nobody")
users = pytest.mark.parametrize("user", USERS)


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    """What the kernel is asked for, while the module lasts."""
    watcher = Watcher()
    yield watcher
    watcher.close()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """A directory in which anybody can write."""
    path = Path(tempfile.mkdtemp(prefix="afalg-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def observer(watcher: Watcher, directory: Path, record_fact: RecordFact) -> Observer:
    """Tries a program and records the fact."""
    return Observer(watcher, directory, record_fact)


def compare(finished: Finished, expected: bytes, seen: bytes, what: str) -> str:
    """Why the program failed, "" if it succeeded; a wrong output is an AssertionError."""
    if finished.failure:
        return finished.failure
    if not finished.output:
        return "exit 0 without output"
    assert seen == expected, f"{what}: expected {expected[:24].hex()}, saw {seen[:24].hex()}"
    return ""


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A descriptor to hand to a program."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# libkcapi

DIGESTS = ("sha1", "sha256", "sha3-256", "hmac(sha256)")


@users
@pytest.mark.parametrize("name", DIGESTS)
def test_kcapi_dgst(name: str, user: str, observer: Observer) -> None:
    """Does kcapi-dgst give the right digest?"""

    def job(runner: Runner) -> str:
        argv = ["kcapi-dgst", "-c", name, "--hex"]
        if name == "hmac(sha256)":
            expected = hmac.digest(KEY, TEXT, "sha256")
            with opened(runner.file("key", KEY)) as key:
                finished = runner.run([*argv, "--keyfd", str(key)], TEXT, keep=(key,))
        else:
            expected = hashlib.new(name.replace("-", "_"), TEXT).digest()
            finished = runner.run(argv, TEXT)
        return compare(finished, expected.hex().encode(), finished.output.strip(), name)

    observer.observe(f"kcapi_dgst.{fact_word(name)}", user, job)


def fact_word(algorithm: str) -> str:
    """``hmac_sha256`` of ``hmac(sha256)``."""
    return re.sub(r"\W+", "_", algorithm).strip("_")


CIPHERS = ("cbc(aes)", "ctr(aes)", "ecb(aes)", "xts(aes)", "gcm(aes)")


@users
@pytest.mark.parametrize("name", CIPHERS)
def test_kcapi_enc(name: str, user: str, observer: Observer, known_answers: dict[str, Any]) -> None:
    """Does kcapi-enc encrypt as the known answer says?"""
    section = "aead" if name == "gcm(aes)" else "skcipher"
    # kcapi-enc takes but 32 bytes from --keyfd and pads to whole blocks (libkcapi 1.4.0).
    cases = (
        case
        for case in vectors.cases(known_answers, section, name)
        if len(case.key) <= 32 and len(case.message) % 16 == 0
    )
    case = max(cases, key=lambda case: len(case.message))

    def job(runner: Runner) -> str:
        argv: list[str] = ["kcapi-enc", "--encrypt", "--cipher", name]
        if case.iv:
            argv += ["--iv", case.iv.hex()]
        if section == "aead":
            argv += ["--aad", case.aad.hex(), "--taglen", str(case.tag)]
        with opened(runner.file("key", case.key)) as key:
            finished = runner.run([*argv, "--keyfd", str(key)], case.message, keep=(key,))
        if finished.failure or not finished.output:
            return finished.failure or "exit 0 without output"
        aad, output = finished.output[: len(case.aad)], finished.output[len(case.aad) :]
        assert aad == case.aad, f"associated data: {aad.hex()}"
        case.check(output, name)
        return ""

    observer.observe(f"kcapi_enc.{fact_word(name)}", user, job)


@users
def test_kcapi_rng(user: str, observer: Observer) -> None:
    """Does kcapi-rng give as many random bytes as asked for, others each time?"""
    size = 64

    def job(runner: Runner) -> str:
        seen = []
        for _ in range(2):
            finished = runner.run(["kcapi-rng", "--bytes", str(size), "--hex"])
            if finished.failure or not finished.output:
                return finished.failure or "exit 0 without output"
            seen.append(bytes.fromhex(finished.output.decode().strip()))
        assert [len(data) for data in seen] == [size, size], f"lengths: {seen}"
        assert seen[0] != seen[1], f"the same bytes twice: {seen[0].hex()}"
        # 64 random bytes hold more than 32 different ones but once in 10^20 times.
        assert min(len(set(data)) for data in seen) > 32, f"not random: {seen}"
        return ""

    observer.observe("kcapi_rng.stdrng", user, job)


@users
def test_sha512hmac(user: str, observer: Observer) -> None:
    """Does libkcapi's sha512hmac (FIPS boots with dracut) give the right HMAC?"""

    def job(runner: Runner) -> str:
        path = runner.file("text", TEXT)
        finished = runner.run(["sha512hmac", path])
        # The key is the one that fipscheck had.
        expected = hmac.digest(b"FIPS-FTW-RHT2009", TEXT, "sha512").hex().encode()
        return compare(finished, expected, finished.output.partition(b" ")[0], "sha512hmac")

    observer.observe("sha512hmac.file", user, job)


# OpenSSL


@users
def test_openssl_afalg_engine(user: str, observer: Observer, known_answers: dict[str, Any]) -> None:
    """Does OpenSSL's afalg engine encrypt AES-CBC as the known answer says?"""
    case = max(
        vectors.cases(known_answers, "skcipher", "cbc(aes)"), key=lambda case: len(case.message)
    )

    def job(runner: Runner) -> str:
        cipher = f"-aes-{8 * len(case.key)}-cbc"
        key = ["-K", case.key.hex(), "-iv", case.iv.hex()]
        argv = ["openssl", "enc", "-engine", "afalg", cipher, "-nopad", *key]
        finished = runner.run(argv, case.message)
        if "could not load the shared library" in finished.errors:
            raise Missing("afalg engine", "OpenSSL has none here")
        if finished.failure or not finished.output:
            return finished.failure or "exit 0 without output"
        case.check(finished.output, "cbc(aes)")
        return ""

    observer.observe("openssl.afalg_cbc_aes", user, job)


# stress-ng


@users
def test_stress_ng(user: str, observer: Observer) -> None:
    """Does stress-ng --af-alg --verify do any operations, and find nothing wrong?"""
    # One is enough to tell, and a busy machine under emulation may not do four in time.
    operations, seconds = 1, 12

    def job(runner: Runner) -> str:
        argv = ["stress-ng", "--af-alg", "1", "--af-alg-ops", str(operations), "--verify"]
        finished = runner.run(
            [*argv, "-t", str(seconds), "--metrics-brief", "--temp-path", runner.directory]
        )
        if finished.failure:
            return finished.failure
        text = finished.output.decode(errors="replace") + finished.errors
        # It tries all the names it knows; that one cannot be bound is no wrong output.
        wrong = [line for line in text.splitlines() if re.search(r"\bfail: (?!.*bind)", line)]
        assert not wrong, f"stress-ng: {wrong[0]}"
        done = re.search(r"\baf-alg +(\d+) ", text)
        return "" if done and int(done[1]) >= operations else "too few bogo operations"

    observer.observe("stress_ng.af_alg", user, job)


# cryptsetup


BENCHMARKS = ("aes-xts", "aes-cbc")


def benchmark_command(cipher: str) -> list[str]:
    """One cipher only: each takes a second in either direction, by the clock."""
    return ["cryptsetup", "benchmark", "--cipher", cipher, "--key-size", "256"]


def benchmark_failure(finished: Finished, cipher: str) -> str:
    """Why no figures came out, "" if some did."""
    text = finished.output.decode(errors="replace")
    row = next((line for line in text.splitlines() if cipher in line), "no row")
    speeds = [float(speed) for speed in re.findall(r"([\d.]+) MiB/s", row)]
    if len(speeds) == 2 and min(speeds) > 0:
        return finished.failure
    return ", ".join(filter(None, [" ".join(row.split()), finished.failure]))


@pytest.fixture(scope="module")
def benchmarks(watcher: Watcher, directory: Path) -> Callable[[], dict[tuple[str, str], Trial]]:
    """All benchmarks as booted, at the same time: the figures are of no interest."""

    @cache
    def trials() -> dict[tuple[str, str], Trial]:
        runners = {user: Runner(directory, nobody=user == "nobody") for user in USERS}
        failures, pids = {}, {}
        with watcher.watch() as uses:
            started = {
                (cipher, user): runners[user].start(benchmark_command(cipher))
                for cipher in BENCHMARKS
                for user in USERS
            }
            hasten([*started.values()], watcher.requests, runners["root"].deadline)
            for (cipher, user), process in started.items():
                finished = runners[user].finish(process)
                failures[cipher, user] = benchmark_failure(finished, cipher)
                pids[cipher, user] = process.pid
        told = uses[0].told
        return {
            which: Trial(failures[which], uses.get(pids[which], Use(told))) for which in started
        }

    return trials


@users
@pytest.mark.parametrize("cipher", BENCHMARKS)
def test_cryptsetup_benchmark(
    cipher: str,
    user: str,
    watcher: Watcher,
    observer: Observer,
    benchmarks: Callable[[], dict[tuple[str, str], Trial]],
) -> None:
    """Does cryptsetup benchmark measure a cipher, rather than say N/A?"""

    def job(runner: Runner) -> str:
        process = runner.start(benchmark_command(cipher))
        hasten([process], watcher.requests, runner.deadline)
        return benchmark_failure(runner.finish(process), cipher)

    observer.observe(
        f"cryptsetup.benchmark_{fact_word(cipher)}",
        user,
        job,
        first=lambda: benchmarks()[cipher, user],
    )


#: The volume key, and where the data begins: room for the header and one key slot.
VOLUME_KEY = hashlib.shake_256(b"volume key").digest(64)
OFFSET = 4096 * 72  # as little as will do: all of it is overwritten with random data first
#: What stands in the first two sectors then: AES-256-XTS (IEEE 1619) of TEXT's first 1,024 bytes,
#: by OpenSSL on another machine (tests/unit/suite/test_programs.py). How each begins, and all.
STORED = ("bd4f1fa6cb93e895f07293128f395405", "e18b9a8150019cc9ded45c344b30e86e")
STORED_SHA256 = "362c7560d5fd92b5270ea15fed3344ee5e85001920372fc8e3005395600a6acc"
#: OpenSSL, which cryptsetup prefers, has no Serpent: the key slot goes through AF_ALG.
FORMAT = (
    *("luksFormat", "--type", "luks2", "--batch-mode", "--cipher", "aes-xts-plain64"),
    *("--key-size", "512", "--sector-size", "512", "--offset", str(OFFSET // 512)),
    *("--keyslot-cipher", "serpent-xts-plain64", "--keyslot-key-size", "512"),
    *("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--volume-key-file"),
)


def luks_format(runner: Runner) -> tuple[str, Path, Path]:
    """Why a container could not be made, the container, and the file with its passphrase."""
    image = runner.file("luks", b"")
    os.truncate(image, OFFSET + 65536)
    key, passphrase = runner.file("volume-key", VOLUME_KEY), runner.file("passphrase", KEY)
    slot: list[str | Path] = [key, "--key-file", passphrase, image]
    return runner.run(["cryptsetup", *FORMAT, *slot]).failure, image, passphrase


@users
def test_cryptsetup_luks_format(user: str, observer: Observer) -> None:
    """Does cryptsetup luksFormat make a key slot that gives the volume key back?"""

    def job(runner: Runner) -> str:
        failure, image, passphrase = luks_format(runner)
        if failure:
            return failure
        back = runner.directory / "dumped"
        back.unlink(missing_ok=True)
        argv = ["cryptsetup", "luksDump", "--dump-volume-key", "--batch-mode", "--key-file"]
        finished = runner.run([*argv, passphrase, "--volume-key-file", back, image])
        if finished.failure:
            return f"luksDump: {finished.failure}"
        seen = back.read_bytes()
        assert seen == VOLUME_KEY, f"volume key: expected {VOLUME_KEY.hex()}, saw {seen.hex()}"
        return ""

    observer.observe("cryptsetup.luks_format", user, job)


def test_cryptsetup_luks_open(observer: Observer) -> None:
    """Does a LUKS container open, and hold what was written, encrypted as AES-XTS?"""
    name = "afalg-consumers"
    device = Path("/dev/mapper") / name

    def job(runner: Runner) -> str:
        load_device_mapper(runner)
        failure, image, passphrase = luks_format(runner)
        if failure:
            return failure
        try:
            finished = runner.run(
                ["cryptsetup", "open", "--disable-locks", "--key-file", passphrase, image, name]
            )
            if finished.failure:
                return f"open: {finished.failure}"
            with device.open("r+b", buffering=0) as file:
                file.write(TEXT)
                os.fsync(file.fileno())
        finally:
            if device.exists():
                closed = runner.run(["cryptsetup", "close", name])
                assert not closed.failure, f"close: {closed.failure}"
        stored = image.read_bytes()[OFFSET:][:1024]
        seen = stored[:16].hex(), stored[512:528].hex()
        assert seen == STORED, f"sectors 0 and 1: expected {STORED}, saw {seen}"
        assert hashlib.sha256(stored).hexdigest() == STORED_SHA256, (
            "sectors 0 and 1 begin as expected, and go on otherwise"
        )
        return ""

    observer.observe("cryptsetup.luks_open", "root", job)


def load_device_mapper(runner: Runner) -> None:
    """The drivers behind an open container: without udev nothing else loads them."""
    runner.run(["modprobe", "-aq", "loop", "dm_mod", "dm_crypt"])
    for node in ("/dev/loop-control", "/dev/mapper/control"):
        if not Path(node).exists():
            raise Missing(node, "no such device", Cause.OTHER)
