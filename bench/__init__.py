"""Measures what the project claims: ratios within one run, never bare seconds."""
