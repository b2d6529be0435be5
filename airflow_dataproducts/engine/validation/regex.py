r"""Python's regular expressions in RE2's words, where RE2 can say exactly the same.

A contract's pattern means what Python's ``re.search`` finds. DuckDB searches with RE2, which is fast but reads some
patterns differently: ``\d`` and ``\w`` are ASCII there, ``$`` forgives no final newline, and look-arounds and
back-references do not exist. A pattern is therefore parsed by Python and written down again for RE2. What has no exact
equivalent returns None and is searched by Python itself, value by value: slower, and right.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Python's own parser: the only exact reading of its patterns. Private since 3.11, unchanged in shape since 3.7.
_parser: Any = re._parser  # type: ignore[attr-defined]  # noqa: SLF001
_CODES: Any = re._constants  # type: ignore[attr-defined]  # noqa: SLF001

_MOST_REPEATS = 1000  # RE2's limit
_SPACES = r"\t-\r\x{1c}- \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
_UNICODE = {"digit": r"\p{Nd}", "space": _SPACES, "word": r"\p{L}\p{N}_"}
_ASCII = {"digit": "0-9", "space": r"\t-\r ", "word": "0-9A-Za-z_"}


class _Inexpressible(Exception):  # noqa: N818 - not an error: the pattern goes to Python
    """RE2 has no exact equivalent."""


def to_re2(pattern: str) -> str | None:
    """An RE2 pattern that finds something exactly where Python's does; None where there is none.

    Args:
        pattern: one that ``re.compile`` takes.
    """
    try:
        parsed = _parser.parse(pattern)
        if parsed.state.flags & (re.IGNORECASE | re.LOCALE):
            return None  # the two fold letters differently
        return _Writer(parsed.state.flags).sequence(list(parsed), last=True)
    except (_Inexpressible, RecursionError):
        return None


class _Writer:
    """Writes a parsed pattern for RE2."""

    def __init__(self, flags: int) -> None:
        self._classes = _ASCII if flags & re.ASCII else _UNICODE
        self._multiline = bool(flags & re.MULTILINE)
        self._dot_all = bool(flags & re.DOTALL)

    def sequence(self, items: Sequence[tuple[Any, Any]], *, last: bool) -> str:
        """Items one after the other; ``last`` says that nothing follows them in the whole pattern."""
        end = len(items) - 1
        return "".join(self._item(code, value, last=last and index == end) for index, (code, value) in enumerate(items))

    def _item(self, code: Any, value: Any, *, last: bool) -> str:
        writers: dict[Any, Callable[[], str]] = {
            _CODES.LITERAL: lambda: _char(value),
            _CODES.NOT_LITERAL: lambda: f"[^{_char(value)}]",
            _CODES.ANY: lambda: r"(?s:.)" if self._dot_all else r"[^\n]",
            _CODES.IN: lambda: self._class(value),
            _CODES.BRANCH: lambda: self._branch(value, last=last),
            _CODES.SUBPATTERN: lambda: self._group(value, last=last),
            _CODES.MAX_REPEAT: lambda: self._repeat(value),
            _CODES.MIN_REPEAT: lambda: self._repeat(value),
            _CODES.AT: lambda: self._at(value, last=last),
        }
        writer = writers.get(code)
        if writer is None:
            raise _Inexpressible
        return writer()

    def _branch(self, value: Any, *, last: bool) -> str:
        return f"(?:{'|'.join(self.sequence(list(each), last=last) for each in value[1])})"

    def _group(self, value: Any, *, last: bool) -> str:
        _number, added, removed, inner = value
        if added or removed:
            raise _Inexpressible
        return f"(?:{self.sequence(list(inner), last=last)})"

    def _repeat(self, value: Any) -> str:
        low, high, inner = value
        most = None if high is _CODES.MAXREPEAT else int(high)
        if low > _MOST_REPEATS or (most or 0) > _MOST_REPEATS:
            raise _Inexpressible
        return f"(?:{self.sequence(list(inner), last=False)}){{{low},{'' if most is None else most}}}"

    def _at(self, value: Any, *, last: bool) -> str:
        if value is _CODES.AT_BEGINNING:
            return "(?m:^)" if self._multiline else r"\A"
        if value is _CODES.AT_BEGINNING_STRING:
            return r"\A"
        if value is _CODES.AT_END_STRING:
            return r"\z"
        if value is _CODES.AT_END and self._multiline:
            return "(?m:$)"
        if value is _CODES.AT_END and last:
            return r"\n?\z"  # reads the newline that Python only looks at: the same where nothing follows
        raise _Inexpressible

    def _class(self, items: Any) -> str:
        parts = []
        negated = items[0][0] is _CODES.NEGATE
        for code, value in items[1:] if negated else items:
            if code is _CODES.LITERAL:
                parts.append(_char(value))
            elif code is _CODES.RANGE:
                parts.append(f"{_char(value[0])}-{_char(value[1])}")
            elif code is _CODES.CATEGORY and len(items) == 1:
                return self._lone_category(value)
            elif code is _CODES.CATEGORY:
                parts.append(self._category(value))
            else:
                raise _Inexpressible
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def _lone_category(self, value: Any) -> str:
        name = str(value).lower()
        return f"[{'^' if '_not_' in name else ''}{self._classes[name.rpartition('_')[2]]}]"

    def _category(self, value: Any) -> str:
        name = str(value).lower()
        if "_not_" in name:
            raise _Inexpressible  # RE2 cannot nest a negated class in a class
        return self._classes[name.rpartition("_")[2]]


def _char(code: int) -> str:
    """A character as RE2 reads it anywhere."""
    character = chr(code)
    if 0xD800 <= code <= 0xDFFF:  # noqa: PLR2004 - surrogates, which no text holds
        raise _Inexpressible
    return character if character.isascii() and character.isalnum() else f"\\x{{{code:x}}}"
