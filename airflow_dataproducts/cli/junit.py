"""A validation as JUnit's XML, which CI systems show as tests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from airflow_dataproducts.engine.validation.results import line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataproducts.engine.validation import Validation


def junit(name: str, found: Validation, skipped: Mapping[str, str]) -> str:
    """The XML of one test suite with a test per check.

    Args:
        name: the suite's.
        found: the validation; a check that only warns passes, with its words as the test's output.
        skipped: checks that could not be made, and why.
    """
    total = len(found.results) + len(skipped)
    counts = {"tests": total, "failures": len(found.failures), "errors": 0, "skipped": len(skipped)}
    attributes = {key: str(value) for key, value in counts.items()}
    root = ET.Element("testsuites", attributes)
    suite = ET.SubElement(root, "testsuite", {"name": name, **attributes})
    for each in found.results:
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": each.check})
        if each in found.failures:
            failure = ET.SubElement(case, "failure", {"type": each.severity, "message": line(each, found.rows)})
            failure.text = each.description
        elif not each.success:
            ET.SubElement(case, "system-out").text = line(each, found.rows)
    for check, reason in skipped.items():
        case = ET.SubElement(suite, "testcase", {"classname": name, "name": check})
        ET.SubElement(case, "skipped", {"message": reason})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
