"""The tables of the store. Every change to them needs a migration (``migrations/versions``).

A run has results, one for each of its kernels; a result has outcomes of tests and states of
facts. Names of both are kept once, and so is every longer text.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData()
_DIGEST = String(64)

RUNS = Table(
    "runs",
    METADATA,
    Column("id", _DIGEST, primary_key=True),
    Column("started", String(32), nullable=False, index=True),  # UTC, ISO 8601
    Column("ended", String(32), nullable=False),  # "" if it never came to its end
    Column("exit_code", Integer, nullable=False),
    Column("command", Text, nullable=False),
    Column("harness", Text, nullable=False),
    Column("suite", _DIGEST, nullable=False),  # revision of the built-in suite
    #: Revisions of the user's suites, a line NAME=SHA-256 each.
    Column("own_suites", Text, nullable=False, server_default=""),
    Column("image", Text, nullable=False),  # key of the guest image
    Column("accel", String(16), nullable=False),
    Column("results", _DIGEST, ForeignKey("contents.sha256"), nullable=False),
    Column("source", _DIGEST, nullable=False),  # SHA-256 of results.json as it was imported
)

KERNELS = Table(
    "kernels",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("release", Text, nullable=False),
    Column("build_id", Text, nullable=False),  # each is "" where it is not known
    Column("package", Text, nullable=False),  # SHA-256 of the first one
    Column("git_commit", Text, nullable=False),
    Column("architecture", Text, nullable=False),
    Column("compiler", Text, nullable=False),
    UniqueConstraint("release", "build_id", "package", "git_commit"),
)

RESULTS = Table(
    "results",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("run", _DIGEST, ForeignKey("runs.id"), nullable=False),
    Column("place", Integer, nullable=False),  # in its run, from 0
    Column("kernel", Integer, ForeignKey("kernels.id"), index=True),  # NULL while unknown
    Column("role", String(16), nullable=False),
    Column("spec", Text, nullable=False),
    Column("exact", Text, nullable=False),  # a spec that goes on naming this very kernel
    Column("lineage", Text, nullable=False, index=True),
    Column("append", Text, nullable=False),  # kernel arguments, as a shell takes them
    Column("suites", Text, nullable=False),  # what was selected, a line each; "" is everything
    Column("status", String(16), nullable=False),
    Column("ok", Boolean, nullable=False),  # by its verdict
    Column("good", Boolean, nullable=False),  # ok, whole, and nothing lost against a baseline
    Column("unknown", Boolean, nullable=False),
    Column("lost", Integer, nullable=False),  # what it lost against its run's baseline
    Column("planned", Integer, nullable=False),
    Column("passed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("skipped", Integer, nullable=False),
    Column("seconds", Float),  # wall time of all its boots
    Column("reason", Text, nullable=False),  # the first one why it is not ok
    UniqueConstraint("run", "place"),
)

NAMES = Table(
    "names",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sha256", _DIGEST, nullable=False, unique=True),
    Column("text", Text, nullable=False),
)

#: In the order of its key, so that all of one test lies together.
OUTCOMES = Table(
    "outcomes",
    METADATA,
    Column("name", Integer, ForeignKey("names.id"), primary_key=True),
    Column("result", Integer, ForeignKey("results.id"), primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("boots", Integer, nullable=False),  # in which it ran
    Column("passes", Integer, nullable=False),  # of those
    Column("message", Integer, ForeignKey("messages.id")),  # unless it passed
    sqlite_with_rowid=False,
)

FACTS = Table(
    "facts",
    METADATA,
    Column("name", Integer, ForeignKey("names.id"), primary_key=True),
    Column("result", Integer, ForeignKey("results.id"), primary_key=True),
    Column("state", String(16), nullable=False),  # as told, after all witnesses
    Column("code", String(32), nullable=False),  # word of the kernel's code; "" if not asked
    Column("value", Text, nullable=False),
    Column("message", Integer, ForeignKey("messages.id")),  # why, where it is not plain
    sqlite_with_rowid=False,
)

CONTENTS = Table(
    "contents",
    METADATA,
    Column("sha256", _DIGEST, primary_key=True),  # of what it is once unpacked
    Column("size", Integer, nullable=False),  # bytes, once unpacked
    Column("data", LargeBinary, nullable=False),  # xz
)

#: What lay beside results.json, and transcripts that were in it (``#transcripts/PLACE``).
FILES = Table(
    "files",
    METADATA,
    Column("run", _DIGEST, ForeignKey("runs.id"), primary_key=True),
    Column("path", String(512), primary_key=True),
    Column("content", _DIGEST, ForeignKey("contents.sha256"), nullable=False, index=True),
)
