"""What a product's SQL says of itself, without understanding it: parameters, and the tables it names.

Quoted text, quoted names and comments are told apart from the rest, which is enough for both and needs no parser while
DAGs are being loaded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PARAMETERS = ("run_id", "run_date", "logical_date", "data_interval_start", "data_interval_end")
"""What SQL may ask for, with a dollar before it."""

_TOKENS = re.compile(
    r"""
      (?P<text>'(?:[^']|'')*')
    | (?P<quoted>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<name>"(?:[^"]|"")*")
    | \$(?P<parameter>[A-Za-z_]\w*)
    """,
    re.DOTALL | re.VERBOSE,
)
_FUNCTION = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
_WORDS = re.compile(r'"(?:[^"]|"")*"|\w+|[.,()]')
_OPENING = {"from", "join"}
_CLOSING = {
    "select",
    "where",
    "group",
    "having",
    "window",
    "qualify",
    "order",
    "limit",
    "offset",
    "union",
    "except",
    "intersect",
}


def is_function(transform: str) -> bool:
    """Whether a transform is no SQL, but ``package.module:function``."""
    return bool(_FUNCTION.match(transform.strip()))


def parameters(sql: str) -> list[str]:
    """The names of the parameters that a text asks for, in order."""
    return [match["parameter"] for match in _TOKENS.finditer(sql) if match["parameter"]]


def unknown_parameter(sql: str) -> str | None:
    """What is wrong with the first parameter that there is not; None where all are known."""
    for name in parameters(sql):
        if name not in PARAMETERS:
            return f"found the parameter ${name}, which there is not (allowed: {', '.join(f'${each}' for each in PARAMETERS)})"
    return None


def with_values(sql: str, value: Callable[[str], str]) -> str:
    """The text with its parameters replaced.

    Args:
        sql: the text.
        value: the SQL literal of a parameter.
    """
    return _TOKENS.sub(lambda match: value(match["parameter"]) if match["parameter"] else match[0], sql)


def tables_among(sql: str, names: Iterable[str]) -> list[str]:
    """Which of the names stand in SQL where tables do: after FROM, JOIN, or a comma between them."""
    plain = _TOKENS.sub(lambda match: match["name"] or " ", sql)
    found = {word.strip('"').lower() for word in _tables(_WORDS.findall(plain))}
    return [name for name in names if name.lower() in found]


def _tables(words: list[str]) -> Iterator[str]:
    """The words that name tables: those expected after FROM, with no dot behind them and no bracket."""
    among = [False]  # whether a comma separates tables, for each open bracket
    expected = False
    for word, following in zip(words, [*words[1:], ""], strict=False):
        low = word.lower()
        if word == "(":
            among.append(False)
        elif word == ")":
            among = among[:-1] or [False]
        elif low in _OPENING or (word == "," and among[-1]):
            among[-1] = expected = True
            continue
        elif low in _CLOSING:
            among[-1] = False
        elif expected and word not in {".", ","} and following not in {".", "("}:
            yield word
        expected = False
