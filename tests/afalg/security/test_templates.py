"""Names that must not become an algorithm, or that once loaded or freed the wrong thing.

bind() hands any text to crypto_alg_mod_lookup(), so any user can have templates
instantiated and modules asked for. Each refusal stands beside a name of the same making
that is accepted: a template which the kernel lacks would be refused, too.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import af_alg
import pytest
from unavailable import reason_of, skip

from harness.guest.inside.words import Cause, Reason

if TYPE_CHECKING:
    from conftest import Bind, Provoked, RecordFact

#: A template that refuses its parts gives EINVAL; lookup turns some of that into ENOENT.
REFUSALS = frozenset({errno.EINVAL, errno.ENOENT})


def refused(cve: str, kind: str, name: str) -> None:
    """bind() to ``name`` is refused."""
    with af_alg.open_socket() as sock:
        try:
            sock.bind((kind, name))
        except OSError as error:
            assert error.errno in REFUSALS, (
                f"{cve}: bind {kind} {name!r}: {af_alg.errno_name(error)}, "
                "expected EINVAL or ENOENT"
            )
        else:
            pytest.fail(f"{cve}: {kind} {name!r} was accepted, expected EINVAL or ENOENT")


@pytest.mark.regression(cve="CVE-2017-17806", fix="af3ff8045bbf", affected="2.6.38 to 4.14.7")
@pytest.mark.parametrize("inner", ["hmac(md5)", "hmac(sha256)", "cmac(aes)"])
def test_hmac_of_a_keyed_hash(inner: str, bind: Bind, provoked: Provoked) -> None:
    """An HMAC of a hash that wants a key itself is refused: nobody would set that key."""
    bind("hash", inner)
    bind("hash", "hmac(sha1)")
    provoked()
    refused("CVE-2017-17806", "hash", f"hmac({inner})")


@pytest.mark.regression(cve="", fix="e57121d08c38", affected="4.2 to 4.14.12")
@pytest.mark.parametrize("template", ["rfc7539", "rfc7539esp"])
def test_rfc7539_digest_size(template: str, bind: Bind, provoked: Provoked) -> None:
    """RFC 7539 with a hash whose digest is not Poly1305's 16 bytes is refused."""
    bind("aead", f"{template}(chacha20,poly1305)")
    bind("hash", "sha256")
    provoked()
    refused("e57121d08c38", "aead", f"{template}(chacha20,sha256)")


@pytest.mark.regression(cve="", fix="73bf20ef3df2", affected="2.6.32 to 4.17")
def test_vmac_block_size(bind: Bind, provoked: Provoked) -> None:
    """VMAC with a cipher of 64-bit blocks is refused: it would read past the block."""
    bind("hash", "vmac64(aes)")
    bind("skcipher", "ecb(des3_ede)")
    provoked()
    refused("73bf20ef3df2", "hash", "vmac64(des3_ede)")


@pytest.mark.regression(
    cve="CVE-2026-46033",
    fix="5db6ef984771",
    affected="4.11 to 6.1.174, 6.12.85, 6.18.26, 7.0.3",
)
@pytest.mark.parametrize(
    "digest", ["cbcmac(cipher_null)", "crct10dif"], ids=["cipher_null", "crct10dif"]
)
def test_authencesn_short_digest(digest: str, bind: Bind, provoked: Provoked) -> None:
    """authencesn of a digest of one to three bytes is refused: it moves four behind it."""
    bind("hash", digest)
    bind("aead", "authencesn(hmac(sha256),cbc(aes))")
    provoked()
    refused("CVE-2026-46033", "aead", f"authencesn({digest},cbc(aes))")


# Modules


def loaded(module: str) -> bool:
    """Whether a module is loaded."""
    return Path(f"/sys/module/{module}").exists()


@pytest.mark.regression(
    cve="CVE-2013-7421, CVE-2014-9644", fix="5d26a105b5a7", affected="2.6.38 to 3.18"
)
@pytest.mark.parametrize("form", ["brd", "brd(aes)", "cbc(brd)"], ids=["name", "outer", "inner"])
def test_bind_loads_crypto_modules_only(form: str, bind: Bind, provoked: Provoked) -> None:
    """bind() to the name of a module that is no crypto does not load that module."""
    bind("skcipher", "cbc(aes)")
    # The control: modules do get loaded on behalf of bind(), this one for its type.
    if not Path("/sys/module/algif_skcipher/initstate").exists():
        skip(
            "algif_skcipher is no module: nothing shows that bind() can load any",
            Reason(Cause.NO_MODULE, name="algif_skcipher"),
        )
    module = "brd"  # the RAM disk
    directory = Path("/lib/modules") / os.uname().release
    index = directory / "modules.dep"
    if loaded(module) or not index.exists() or f"/{module}.ko" not in index.read_text():
        skip(
            f"there is no module {module} that could be loaded",
            Reason(Cause.NO_MODULE, name=module),
        )
    provoked()  # the module is there to be loaded, and is not loaded
    refused("CVE-2013-7421", "skcipher", form)
    refused("CVE-2013-7421", "hash", form)
    assert not loaded(module), f"CVE-2013-7421: bind to {form!r} loaded the module {module}"


# The crypto configuration API by netlink: include/uapi/linux/cryptouser.h

NETLINK_CRYPTO = 21
CRYPTO_MSG_NEWALG, CRYPTO_MSG_DELALG, CRYPTO_MSG_GETALG = 0x10, 0x11, 0x13
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
CRYPTO_ALG_TYPE_AEAD = 3
CRYPTO_ALG_TYPE_MASK = 0xF
NAME = 64  # CRYPTO_MAX_NAME
ALGORITHM = f"={NAME}s{NAME}s{NAME}sIIII"  # struct crypto_user_alg
#: Attributes that begin with so many names: a type, for two of them an IV generator.
REPORTS = {2: 1, 3: 1, 4: 2, 5: 2, 6: 1, 7: 1, 8: 1, 9: 1, 10: 1, 11: 1}


def crypto_socket() -> socket.socket:
    """A socket to the crypto configuration API; opening one loads crypto_user."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_CRYPTO)
    except OSError as error:
        af_alg.failed("netlink crypto", error).skip()
    sock.settimeout(10)
    return sock


def crypto_message(
    message: int, flags: int, name: str = "", driver: str = "", kind: int = 0, mask: int = 0
) -> bytes:
    """One request about an algorithm."""
    algorithm = struct.pack(ALGORITHM, name.encode(), driver.encode(), b"", kind, mask, 0, 0)
    return struct.pack("=IHHII", 16 + len(algorithm), message, flags, 1, 0) + algorithm


def crypto_user(message: int, name: str = "", driver: str = "") -> int:
    """Send one request about an AEAD; returns the errno, 0 if done."""
    with crypto_socket() as sock:
        sock.sendto(
            crypto_message(
                message,
                NLM_F_REQUEST | NLM_F_ACK,
                *(name, driver, CRYPTO_ALG_TYPE_AEAD, CRYPTO_ALG_TYPE_MASK),
            ),
            (0, 0),
        )
        answer = sock.recv(4096)
    kind, error = struct.unpack_from("=H", answer, 4)[0], struct.unpack_from("=i", answer, 16)[0]
    assert kind == NLMSG_ERROR, f"expected an acknowledgement, saw message type {kind}"
    return -int(error)


def reported_names() -> list[list[bytes]]:
    """The fields for names, as they are, of each algorithm that the kernel reports."""
    reports: list[list[bytes]] = []
    with crypto_socket() as sock:
        sock.sendto(crypto_message(CRYPTO_MSG_GETALG, NLM_F_REQUEST | NLM_F_DUMP), (0, 0))
        while True:
            data = sock.recv(1 << 17)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                message, data = data[16:length], data[(length + 3) & ~3 :]
                if kind == NLMSG_DONE:
                    return reports
                if kind == NLMSG_ERROR:
                    number = -struct.unpack_from("=i", message)[0]
                    af_alg.failed("netlink crypto", OSError(number, "")).skip()
                reports.append(names_in(message))


def names_in(message: bytes) -> list[bytes]:
    """The fields for names in the report of one algorithm."""
    names = [message[at : at + NAME] for at in range(0, 3 * NAME, NAME)]
    attributes = message[struct.calcsize(ALGORITHM) :]
    while attributes:
        length, kind = struct.unpack_from("=HH", attributes)
        value, attributes = attributes[4:length], attributes[(length + 3) & ~3 :]
        names += [value[at * NAME : (at + 1) * NAME] for at in range(REPORTS.get(kind, 0))]
    return names


@pytest.mark.regression(
    cve="CVE-2013-2547, CVE-2018-19854", fix="f43f39958beb", affected="4.12 to 4.19.2; 3.2 to 3.8"
)
def test_reports_hold_names_only(bind: Bind, provoked: Provoked) -> None:
    """Reports of algorithms hold zeros behind each name, not what was in memory there."""
    bind("skcipher", "cbc(aes)")
    bind("aead", "gcm(aes)")
    bind("hash", "sha256")
    reports = reported_names()
    text = [[name.split(b"\0")[0] for name in names] for names in reports]
    # The control: what was just bound is among them, with its type in its attribute.
    for name, kind in ((b"cbc(aes)", b"skcipher"), (b"gcm(aes)", b"aead"), (b"sha256", b"shash")):
        assert any(one[0] == name and kind in one[3:] for one in text), f"no report on {name!r}"
    provoked()
    for names, (algorithm, *_) in zip(reports, text, strict=True):
        for field in names:
            _, _, rest = field.partition(b"\0")
            assert len(field) == NAME
            assert not rest.strip(b"\0"), (
                f"CVE-2018-19854: report on {algorithm.decode()}: {rest.hex()} behind "
                f"{field[: -len(rest) - 1]!r}, expected zeros"
            )


def driver_of(name: str) -> str:
    """The preferred implementation of an algorithm that is loaded."""
    found: list[tuple[int, str]] = []
    for entry in Path("/proc/crypto").read_text().split("\n\n"):
        fields = {
            key.strip(): value.strip()
            for key, separator, value in (line.partition(":") for line in entry.splitlines())
            if separator
        }
        if fields.get("name") == name and fields.get("type") == "aead":
            found.append((int(fields["priority"]), fields["driver"]))
    assert found, f"/proc/crypto does not list {name}, which was just bound"
    return max(found)[1]


@pytest.mark.may_crash
@pytest.mark.regression(cve="CVE-2017-18075", fix="d76c68109f37", affected="2.6.34 to 4.14.12")
def test_pcrypt_instance_is_freed(bind: Bind, provoked: Provoked) -> None:
    """A pcrypt instance can be made and deleted: the pointer that is freed is the right one."""
    inner = "rfc4106(gcm(aes))"
    bind("aead", inner)
    # Looked up by the name that it will have: that of the implementation inside.
    name = f"pcrypt({driver_of(inner)})"
    number = crypto_user(CRYPTO_MSG_NEWALG, name=name, driver=name)
    if number:
        af_alg.failed("no pcrypt instance could be made", OSError(number, "")).skip()
    instances = [
        line.partition(": ")[2]
        for line in Path("/proc/crypto").read_text().splitlines()
        if line.startswith("driver") and "pcrypt(" in line
    ]
    assert instances, "a pcrypt instance was made, but /proc/crypto lists none"
    provoked()
    for driver in instances:
        number = crypto_user(CRYPTO_MSG_DELALG, driver=driver)
        assert number == 0, f"CVE-2017-18075: deleting {driver}: errno {number}, expected success"
    assert "pcrypt(" not in Path("/proc/crypto").read_text(), "the instance is still listed"


# What was a choice, not a hole


def test_software_only(record_fact: RecordFact, bind: Bind) -> None:
    """Are only software implementations offered? (7524070f26d8, 7.2; a fact, not judged)

    Since then the mask of every lookup asks for algorithms that are not driver-only, so
    that asking for driver-only ones of sha1 finds the software's; before, it found none.
    """
    try:
        bind("hash", "sha1")
    except pytest.skip.Exception as skipped:
        why = reason_of(skipped)
        record_fact("software_only", state="unreachable", evidence=str(skipped), reason=why)
        raise
    try:
        with af_alg.Transform("hash", "sha1", feature=0x1000, mask=0x1000):
            state, seen = "present", "accepted"
    except af_alg.NotOffered as refusal:
        state, seen = "absent", str(refusal)
    record_fact(
        "software_only",
        state=state,
        control="fired",
        evidence=f"sha1 with salg_feat = salg_mask = 0x1000: {seen}",
    )
