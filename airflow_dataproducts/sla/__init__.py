"""Promises, what was observed, and the clock: verdicts, incidents and error budgets as pure functions of them."""
