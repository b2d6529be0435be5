"""``format:`` as patterns, after the formats of JSON Schema (RFC 5321 without quoted names, 4122, 3986, 3339, 4291, 1123)."""

from __future__ import annotations

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_SHORT_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
_IPV4 = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_DATE = r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_OFFSET = r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
_H = "[0-9A-Fa-f]{1,4}"


def _ipv6() -> str:
    """Eight groups, or fewer around one ``::``; the last two may be written as IPv4."""
    whole = rf"(?:{_H}:){{7}}{_H}"
    ends = rf"(?:{_H}:){{1,7}}:"
    around = [rf"(?:{_H}:){{1,{left}}}(?::{_H}){{1,{7 - left}}}" for left in range(1, 7)]
    starts = rf":(?:(?::{_H}){{1,7}}|:)"
    heads = [rf"(?:{_H}:){{6}}", rf"::(?:{_H}:){{0,5}}"]
    heads += [rf"(?:{_H}:){{1,{left}}}:(?:{_H}:){{0,{5 - left}}}" for left in range(1, 6)]
    mixed = [f"(?:{'|'.join(heads)}){_IPV4}"]
    return "|".join([whole, ends, *around, starts, *mixed])


FORMATS = {
    "email": rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+\Z",
    "uuid": r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+\Z",
    "ipv4": rf"^{_IPV4}\Z",
    "ipv6": rf"^(?:{_ipv6()})\Z",
    "hostname": rf"^(?=.{{1,253}}\Z){_SHORT_LABEL}(?:\.{_SHORT_LABEL})*\Z",
    "date": rf"^{_DATE}\Z",
    "time": rf"^{_TIME}{_OFFSET}\Z",
    "date-time": rf"^{_DATE}[Tt ]{_TIME}{_OFFSET}\Z",
}
