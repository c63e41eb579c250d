"""In which order the suite's tests look for a mutant: those first that are about its function."""

from __future__ import annotations

import functools
import re

from harness.locations import suite_dir

#: Suites that look at AF_ALG itself.
SUITES = ("zero_copy", "functional", "policy", "security", "differential")

#: Pattern of "KIND FILE:FUNCTION" -> files of tests that go first. The first that matches.
_FIRST: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"^zero_copy ",
        ("zero_copy/test_input.py", "zero_copy/test_algorithms.py", "zero_copy/test_shapes.py"),
    ),
    (r"^fault ", ("security/test_leaks.py",)),
    (r":alg_bind|alg_get_type|alg_do_release|register", ("functional/test_bind.py",)),
    (r":(rng|_rng|hash|skcipher|aead)_bind", ("functional/test_bind.py", "policy/test_level.py")),
    (
        r":alg_set|:key_data|:lookup_key|setkey",
        ("functional/test_setkey.py", "security/test_keys.py"),
    ),
    (r"check_key|nokey", ("functional/test_setkey.py", "functional/test_accept.py")),
    (r"accept|release_parent|destruct", ("functional/test_accept.py", "functional/test_hash.py")),
    (r":alg_create|af_alg_init|af_alg_exit", ("functional/test_socket.py",)),
    (r"cmsg", ("functional/test_cmsg.py", "functional/test_aead_stream.py")),
    (r"poll", ("functional/test_poll.py",)),
    (r"wait|wakeup", ("functional/test_concurrency.py", "functional/test_limits.py")),
    (r"restriction|capable", ("policy/test_level.py", "policy/test_allowlist.py")),
    (
        r" algif_hash.c",
        ("functional/test_hash.py", "functional/test_hash_stream.py", "functional/test_splice.py"),
    ),
    (r" algif_rng.c", ("functional/test_rng.py", "zero_copy/test_rng.py")),
    (r" algif_aead.c", ("functional/test_aead.py", "functional/test_aead_stream.py")),
    (
        r" algif_skcipher.c",
        ("functional/test_skcipher.py", "functional/test_skcipher_stream.py"),
    ),
    (
        r" af_alg.c",
        (
            "functional/test_skcipher_stream.py",
            "functional/test_aead_stream.py",
            "functional/test_limits.py",
            "zero_copy/test_output.py",
        ),
    ),
)
#: What goes on after them, by how much is found in how little time.
_THEN = (
    "functional/",
    "security/test_keys.py",
    "security/test_requests.py",
    "differential/",
    "zero_copy/test_output.py",
    "zero_copy/test_hash_input.py",
    "security/test_leaks.py",
    "zero_copy/",
    "security/",
)


@functools.cache
def _every_file() -> tuple[str, ...]:
    top = suite_dir()
    return tuple(
        str(path.relative_to(top))
        for suite in SUITES
        for path in sorted(top.glob(f"{suite}/test_*.py"))
    )


def order_for(kind: str, function: str) -> tuple[str, ...]:
    """The files of tests, for a mutant of ``kind`` in ``function`` ("af_alg.c:alg_bind")."""
    subject = f"{kind} {function}"
    first = next((files for pattern, files in _FIRST if re.search(pattern, subject)), ())
    places = (*first, *_THEN)

    def place(file: str) -> int:
        return next((at for at, start in enumerate(places) if file.startswith(start)), len(places))

    return tuple(sorted(_every_file(), key=place))
