"""The suites of Debian's archive that have kernels, and the flavours of those."""

from __future__ import annotations

#: Suites of Debian's archive that have kernels of their own, oldest first.
SUITES = (
    "bookworm",
    "bookworm-backports",
    "bookworm-security",
    "trixie",
    "trixie-backports",
    "trixie-security",
    "forky",
    "sid",
    "experimental",
)
#: Names accepted for a flavour, and what releases of it end in.
FLAVOURS = {
    "amd64": "amd64",
    "cloud": "cloud-amd64",
    "cloud-amd64": "cloud-amd64",
    "rt": "rt-amd64",
    "rt-amd64": "rt-amd64",
}
