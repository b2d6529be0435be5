"""A notifier of a team's own."""

from __future__ import annotations

from typing import Any

heard: list[dict[str, Any]] = []


class OwnNotifier:
    """Keeps what it is told."""

    def notify(self, context: dict[str, Any]) -> None:
        """As Airflow's notifiers do."""
        if context["incident"]["product"] == "test.broken":
            raise RuntimeError("a secret inside")
        heard.append(context)
