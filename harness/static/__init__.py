"""What a kernel's code says without being run (``witness.py`` is the way in)."""
