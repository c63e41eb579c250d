"""show what the cache holds, and delete what is not needed

examples:
  afalg-harness kernels cache list
  afalg-harness kernels cache prune --older-than 30
"""

from __future__ import annotations

QUIET = "say less; see each"
VERBOSE = "say more; see each"
METAVAR = "ACTION"
SUBCOMMANDS = ("list", "prune")
