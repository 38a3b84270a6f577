"""Takes secrets out of text before it is stored or shown, whatever wrote it.

By value: the secrets in the settings and in the environment of this process, in whatever form they are written.
By name: whatever stands beside a name like password, api_key or Authorization. The name stays.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from django.conf import settings
from django.core.signals import setting_changed

MARK = "[removed]"
SHORTEST = 6  # characters of a known secret: a shorter one, like "1" or "admin", would blot parts of ordinary words
LONG_LINE = 16  # characters: a line of a secret of many lines, as of a PEM key, is one by itself
LONG_NAME = 64  # characters: longer names are looked at anew each time, as what is remembered must stay small
ORDINARY = {"password", "passwd", "secret", "secrets", "api_key", "apikey", "postgres", "postgresql"}
"""Values that keep nobody out, and whose removal would make logs unreadable."""

_NAMES = r"""passw(?:or)?d | pass(?:phrase|code) | (?<![a-z])pass$ | [-_]pwd$ | secret | credential
    | (?:access|account|api|auth|encryption|master|private|shared|signing|subscription)[-_\ ]?key
    | (?:access|api|auth|bot|refresh|session)[-_\ ]?tokens"""
_IN_TEXT = re.compile(
    rf"(?xi) {_NAMES} | token[-_]?\d{{0,3}}$ | authori[sz]ation | cookie | sessionid | (?<![a-z])auth$"
)
_IN_SETTINGS = re.compile(rf"(?xi) {_NAMES} | token")
_MAY_HOLD = re.compile(r"(?i)_keys?$|dsn|webhook|alert")
"""Settings and variables of which those parts are taken that look like nothing else: ALERT_URLS, STRIPE_KEY."""
_NOT_ITSELF = re.compile(
    r"""(?xi) (?:^|[-_]) (?:yes|no|quote|base|next|page)[-_]?token$  # of a market, of a page: public
    | [-_](?:age|algorithm|at|class|dir|file|hasher|header|length|name|path|timeout|uri|url|validator)s?$"""
)

# A run without a bound is taken whole (++, *+) and never gone back over: no text makes these slow. Groups are taken
# whole by a look ahead: before Python 3.11.5 a possessive group matches wrongly.
_HINTS = ("pass", "pwd", "secret", "key", "token", "auth", "credential", "cookie", "sessionid", "://")
_KEY = re.compile(
    r"""(?x) (?<![\w-]) (?P<name> (?:(?i:access|api|private|secret)\ )? [\w-]++ )
    (?: [\\"'\])]*+ [\ \t]*+ (?: [:=] | != ) =*+ >? [\ \t]*+           # name=  "name":  ["name"] =  name =>
      | \\*+["'] [\ \t]*+ , [\ \t]*+ (?= [bBrRuU]{0,2} \\*+["'] ) )       # ("name", "value")"""
)
_QUOTED = re.compile(
    r"""(?xi) [bruf]{0,2} (?P<quote> \\*+["'] )
    (?= (?P<value> (?: [^\\"'\n]++ | (?!(?P=quote)) (?: \\++["']? | ["'] ) )* ) ) (?P=value)"""
)
"""Up to the quote that it began with, with as many backslashes before it: JSON may stand in JSON."""
_BARE = re.compile(
    r"""(?x) (?= (?P<bare>
        (?: \[removed\] | [^\s"'&,:;)}\]\[]++ | \[ | [,:;)}\]]++ (?=[^\s"'&,:;)}\]]) | & (?![\w.-]{1,40}=) )*
    ) ) (?P=bare)"""
)
"""Up to a space or quote; commas and brackets belong to it where it goes on right behind them."""
_LINE = re.compile(r"[^\r\n]*+")
_WHOLE_LINE = re.compile(r"(?i)authori[sz]ation|cookie")
_SAYS_NOTHING = re.compile(r"(?i)none|null|true|false|\d{1,3}|\[removed\]")
_IN_URL = re.compile(r"""(://[^\s/:@?#"'<>]*+:)([^\s/?#"'<>]+)(?=@)""")
_SCHEME = re.compile(r"(?i)\b((?:bearer|basic)[ \t]++)(?=[a-z._~+/=-]*+\d)[\w.~+/=-]{8,}+")
_PIECE = re.compile(r"[^/?&=:@#,;\s]+")
_HOST = re.compile(r"(?:[a-z\d-]+\.)+[a-z]{2,}|[\d.]+")


def redact(text: str) -> str:
    """The text with `[removed]` in the place of each secret; raises nothing, and takes time in line with its length.

    >>> redact("GET https://example.org/orders?token=b7c1&page=2: refused with {'api_key': 'b7c1'}")
    "GET https://example.org/orders?token=[removed]&page=2: refused with {'api_key': '[removed]'}"
    >>> redact("waits for a token, yes_token=7012, key=report-3")
    'waits for a token, yes_token=7012, key=report-3'
    """
    try:
        for value in _known(settings.configured):
            text = text.replace(value, MARK)
        lowered = text.lower()
        if "bearer" in lowered or "basic" in lowered:
            text = _SCHEME.sub(rf"\1{MARK}", text)
        return _by_name(text) if any(hint in lowered for hint in _HINTS) else text
    except Exception as error:
        return f"[removed, as it could not be searched for secrets: {type(error).__name__}]"


def redact_json(value: Any) -> Any:
    """The same of a JSON value, for people to see: what stands under the name of a secret, and within all texts."""
    try:
        if isinstance(value, Mapping):
            return {redact(str(name)): _member(str(name), inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [redact_json(inner) for inner in value]
        return redact(value) if isinstance(value, str) else value
    except RecursionError:  # what lies that deep is not shown
        return MARK


def _member(name: str, value: Any) -> Any:
    says_something = value not in (None, "", True, False)
    return MARK if says_something and is_secret_name(name) else redact_json(value)


def is_secret_name(name: str) -> bool:
    """Whether what stands beside this name in a text, or under it in an object, is taken to be a secret.

    >>> [name for name in ("apiKey", "db_password", "yes_token", "tokens", "key") if is_secret_name(name)]
    ['apiKey', 'db_password']
    """
    return _judged(name) if len(name) < LONG_NAME else _judged.__wrapped__(name)


@lru_cache(1024)
def _judged(name: str) -> bool:
    return bool(_IN_TEXT.search(name)) and not _NOT_ITSELF.search(name)


class RedactingFormatter(logging.Formatter):
    """Formats a record, with its traceback, and takes the secrets out of all of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return redact(super().format(record))


def forget(**_signal: Any) -> None:
    """Look for the values of secrets anew at the next text: settings, or the environment, have changed."""
    _known.cache_clear()


setting_changed.connect(forget)


def _by_name(text: str) -> str:
    text = _IN_URL.sub(rf"\1{MARK}", text)
    pieces: list[str] = []
    kept = end = 0
    for found in _KEY.finditer(text):
        # A value that has an = behind it was none: `password: str = "..."`
        goes_on = found.start() < end < found.end() and "=" in found[0]
        if not goes_on and (found.start() < end or not is_secret_name(found["name"])):
            continue
        start, stop = _value(text, found)
        if start < stop and not _SAYS_NOTHING.fullmatch(text, start, stop):
            pieces += text[kept:start], MARK
            kept = end = stop
    return "".join([*pieces, text[kept:]])


def _value(text: str, key: re.Match[str]) -> tuple[int, int]:
    """Where the value that stands behind a name begins and ends; of a header or a collection: its whole line."""
    quoted = _QUOTED.match(text, key.end())
    if quoted:
        return quoted.span("value")
    opened = text.startswith(("[", "(", "{"), key.end()) and not text.startswith(MARK, key.end())
    pattern = _LINE if opened or _WHOLE_LINE.search(key["name"]) else _BARE
    found = pattern.match(text, key.end())
    return found.span() if found else (0, 0)


@cache
def _known(configured: bool) -> tuple[str, ...]:
    """The secrets that this process knows, in all forms in which they are written, the longest first."""
    named = dict(os.environ).items()
    found: set[str] = set()
    for name, value in [*named, *(_settings() if configured else ())]:
        with suppress(Exception):  # whatever somebody has put into the settings
            found.update(secret.strip() for secret in _secrets(name, value))
    forms = {form for secret in found if _is_worth_it(secret) for form in _forms(secret)}
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _is_worth_it(secret: str) -> bool:
    return len(secret) >= SHORTEST and secret.lower() not in ORDINARY and secret not in MARK


def _settings() -> Iterator[tuple[str, Any]]:
    for name in filter(str.isupper, dir(settings)):
        with suppress(Exception):  # an empty SECRET_KEY
            yield name, getattr(settings, name)


def _secrets(name: str, value: Any) -> Iterator[str]:
    """The secrets in a setting or a variable; what lies in one of a secret's name is secret too."""
    secret = bool(_IN_SETTINGS.search(name)) and not _NOT_ITSELF.search(name)
    if isinstance(value, Mapping):
        for inner, one in value.items():
            yield from _secrets(name if secret or _MAY_HOLD.search(name) else str(inner), one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _secrets(name, one)
    elif isinstance(value, str):
        for found in _IN_URL.finditer(value):
            yield from (found[2], unquote(found[2]))
        if secret:
            yield from _parts(value)
        elif _MAY_HOLD.search(name):
            yield from filter(_looks_random, _PIECE.findall(value))


def _parts(value: str) -> Iterator[str]:
    """The value, and what it is made of: lines, and a list as the environment has it, `github=abc,stripe=def`."""
    yield value
    yield from (line for line in value.splitlines() if len(line) >= LONG_LINE)
    for part in value.split(","):
        yield from (part, part.partition("=")[2])


def _looks_random(piece: str) -> bool:
    """Whether it is no word and no host: 8 characters with a digit among them, or 16 with a capital letter."""
    mixed = any(map(str.isdigit, piece)) or (len(piece) >= 16 and piece != piece.lower())
    return len(piece) >= 8 and mixed and not _HOST.fullmatch(piece)


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as it stands in URLs, in JSON and in what repr() gives."""
    coded = {quote(secret, errors="replace"), quote(secret, safe="", errors="replace")}
    coded |= {quote_plus(secret, errors="replace"), repr(secret)[1:-1], repr('"' + secret)[2:-1]}
    return coded | {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
