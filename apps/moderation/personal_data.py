"""Personal data in a text: e-mail addresses, phone numbers, card numbers, IBANs and IP addresses. Pure.

An expression finds what looks like one, and a check says how much of it is one: a card number by its check digit, an
IBAN by its country's length and its check digits. It does not find names or postal addresses.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address

import regex


class DataKind(StrEnum):
    """What a rule may look for."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    IP = "ip"


@dataclass(frozen=True, slots=True)
class Detector:
    """`check`: how many characters of a candidate are what is looked for, from its beginning; 0 for none."""

    candidates: "regex.Pattern[str]"
    check: Callable[[str], int]

    def spans(self, text: str, start: int, end: int, *, timeout_s: float) -> Iterator[tuple[int, int]]:
        """Raises: TimeoutError."""
        found = self.candidates.finditer(text, start, end, overlapped=True, concurrent=True, timeout=timeout_s)
        free_from = start
        for match in found:
            # Overlapped: what begins inside something that is none may be one. What begins inside one is a part of it.
            if match.start() >= free_from and (n_chars := self.check(match[0])) and not _is_in_id(text, match.start()):
                free_from = match.start() + n_chars
                yield match.start(), free_from


_ID_CHARS = 36
_ID = regex.compile(r"(?<!\w)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?!\w)", regex.ASCII | regex.IGNORECASE)
"""A UUID, as of an image in a message: some of its digits may look like a phone number."""


def _is_in_id(text: str, place: int) -> bool:
    around = _ID.finditer(text, max(0, place - _ID_CHARS + 1), place + _ID_CHARS)
    return any(found.start() <= place for found in around)


MIN_CARD_DIGITS = 13
CARD_ISSUERS = "23456"
"""The first digits of cards for payments. Source: ISO/IEC 7812-1, major industry identifiers."""

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip
"""Source: SWIFT, "IBAN Registry", release 99."""

_GAP = r"[ \u00a0\u202f-]?"
_EMAIL = r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}\p{L}{2,63}(?![\w-])"
_CARD = rf"(?<!\d)(?<!\d[.,])[{CARD_ISSUERS}](?:{_GAP}\d){{12,18}}(?!\d)"
_IBAN = rf"(?<!\w)[A-Z]{{2}}\d\d(?:{_GAP}[A-Z0-9]){{11,30}}"
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_IPV6 = rf"(?:[0-9a-f]{{0,4}}:){{2,7}}(?:{_IPV4}|[0-9a-f]{{1,4}})?"
_IP = rf"(?<![\w.:])(?:{_IPV4}(?!\w|\.\d)|{_IPV6}(?![\w:]|\.\d))"
_PHONE = (
    # With the country; or an area and a gap, as in North America; or an area that begins with 0.
    r"(?<![\w+])(?:(?:\+|00)[1-9](?:[ ()./\u00a0-]{0,2}\d){7,13}"
    r"|(?<!\d[ -])\(?[2-9]\d\d\)?[ .-]{1,2}[2-9]\d\d[ .-]\d{4}"
    r"|(?<!\d[ -])\(?0[1-9]\d{0,4}\)?(?:[ /.-]?\d){6,9})(?!\d|[.,]\d)"
)
_DATE = regex.compile(r"\d\d?([-/.])\d\d?\1(?:19|20)\d\d(?!\d)")


def has_luhn_digit(digits: str) -> bool:
    """Whether the last digit checks the others. Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 * (doubled > 9)
    return total % 10 == 0


def has_iban_digits(iban: str) -> bool:
    """Whether the third and fourth character check the others. Source: ISO 13616; ISO/IEC 7064, MOD 97-10."""
    return int("".join(str(int(character, 36)) for character in iban[4:] + iban[:4])) % 97 == 1


def _card(candidate: str) -> int:
    """The longest card number at the beginning that ends where a group of digits does."""
    for n_chars in range(len(candidate), MIN_CARD_DIGITS - 1, -1):
        is_end = candidate[n_chars - 1].isdecimal() and not candidate[n_chars : n_chars + 1].isdecimal()
        digits = "".join(filter(str.isdecimal, candidate[:n_chars]))
        if is_end and len(digits) >= MIN_CARD_DIGITS and has_luhn_digit(digits):
            return n_chars
    return 0


def _iban(candidate: str) -> int:
    """As many characters as the country's have, and no half of a longer word."""
    length, read = IBAN_LENGTHS.get(candidate[:2].upper(), 0), ""
    for n_chars, character in enumerate(candidate, 1):
        read += character.upper() if character.isalnum() else ""
        if len(read) == length:
            goes_on = candidate[n_chars : n_chars + 1].isalnum()
            return n_chars if not goes_on and has_iban_digits(read) else 0
    return 0


def _phone(candidate: str) -> int:
    return 0 if _DATE.match(candidate) else len(candidate)


def _ip(candidate: str) -> int:
    try:
        address = ip_address(candidate)
    except ValueError:
        return 0
    # Addresses that are given to somebody begin with four digits; "a::b" and "::" stand in programs. And the machine
    # itself is nobody.
    begins = candidate.find(":")
    is_given = begins == 4 or "." in candidate
    return len(candidate) if is_given and not address.is_loopback else 0


DETECTORS = {
    DataKind.EMAIL: Detector(regex.compile(_EMAIL, regex.VERSION1), len),
    DataKind.PHONE: Detector(regex.compile(_PHONE, regex.VERSION1 | regex.ASCII), _phone),
    DataKind.CARD: Detector(regex.compile(_CARD, regex.VERSION1 | regex.ASCII), _card),
    DataKind.IBAN: Detector(regex.compile(_IBAN, regex.VERSION1 | regex.ASCII | regex.IGNORECASE), _iban),
    DataKind.IP: Detector(regex.compile(_IP, regex.VERSION1 | regex.ASCII | regex.IGNORECASE), _ip),
}
