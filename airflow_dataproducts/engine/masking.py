"""Showing values without telling them."""

from __future__ import annotations

import re
from typing import Any

_MOST = 40


def shape(value: Any) -> str:
    """What a value looks like, and nothing of what it is: ``bob@x.org`` is ``xxx@x.xxx``, ``12,5O`` is ``99,9x``."""
    if value is None:
        return "NULL"
    text = re.sub(r"[^\W\d_]", "x", re.sub(r"\d", "9", str(value)))
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def without_values(message: str) -> str:
    """An engine's message with every quoted value as its shape; what is quoted as a name in double quotes stays."""
    return re.sub(r"'([^']*)'", lambda match: f"'{shape(match.group(1))}'", message)
