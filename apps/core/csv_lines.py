"""Lines of CSV that no spreadsheet takes for formulas. Pure."""

import csv
import io
from collections.abc import Iterable


def csv_line(values: Iterable[object]) -> str:
    """A text that begins as a formula does is made plain. Source: OWASP, "CSV Injection"."""
    line = io.StringIO()
    csv.writer(line).writerow([_harmless(value) for value in values])
    return line.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
