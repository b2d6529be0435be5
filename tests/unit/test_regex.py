"""Patterns mean what Python's ``re.search`` finds, whoever searches."""

from __future__ import annotations

import re
import unicodedata

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_dataproducts.contract.formats import FORMATS
from airflow_dataproducts.engine.validation.regex import to_re2

TEXTS = [
    "",
    "a",
    "a\n",
    "\n",
    "ab",
    "AB",
    "٣",
    "é",
    "\u3000",
    "foo bar",
    "foo\nbar",
    "ORD-0000000001",
    "ORD-0000000001\n",
    "ß",
    "_",
    "x" * 50,
    "\x1c",
    "💥",
]


def found(pattern: str, texts: list[str]) -> list[bool]:
    with duckdb.connect(":memory:") as connection:
        connection.register("t", pa.table({"v": pa.array(texts, pa.string())}))
        rows = connection.execute("SELECT regexp_matches(v, ?) FROM t", [pattern]).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    "pattern",
    [r"^a$", "a$", r"^\w+$", r"\d", r"\s", r"^\S+\Z", r"^.$", "(?s)^.+$", "(?m)^bar$", "(?m)o$", "a|b$", "(a|b)$", "[^a-z]", r"[\w-]+", r"[^\d\s]", "(?a)\\d", "(?x) a  # comment", "a{2,}?", "x{50}", r"^[\]\-^]", "^$", r"\.", "(?:)", "(?i:a)b|c", *FORMATS.values()],
)  # fmt: skip
def test_re2_finds_what_python_finds(pattern: str) -> None:
    translated = to_re2(pattern)
    if translated is None:
        assert re.search(r"\(\?i|\(\?=", pattern), "only what RE2 cannot say goes to Python"
        return
    assert found(translated, TEXTS) == [bool(re.search(pattern, text)) for text in TEXTS]


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(?<!a)b", r"(a)\1", r"\bfoo", "(?i)x", r"[\W_]", "x{1001}", r"(a$)b", "(?>a)" if hasattr(re, "NOFLAG") else r"\b"])  # fmt: skip
def test_what_re2_cannot_say_is_left_to_python(pattern: str) -> None:
    assert to_re2(pattern) is None


@pytest.mark.parametrize("pattern", [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", ".", r"[\w.]"])
def test_every_character(pattern: str) -> None:
    """All of Unicode but what Python's own tables do not know yet."""
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    known = [each for each in characters if unicodedata.category(each) != "Cn"]
    wanted = [bool(re.search(pattern, each)) for each in known]
    assert found(to_re2(pattern) or "", known) == wanted


atoms = st.sampled_from(
    [r"\d", r"\w", r"\s", ".", "a", "b", "[ab]", "[^a]", r"[a-c\d]", "é", r"\.", "^", "$", r"\Z", r"\A", "\n"]
)
patterns = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        inner.map(lambda p: f"(?:{p})*"),
        inner.map(lambda p: f"({p})?"),
        inner.map(lambda p: f"(?:{p}){{1,3}}"),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(pattern=patterns, texts=st.lists(st.text(alphabet="abcé1٣ \n._", max_size=8), min_size=1, max_size=8))
def test_any_pattern(pattern: str, texts: list[str]) -> None:
    translated = to_re2(pattern)
    if translated is not None:
        assert found(translated, texts) == [bool(re.search(pattern, text)) for text in texts]
