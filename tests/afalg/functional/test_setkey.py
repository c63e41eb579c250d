"""Options of the bound socket: alg_setsockopt() of crypto/af_alg.c.

Keys by serial number (ALG_SET_KEY_BY_KEY_SERIAL) came with 7984ceb134bf (6.2); before, the
option is ENOPROTOOPT. Without search permission the answer is EACCES, although
Documentation/crypto/userspace-if.rst promises EPERM.
"""

from __future__ import annotations

import errno
import hashlib
import struct
from typing import TYPE_CHECKING

import af_alg
import expect
import keyring
import libc
import pytest
import resources
from af_alg import DECRYPT, ENCRYPT, SOL_ALG
from samples import AAD, IV, KEY, NONCE, TEXT, cbc, encrypt, gcm, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Bind

OTHER_KEY = bytes(range(200, 216))


def set_key_by_serial(transform: af_alg.Transform, serial: int) -> None:
    """setsockopt(ALG_SET_KEY_BY_KEY_SERIAL)."""
    transform.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, struct.pack("=i", serial))


@pytest.fixture
def by_serial(bind: Bind) -> Iterator[af_alg.Transform]:
    """A keyed cbc(aes), and a kernel that takes keys by serial number."""
    transform = cbc(bind)
    try:
        set_key_by_serial(transform, 0)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            af_alg.failed("ALG_SET_KEY_BY_KEY_SERIAL", error).skip()
    yield transform


# ALG_SET_KEY


@pytest.mark.parametrize("kind, name", [("skcipher", "cbc(aes)"), ("aead", "gcm(aes)")])
def test_key_twice(kind: str, name: str, bind: Bind) -> None:
    """The last key counts, and one of another length changes the cipher."""
    transform = bind(kind, name)
    use = encrypt if kind == "skcipher" else seal
    seen = []
    for key in (KEY, OTHER_KEY, bytes(24), bytes(32), KEY):
        transform.set_key(key)
        seen.append(use(transform, TEXT))
    assert seen[0] == seen[-1]
    assert len(set(seen)) == 4, "two keys gave the same ciphertext"


def test_key_too_long(bind: Bind) -> None:
    """A key above net.core.optmem_max is ENOMEM, and the key in use stays."""
    transform = cbc(bind)
    before = encrypt(transform, TEXT)
    for length, number in ((1 << 20, errno.ENOMEM), (4096, errno.EINVAL)):
        with expect.refused(number, f"key of {length} bytes"):
            transform.set_key(bytes(length))
    transform.set_key(KEY)
    expect.same(before, encrypt(transform, TEXT), "encryption after refused keys")


def test_key_length_of_hmac(bind: Bind) -> None:
    """HMAC takes a key of any length, also one above its block."""
    transform = bind("hash", "hmac(sha256)")
    for length in (1, 64, 65, 1000):
        transform.set_key(bytes(length))
        with transform.request() as request:
            request.send(TEXT)
            seen = request.recv(32)
        block = hashlib.sha256(bytes(length)).digest() if length > 64 else bytes(length)
        block = block.ljust(64, b"\0")
        inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + TEXT).digest()
        expected = hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).digest()
        expect.same(expected, seen, f"HMAC with a key of {length} bytes")


def test_key_unreadable(bind: Bind) -> None:
    """A key that cannot be read is EFAULT, and the key in use stays."""
    transform = cbc(bind)
    before = encrypt(transform, TEXT)
    for option in (af_alg.ALG_SET_KEY,):
        for address in (1, None):
            with expect.refused(errno.EFAULT, f"option {option} at {address}"):
                libc.setsockopt(transform.sock.fileno(), SOL_ALG, option, address, 16)
    expect.same(before, encrypt(transform, TEXT), "encryption afterwards")


def test_setting_keys_leaks_nothing(bind: Bind) -> None:
    """Key after key, taken, refused or unreadable, uses up no memory of the socket."""
    with resources.option_memory(4096):
        transform = cbc(bind)
        for _ in range(60):
            transform.set_key(KEY)
            with expect.refused(errno.EINVAL, "key of 200 bytes"):
                transform.set_key(bytes(200))
            with expect.refused(errno.EFAULT, "key at 1"):
                libc.setsockopt(transform.sock.fileno(), SOL_ALG, af_alg.ALG_SET_KEY, 1, 200)
        transform.set_key(KEY)


def test_other_level(bind: Bind) -> None:
    """The options are of level SOL_ALG: of another one they are ENOPROTOOPT."""
    transform = cbc(bind)
    for level in (SOL_ALG - 1, SOL_ALG + 1, 0):
        with expect.refused(errno.ENOPROTOOPT, f"option 1 of level {level}"):
            transform.sock.setsockopt(level, af_alg.ALG_SET_KEY, KEY)
    transform.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY, KEY)


def test_option_of_another_type(bind: Bind) -> None:
    """Tag sizes are for AEADs and entropy for generators: elsewhere they are ENOPROTOOPT."""
    gcm(bind).set_authsize(16)
    for transform in (cbc(bind), bind("hash", "sha256")):
        with expect.refused(errno.ENOPROTOOPT, f"tag size of {transform.name}"):
            transform.set_authsize(16)
    for transform in (cbc(bind), bind("hash", "sha256"), gcm(bind)):
        with expect.refused(errno.ENOPROTOOPT, f"entropy for {transform.name}"):
            transform.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_DRBG_ENTROPY, bytes(16))


def test_control_messages_are_no_options(bind: Bind) -> None:
    """What control messages set (IV, operation, associated data) is no socket option."""
    transform = gcm(bind)
    for option in (af_alg.ALG_SET_IV, af_alg.ALG_SET_OP, af_alg.ALG_SET_AEAD_ASSOCLEN, 0, 8):
        with expect.refused(errno.ENOPROTOOPT, f"option {option}"):
            transform.sock.setsockopt(SOL_ALG, option, bytes(16))


# A key, and open requests


def test_every_option_with_open_request(bind: Bind) -> None:
    """Under an open keyed request every option is EBUSY, known or not."""
    transform = gcm(bind)
    expected = seal(transform, TEXT)
    with transform.request() as request:
        for option in (1, 5, 7, 99):
            with expect.refused(errno.EBUSY, f"option {option} with an open request"):
                transform.sock.setsockopt(SOL_ALG, option, bytes(16))
        request.send(TEXT, op=ENCRYPT, iv=NONCE, assoclen=0)
        expect.same(expected, request.recv(80), "encryption by the open request")
    with expect.refused(errno.ENOPROTOOPT, "option 99 without an open request"):
        transform.sock.setsockopt(SOL_ALG, 99, b"")
    transform.set_authsize(12)
    transform.set_key(OTHER_KEY)


@pytest.mark.parametrize("opened", [1, 2, 3])
def test_busy_until_the_last_closes(opened: int, bind: Bind) -> None:
    """With several open requests the key can be set only when the last is closed."""
    transform = cbc(bind)
    requests = [transform.request() for _ in range(opened)]
    for request in requests:
        with expect.refused(errno.EBUSY, "key with open requests"):
            transform.set_key(OTHER_KEY)
        with expect.refused(errno.EBUSY, "bind with open requests"):
            transform.sock.bind(("skcipher", "cbc(aes)"))
        request.close()
    transform.set_key(OTHER_KEY)
    transform.sock.bind(("skcipher", "cbc(aes)"))


KEYED = [("skcipher", "cbc(aes)"), ("aead", "gcm(aes)"), ("hash", "hmac(sha256)")]


def use(request: af_alg.Request, kind: str, more: bool = False) -> None:
    """Send one text to a request of a type."""
    if kind == "hash":
        request.send(TEXT, more=more)
    else:
        iv = IV if kind == "skcipher" else NONCE
        request.send(TEXT, op=ENCRYPT, iv=iv, assoclen=None if kind == "skcipher" else 0, more=more)


@pytest.mark.parametrize("kind, name", KEYED)
def test_keyless_request_closed(kind: str, name: str, bind: Bind) -> None:
    """A keyless request that was never used, or in vain, is no obstacle to a key, ever."""
    transform = bind(kind, name)
    transform.request().close()
    with transform.request() as request:
        with expect.refused(errno.ENOKEY, "send without a key"):
            use(request, kind)
        with expect.refused(errno.ENOKEY, "recv without a key"):
            request.recv(16)
        transform.set_key(KEY)
        transform.set_key(OTHER_KEY)
    transform.set_key(KEY)
    with transform.request(), expect.refused(errno.EBUSY, "key with a keyed request"):
        transform.set_key(KEY)
    transform.set_key(KEY)


@pytest.mark.parametrize("first", ["send", "recv"])
@pytest.mark.parametrize("kind, name", KEYED)
def test_keyless_request_keyed(kind: str, name: str, first: str, bind: Bind) -> None:
    """A keyless request takes up the key with its first call, and is keyed from then on."""
    keyed = bind(kind, name)
    keyed.set_key(KEY)
    with keyed.request() as request:
        use(request, kind)
        expected = request.recv(80)
    transform = bind(kind, name)
    request, other = transform.request(), transform.request()
    with expect.refused(errno.ENOKEY, "send without a key"):
        use(request, kind)
    transform.set_key(OTHER_KEY)
    transform.set_key(KEY)
    if first == "recv" and kind != "hash":
        with expect.refused(errno.EAGAIN, "recv before send"):
            request.recv(16)
    elif first == "recv":
        assert len(request.recv(32)) == 32
    for what in (request, request, other):
        use(what, kind)
        with expect.refused(errno.EBUSY, "key with a request that took it up"):
            transform.set_key(OTHER_KEY)
        expect.same(expected, what.recv(80), f"{name} by a request accepted without a key")
    other.close()
    with expect.refused(errno.EBUSY, "key with one request still open"):
        transform.set_key(OTHER_KEY)
    request.close()
    transform.set_key(OTHER_KEY)
    transform.set_key(KEY)
    with transform.request() as request:
        use(request, kind)
        expect.same(expected, request.recv(80), f"{name} by a new request")


@pytest.mark.parametrize("kind, name", KEYED)
def test_keyless_and_keyed_requests(kind: str, name: str, bind: Bind) -> None:
    """Of a keyless and a keyed request open together, the keyed one alone keeps the key."""
    transform = bind(kind, name)
    keyless = transform.request()
    transform.set_key(KEY)
    keyed = transform.request()
    with expect.refused(errno.EBUSY, "key with a keyed request"):
        transform.set_key(OTHER_KEY)
    keyed.close()
    transform.set_key(OTHER_KEY)
    keyless.close()
    transform.set_key(KEY)


@pytest.mark.parametrize("kind, name", KEYED)
def test_keyless_request_of_closed_socket(kind: str, name: str, bind: Bind) -> None:
    """A keyless request whose bound socket is closed stays keyless, and closes cleanly."""
    bind(kind, name).close()
    with resources.balanced(name):
        with af_alg.open_socket() as sock:
            sock.bind((kind, name))
            request = af_alg.Request(sock.accept()[0])
        with expect.refused(errno.ENOKEY, "send without a key"):
            use(request, kind)
        request.close()


# ALG_SET_AEAD_AUTHSIZE


def test_authsize_takes_effect(bind: Bind) -> None:
    """The tag is as long as was set, the last time, and a refused size changes nothing."""
    transform = gcm(bind)
    whole = seal(transform, TEXT, AAD)
    for size in (4, 8, 12, 13, 14, 15, 16):
        transform.set_authsize(size)
        for illegal in (0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 17, 1 << 20):
            with expect.refused(errno.EINVAL, f"tag of {illegal} bytes"):
                transform.set_authsize(illegal)
        with transform.request() as request:
            request.send(AAD + TEXT, op=ENCRYPT, iv=NONCE, assoclen=len(AAD))
            sealed = request.recv(200)
            expect.same(AAD + whole[: 64 + size], sealed, f"encryption with a tag of {size}")
            request.send(sealed, op=DECRYPT, iv=NONCE, assoclen=len(AAD))
            expect.same(AAD + TEXT, request.recv(200), f"decryption with a tag of {size}")


def test_authsize_survives_the_key(bind: Bind) -> None:
    """The tag size stays when a new key is set, and may be set before any key."""
    transform = bind("aead", "gcm(aes)")
    transform.set_authsize(8)
    transform.set_key(KEY)
    first = seal(transform, TEXT, tag=8)
    transform.set_key(OTHER_KEY)
    transform.set_key(KEY)
    expect.same(first, seal(transform, TEXT), "encryption")
    assert len(first) == 64 + 8
    transform.sock.bind(("aead", "gcm(aes)"))
    transform.set_key(KEY)
    assert len(seal(transform, TEXT)) == 64 + 16, "binding anew kept the tag size"


# ALG_SET_KEY_BY_KEY_SERIAL


@pytest.mark.parametrize("kind", ["user", "logon"])
def test_serial(kind: str, by_serial: af_alg.Transform) -> None:
    """A key of type user or logon, given by its serial number, is the key."""
    by_serial.set_key(OTHER_KEY)
    expected = encrypt(by_serial, TEXT)
    by_serial.set_key(KEY)
    assert encrypt(by_serial, TEXT) != expected
    key = keyring.add(kind, f"afalg:{kind}", OTHER_KEY)
    set_key_by_serial(by_serial, key)
    keyring.unlink(key)
    expect.same(expected, encrypt(by_serial, TEXT), f"encryption with a {kind} key")


def test_serial_of_encrypted_key(by_serial: af_alg.Transform, bind: Bind) -> None:
    """A key of type encrypted serves with its decrypted payload.

    What that is: security/keys/encrypted-keys/encrypted.c encrypts it with AES-256 in CBC
    mode under SHA-256 of "ENC_KEY", the master key and zero bytes up to the length that
    "AUTH_KEY" would give; reading gives IV, a zero byte, ciphertext and HMAC.
    """
    master = bytes(range(32))
    keyring.add("user", "afalg-master", master)
    try:
        key = keyring.add("encrypted", "afalg-encrypted", b"new default user:afalg-master 32")
    except OSError as error:
        af_alg.failed("add_key(encrypted)", error).skip()
    *_, blob = keyring.read(key).rstrip(b"\0").split()
    iv, ciphertext = bytes.fromhex(blob[:32].decode()), bytes.fromhex(blob[34:98].decode())
    wrapping = bind("skcipher", "cbc(aes)")
    wrapping.set_key(hashlib.sha256(b"ENC_KEY\0" + master + b"\0").digest())
    with wrapping.request() as request:
        request.send(ciphertext, op=DECRYPT, iv=iv)
        wrapping_result = request.recv(32)
    by_serial.set_key(wrapping_result)
    expected = encrypt(by_serial, TEXT)
    by_serial.set_key(KEY)
    set_key_by_serial(by_serial, key)
    expect.same(expected, encrypt(by_serial, TEXT), "encryption with an encrypted key")


def test_serial_payload_length(by_serial: af_alg.Transform) -> None:
    """A payload that is no key of the algorithm is EINVAL, and the key in use stays."""
    before = encrypt(by_serial, TEXT)
    for length in (15, 17, 33):
        key = keyring.add("user", "afalg:length", bytes(length))
        with expect.refused(errno.EINVAL, f"key of {length} bytes by serial"):
            set_key_by_serial(by_serial, key)
    by_serial.set_key(KEY)
    expect.same(before, encrypt(by_serial, TEXT), "encryption afterwards")


def test_serial_length(by_serial: af_alg.Transform) -> None:
    """The serial number has four bytes: with any other length it is EINVAL."""
    key = struct.pack("=q", keyring.add("user", "afalg:serial", KEY))
    for length in (0, 1, 3, 5, 8):
        with expect.refused(errno.EINVAL, f"serial of {length} bytes"):
            by_serial.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, key[:length])
    by_serial.sock.setsockopt(SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, key[:4])


def test_serial_unreadable(by_serial: af_alg.Transform) -> None:
    """A serial number that cannot be read is EFAULT."""
    with expect.refused(errno.EFAULT, "serial at 1"):
        libc.setsockopt(by_serial.sock.fileno(), SOL_ALG, af_alg.ALG_SET_KEY_BY_KEY_SERIAL, 1, 4)


def test_serial_unknown(by_serial: af_alg.Transform) -> None:
    """A serial number of no key is ENOKEY."""
    key = keyring.add("user", "afalg:unknown", KEY)
    set_key_by_serial(by_serial, key)
    with expect.refused(errno.ENOKEY, "serial of no key"):
        set_key_by_serial(by_serial, key ^ 0x40000000)


def test_serial_of_keyring(by_serial: af_alg.Transform) -> None:
    """A keyring is no key: ENOPROTOOPT."""
    ring = keyring.add("keyring", "afalg:ring", b"")
    key = keyring.add("user", "afalg:in-ring", KEY, ring)
    set_key_by_serial(by_serial, key)
    with expect.refused(errno.ENOPROTOOPT, "serial of a keyring"):
        set_key_by_serial(by_serial, ring)


def test_serial_without_permission(by_serial: af_alg.Transform) -> None:
    """A key without search permission is EACCES (documented: EPERM)."""
    key = keyring.add("user", "afalg:permission", KEY)
    keyring.set_permissions(key, keyring.PERMIT_ALL)
    set_key_by_serial(by_serial, key)
    keyring.set_permissions(key, keyring.PERMIT_NO_SEARCH)
    with expect.refused(errno.EACCES, "serial of a key without search permission"):
        set_key_by_serial(by_serial, key)


def test_serial_revoked(by_serial: af_alg.Transform) -> None:
    """A revoked key is EKEYREVOKED."""
    key = keyring.add("user", "afalg:revoked", KEY)
    set_key_by_serial(by_serial, key)
    keyring.revoke(key)
    with expect.refused(errno.EKEYREVOKED, "serial of a revoked key"):
        set_key_by_serial(by_serial, key)


def test_serial_keys_a_keyless_request(by_serial: af_alg.Transform) -> None:
    """A keyless request works once its socket was keyed by serial number, which is then kept."""
    expected = encrypt(by_serial, TEXT)
    by_serial.sock.bind(("skcipher", "cbc(aes)"))
    key = keyring.add("user", "afalg:keyless", KEY)
    with by_serial.request() as request:
        with expect.refused(errno.ENOKEY, "send without a key"):
            request.send(TEXT, op=ENCRYPT, iv=IV)
        set_key_by_serial(by_serial, key)
        request.send(TEXT, op=ENCRYPT, iv=IV)
        expect.same(expected, request.recv(64), "encryption")
        with expect.refused(errno.EBUSY, "key by serial with an open request"):
            set_key_by_serial(by_serial, key)
    set_key_by_serial(by_serial, key)


def test_serial_leaks_nothing(by_serial: af_alg.Transform) -> None:
    """Keys by serial number, taken or refused, use up no memory and hold no key."""
    good = keyring.add("user", "afalg:good", KEY)
    bad = keyring.add("user", "afalg:bad", bytes(200))
    ring = keyring.add("keyring", "afalg:leak-ring", b"")
    before = {key: keyring.usage(key) for key in (good, bad, ring)}
    with resources.option_memory(4096):
        for _ in range(60):
            set_key_by_serial(by_serial, good)
            with expect.refused(errno.EINVAL, "key of 200 bytes by serial"):
                set_key_by_serial(by_serial, bad)
            with expect.refused(errno.ENOPROTOOPT, "keyring by serial"):
                set_key_by_serial(by_serial, ring)
        by_serial.set_key(KEY)
    after = {key: keyring.usage(key) for key in (good, bad, ring)}
    assert after == before, f"references to keys: expected {before}, saw {after}"


def test_serial_waits_for_nobody(by_serial: af_alg.Transform) -> None:
    """After each use of a key by serial number, refused or not, it can be revoked."""
    good = keyring.add("user", "afalg:lock", KEY)
    ring = keyring.add("keyring", "afalg:lock-ring", b"")
    set_key_by_serial(by_serial, good)
    keyring.revoke(good)  # takes the key's semaphore for writing
    with expect.refused(errno.ENOPROTOOPT, "keyring by serial"):
        set_key_by_serial(by_serial, ring)
    keyring.revoke(ring)
