"""Draws docs/images/slack.png: the message of the snapshot test as Slack would show it. ``python -m docs.picture``; needs Chromium."""

from __future__ import annotations

import html
import json
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
_PAGE = """<!doctype html><meta charset="utf-8"><style>
body{{font:15px/1.46 Lato,'Segoe UI',Helvetica,Arial,sans-serif;color:#1d1c1d;margin:16px 20px;width:640px;background:#fff}}
.who{{font-weight:900}} .app{{background:#eee;color:#616061;font-size:10px;font-weight:700;padding:1px 4px;border-radius:2px;margin:0 4px}}
.time{{color:#616061;font-size:12px}} .section{{margin:6px 0}} .fields{{display:grid;grid-template-columns:1fr 1fr;gap:8px 16px}} .dot{{display:inline-block;width:12px;height:12px;border-radius:6px}} .context{{color:#616061;font-size:12px;margin:8px 0}} a{{color:#1264a3}}
</style><div><span class="who">Data products</span><span class="app">APP</span><span class="time">12:00</span></div>{blocks}"""
_SIGNS = {":red_circle:": "#e01e5a", ":large_orange_circle:": "#e8912d", ":large_yellow_circle:": "#ecb22e", ":white_circle:": "#ddd", ":white_check_mark:": "#2eb67d"}  # fmt: skip


def main() -> None:
    """Draw it."""
    message = json.loads((ROOT / "tests/unit/snapshots/slack_opened.json").read_text())
    blocks = "".join(_block(block) for block in message["blocks"])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "message.html"
        page.write_text(_PAGE.format(blocks=blocks))
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=700,480",
                   "--disable-background-networking", f"--user-data-dir={folder}/user",
                   f"--screenshot={ROOT / 'docs/images/slack.png'}", page.as_uri()]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own page


def _block(block: dict[str, object]) -> str:
    if "fields" in block:
        cells = "".join(f"<div>{_shown(each['text'])}</div>" for each in block["fields"])  # type: ignore[attr-defined]
        return f'<div class="section fields">{cells}</div>'
    texts = [block["text"]] if "text" in block else block["elements"]
    shown = " ".join(_shown(each["text"]) for each in texts)  # type: ignore[attr-defined,index]
    return f'<div class="{block["type"]}">{shown}</div>'


def _shown(text: str) -> str:
    links = re.sub(r"<([^|>]+)\|([^>]+)>", "\x01\\1\x02\\2\x03", text)
    safe = html.escape(html.unescape(links), quote=False)
    linked = re.sub(r"\x01([^\x02]+)\x02([^\x03]+)\x03", r'<a href="\1">\2</a>', safe)
    bold = re.sub(r"\*([^*]+)\*", r"<b>\1</b>", linked).replace("\n", "<br>")
    for sign, colour in _SIGNS.items():
        bold = bold.replace(sign, f'<span class="dot" style="background:{colour}"></span>')
    return bold


if __name__ == "__main__":
    main()
