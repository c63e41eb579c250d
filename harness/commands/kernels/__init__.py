"""what kernels there are and what they are; fetch, build and keep them

examples:
  afalg-harness kernels list '6.12*'
  afalg-harness kernels show debian:7.3.4+deb13-amd64
  afalg-harness kernels map
  afalg-harness kernels cache list
"""

from __future__ import annotations

QUIET = "say less; see each"
VERBOSE = "say more; see each"
METAVAR = "WHAT"
SUBCOMMANDS = ("list", "show", "map", "fetch", "build", "cache")
