"""What earlier runs say: a store of runs in a database, and what is asked of it.

``results.json`` stays the source: the store keeps it whole, with what lies beside it, and
beside that the outcomes, states and identities by which runs are searched. In short::

    from harness.history.store import Store, store_url
    from harness.history.importing import import_run
    from harness.history.lineage import lineage_of
    from harness.history import queries

    store = Store(store_url(None))      # $AFALG_STORE, else SQLite in XDG's data directory
    import_run(store, Path("runs/test"))        # as often as you like: by its id it is there once
    queries.runs(store)                         # newest first
    queries.results(store, release="6.12.96+deb13-amd64")   # of one kernel, newest first
    queries.latest_results(store)               # of each kernel the newest whole one, by version
    queries.last_good(store, lineage_of(spec, release), asked)   # None if there is none
    queries.facts(store, "zero_copy.*")         # states over kernels, from those newest results
    queries.run_result(store, run)              # a whole RunResult again, transcripts and all
    queries.line(store, "functional/test_hash.py::test_sha256")  # every outcome of one test

Nothing is written, created or migrated by a query, unless the store is of an earlier version.
Every fault is a ``StoreError`` (exit code 3, one line that names the store): one that is
damaged, that a later version wrote, that is no store of ours, that nobody answers for.

============== ================================================================
``store``      opening, creating, migrating; one writer at a time
``tables``     what the database holds (SQLAlchemy), ``migrations`` how it came to
``importing``  a run directory -> rows
``contents``   consoles, transcripts and the like: compressed, once for each content
``queries``    questions -> frozen values
``lineage``    which kernels follow upon each other
``selected``   what a run selected, and whether that covers what is asked for
``stability``  how steady a test is
``keeping``    what a run has to do with the store, which never breaks it
``last_good``  ``--baseline last-good``
``validation`` which kernels of a suite are new, and what each is held against
============== ================================================================
"""
