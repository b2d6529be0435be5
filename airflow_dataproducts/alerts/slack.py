"""Messages as Slack's Block Kit. Texts from manifests and data are escaped, so that they ping nobody (Slack, Formatting text)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataproducts.alerts.messages import lines, title

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BLOCKS = 50
"""In a message (Slack, Block Kit reference)."""
MOST_TEXT = 3_000
"""Characters of a section's text."""
_MOST_FIELD = 2_000
_MOST_FIELDS = 10
"""In a section."""
_MOST_ROWS = 40
_SIGNS = {"critical": ":red_circle:", "high": ":large_orange_circle:", "medium": ":large_yellow_circle:", "low": ":white_circle:", "info": ":white_circle:"}  # fmt: skip


def escape(text: str) -> str:
    """A text that Slack shows as it is: no mentions, links or entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def message(told: Mapping[str, Any], links: Mapping[str, str], mention: str | None = None) -> dict[str, Any]:
    """A message's ``text`` and ``blocks``.

    Args:
        told: the payload.
        links: addresses by their labels.
        mention: whom to ping, in Slack's words (<@U123>, <!subteam^S123>); only the top-level text does that.
    """
    head = title(told)
    sign = (
        ":white_check_mark:"
        if told["kind"] == "resolved" or told.get("of") == "resolved"
        else _SIGNS.get(told.get("severity", "high"), "")
    )
    ping = f"{mention} " if mention and told["kind"] in {"opened", "escalated"} else ""
    blocks: list[dict[str, Any]] = [_section(f"{sign} *{_cut(escape(head), MOST_TEXT - 60)}*")]
    blocks += _facts(told)
    if links:
        blocks.append(_context(" · ".join(f"<{address}|{escape(label)}>" for label, address in links.items())))
    return {"text": _cut(f"{ping}{escape(head)}", MOST_TEXT), "blocks": blocks[:MOST_BLOCKS]}


def _facts(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    if told["kind"] == "resolved":
        return [_context(escape(f"{told['actual']}; it was broken since {told['since'] or told['opened_at']}"))]
    rows = lines(told)
    texts = [_cut(f"*{escape(label)}*\n{escape(text)}", _MOST_FIELD) for label, text in rows[:_MOST_ROWS]]
    shown = [_fields(texts[at : at + _MOST_FIELDS]) for at in range(0, len(texts), _MOST_FIELDS)]
    if len(rows) > _MOST_ROWS:
        shown.append(_context(f"and {len(rows) - _MOST_ROWS} more"))
    return shown


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": _cut(text, MOST_TEXT)}}


def _fields(texts: list[str]) -> dict[str, Any]:
    """Texts in two columns."""
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in texts]}


def _context(text: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": _cut(text, MOST_TEXT)}]}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
