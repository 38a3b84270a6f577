"""Parameters of a request, read as the exchanges read them."""

from urllib.parse import parse_qs

from markets.simulator.reply import Unusable

HIGHEST = 2**63


class Query:
    """The query string of a request. Whatever cannot be used raises Unusable."""

    def __init__(self, text: str, shift: int = 0) -> None:
        self.values = parse_qs(text, keep_blank_values=True)
        self.shift = shift

    def __contains__(self, name: str) -> bool:
        return bool(self.text(name))

    def text(self, name: str, default: str = "") -> str:
        """The last value that was given."""
        return self.values.get(name, [default])[-1]

    def several(self, name: str) -> list[str]:
        """All values, whether the name was repeated or they stand between commas."""
        return [part for value in self.values.get(name, []) for part in value.split(",") if part]

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise Unusable(f"parameter {name} is missing")
        return value

    def number(self, name: str, default: int, low: int = 0, high: int = HIGHEST) -> int:
        value = self.text(name)
        return whole(value, name, low, high) if value else default

    def word(self, name: str, *known: str) -> str:
        """One of these words, or "" where it was not sent."""
        value = self.text(name)
        if value and value not in known:
            raise Unusable(f"parameter {name} is not usable")
        return value

    def moved(self, first: int) -> int:
        """Where a page begins that should begin there: the first stays, those behind it may have moved."""
        return max(0, first + self.shift) if first else 0

    def boolean(self, name: str, default: bool) -> bool:
        return (self.word(name, "true", "false") or str(default).lower()) == "true"


def whole(value: str, name: str, low: int = 0, high: int = HIGHEST) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 20 and low <= int(value) <= high):
        raise Unusable(f"parameter {name} is not usable")
    return int(value)
