"""A revision of a git tree: checked out, configured by fragments, compiled."""
