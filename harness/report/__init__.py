"""Verdicts and changes -> results.json and the reports made from it alone."""
