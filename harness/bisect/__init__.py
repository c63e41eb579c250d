"""Finds the first kernel, or the first commit, where an observation changed."""
