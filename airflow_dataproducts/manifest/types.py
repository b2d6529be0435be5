"""The column types of a contract: one small language, its aliases, and its parser."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

PRIMITIVES = (
    "string", "integer", "bigint", "decimal", "float", "double", "boolean", "date", "time", "timestamp",
    "timestamptz", "uuid", "json", "binary",
)  # fmt: skip

ALIASES = {
    "varchar": "string", "text": "string", "char": "string", "str": "string",
    "int": "integer", "int32": "integer", "int4": "integer",
    "long": "bigint", "int64": "bigint", "int8": "bigint",
    "numeric": "decimal", "real": "float", "float32": "float", "float64": "double", "number": "double",
    "bool": "boolean", "datetime": "timestamp", "timestamp_ntz": "timestamp", "timestamp_tz": "timestamptz",
    "bytes": "binary", "object": "json", "jsonb": "json",
}  # fmt: skip
"""Spellings of other systems and ODCS's logical types, each read as one of ours."""

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*|\d+|[<>(),:])")
_MAX_PRECISION = 38


@dataclass(frozen=True, slots=True)
class DataType:
    """A column type.

    Attributes:
        name: one of ``PRIMITIVES``, ``array`` or ``struct``.
        length: greatest number of characters of a ``string``; None is unbounded.
        precision: digits in all of a ``decimal`` (1 to 38).
        scale: digits after the point of a ``decimal`` (0 to precision).
        item: the type of an ``array``'s items.
        fields: names and types of a ``struct``'s fields.
    """

    name: str
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    item: DataType | None = None
    fields: tuple[tuple[str, DataType], ...] = ()

    def __str__(self) -> str:
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.length is not None:
            return f"varchar({self.length})"
        if self.item is not None:
            return f"array<{self.item}>"
        if self.fields:
            return f"struct<{', '.join(f'{name}: {kind}' for name, kind in self.fields)}>"
        return self.name

    @property
    def is_numeric(self) -> bool:
        """Whether bounds of this type are numbers."""
        return self.name in {"integer", "bigint", "decimal", "float", "double"}

    @property
    def is_temporal(self) -> bool:
        """Whether bounds of this type are dates or times."""
        return self.name in {"date", "time", "timestamp", "timestamptz"}


def parse_type(value: Any) -> DataType:
    """Read a type such as ``decimal(12,2)``, ``varchar(20)`` or ``array<struct<sku: string, n: int>>``.

    Raises:
        ValueError: with what was found, the nearest type and the allowed ones.
    """
    if isinstance(value, DataType):
        return value
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}; a type is a word such as string or decimal(12,2)")  # noqa: TRY004
    parser = _Parser(value)
    kind = parser.type()
    parser.end()
    return kind


class _Parser:
    """Recursive descent over the tokens of one type."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _TOKEN.findall(text)
        if "".join(self._tokens) != re.sub(r"\s+", "", text):
            raise ValueError(f"found {text!r}; a type is a word such as string or decimal(12,2)")

    def type(self) -> DataType:
        word = self._next("a type").lower()
        name = ALIASES.get(word, word)
        if name == "array":
            self._expect("<")
            item = self.type()
            self._expect(">")
            return DataType("array", item=item)
        if name == "struct":
            return DataType("struct", fields=self._fields())
        if name not in PRIMITIVES:
            raise ValueError(_unknown(word))
        if name == "decimal":
            return self._decimal()
        if name == "string" and self._peek() == "(":
            return DataType("string", length=self._numbers(most=1)[0])
        return DataType(name)

    def end(self) -> None:
        if self._tokens:
            raise ValueError(f"found {self._text!r}; nothing may follow the type, but {self._tokens[0]!r} does")

    def _decimal(self) -> DataType:
        if self._peek() != "(":
            raise ValueError(
                f"found {self._text!r}; write the digits in all and after the point, such as decimal(12,2)"
            )
        numbers = self._numbers(most=2)
        precision, scale = (*numbers, 0)[:2]
        if not (1 <= precision <= _MAX_PRECISION and scale <= precision):
            raise ValueError(f"found {self._text!r}; decimal(p,s) needs 1 <= p <= {_MAX_PRECISION} and s <= p")
        return DataType("decimal", precision=precision, scale=scale)

    def _fields(self) -> tuple[tuple[str, DataType], ...]:
        self._expect("<")
        fields = []
        while True:
            name = self._next("a field's name")
            self._expect(":")
            fields.append((name, self.type()))
            if self._peek() != ",":
                break
            self._expect(",")
        self._expect(">")
        return tuple(fields)

    def _numbers(self, most: int) -> list[int]:
        self._expect("(")
        numbers = [self._number()]
        while self._peek() == "," and len(numbers) < most:
            self._expect(",")
            numbers.append(self._number())
        self._expect(")")
        return numbers

    def _number(self) -> int:
        token = self._next("a number")
        if not token.isdigit():
            raise ValueError(f"found {self._text!r}; {token!r} should be a number")
        return int(token)

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _next(self, wanted: str) -> str:
        if not self._tokens:
            raise ValueError(f"found {self._text!r}; it ends where {wanted} should stand")
        return str(self._tokens.pop(0))

    def _expect(self, token: str) -> None:
        found = self._next(f"{token!r}")
        if found != token:
            raise ValueError(f"found {self._text!r}; {token!r} should stand where {found!r} does")


def _unknown(word: str) -> str:
    names = (*PRIMITIVES, "array<...>", "struct<...>")
    near = difflib.get_close_matches(word, [*PRIMITIVES, *ALIASES, "array", "struct"], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"found the unknown type {word!r}{hint} (allowed: {', '.join(names)})"
