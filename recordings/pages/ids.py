"""Ids in addresses and forms."""

DIGITS = 18  # of an id that fits into the 64 bits of its column


def number(text: str) -> int | None:
    """The id that a text says; None where it says none."""
    return int(text[:DIGITS]) if text.isdecimal() else None
