"""The whole product at work on one machine: ``python -m demo``."""
