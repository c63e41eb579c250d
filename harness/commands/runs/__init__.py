"""the store of runs: what is in it, in and out of it

Every run is stored at its end (run --no-store: not). Others are imported from
their directories; by its id a run is there once.

examples:
  afalg-harness runs list
  afalg-harness runs import runs/*
  afalg-harness runs show 56dc0977
"""

from __future__ import annotations

QUIET = "say less; see each"
VERBOSE = "say more; see each"
METAVAR = "WHAT"
SUBCOMMANDS = ("list", "show", "import", "export", "times", "prune")
