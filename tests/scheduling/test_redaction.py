"""Secrets are taken out of all that is stored with a job, and of all that is shown of one."""

from __future__ import annotations

import doctest
import html
import io
import itertools
import json
import logging
import logging.config
import time
from urllib.parse import quote, quote_plus

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import override_settings
from django.urls import reverse
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from scheduling import Retry, action, context, crons, redaction, scheduler
from scheduling.cluster.errors import LONGEST_ERROR
from scheduling.conf import conf
from scheduling.models import Cron, State
from scheduling.redaction import MARK, redact, redact_json
from tests.scheduling import work

SECRET = "zk-41/Ünlock\\\"me'n0w&then"  # of all that URLs, JSON and repr() write otherwise


@pytest.fixture
def known(monkeypatch):
    """SECRET is in the environment."""
    monkeypatch.setenv("ACME_API_KEY", SECRET)
    redaction.forget()
    yield SECRET
    monkeypatch.undo()
    redaction.forget()


# By value


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        json.dumps({"x": SECRET}),
        json.dumps({"x": SECRET}, ensure_ascii=False),
        repr({"x": SECRET}),
        repr({"x": SECRET.replace("'", "")}).replace("men0w", "me\\'n0w"),
    ],
    ids=["plain", "URL", "whole URL", "form", "JSON", "unicode JSON", "repr", "repr in single quotes"],
)
def test_a_known_secret_is_removed_however_it_is_written(known, written):
    text = redact(f"answer: {written}.")
    assert "41" not in text and "lock" not in text and "then" not in text
    assert MARK in text


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SECRET_KEY_FALLBACKS", ["older-key-1", "older-key-2"], "older-key-2"),
        ("EMAIL_HOST_PASSWORD", "mailbox", "mailbox"),
        ("ACCESS_TOKEN_OF_ACME", "tok-en", "tok-en"),
        ("DB_PASS", "letmein!", "letmein!"),
        ("WEBHOOK_SECRETS", {"github": "from-github"}, "from-github"),
        ("WEBHOOK_SECRETS", "github=from-github,stripe=from-stripe", "from-stripe"),
        ("BROKERS", {"acme": [{"PASSWORD": "deep-in-there"}]}, "deep-in-there"),
        ("BROKER_URL", "amqp://user:rabbit-hole@host:5672/x", "rabbit-hole"),
        ("EMAIL_URL", "smtp://me:p%40ss%2Fword@host", "p@ss/word"),
        ("ALERT_URLS", ["slack://T0AAAAAAA/abcdefGHIJKLmnop"], "abcdefGHIJKLmnop"),
        ("ALERT_URLS", ["https://hooks.example.org/services/a1b2c3d4e5"], "a1b2c3d4e5"),
        ("STRIPE_KEY", "sk_live_51h8", "sk_live_51h8"),
        ("KALSHI_PRIVATE_KEY", "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA\n-----END KEY-----", "MIIEpAIBAAKCAQEA"),
    ],
    ids=itertools.count(),  # pytest puts the name of a test into the environment
)
def test_secrets_of_the_settings_are_known(name, value, secret):
    with override_settings(**{name: value}):
        assert redact(f"before {secret} after") == f"before {MARK} after"
    assert redact(f"before {secret} after") == f"before {secret} after"


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("DB_PASSWORD", "yes", "yes"),
        ("DB_PASSWORD", "admin", "admin"),
        ("DB_PASSWORD", "postgres", "postgres"),
        ("PASSWORD_HASHERS", ["django.contrib.auth.hashers.Argon2"], "django.contrib.auth.hashers.Argon2"),
        ("AUTH_PASSWORD_VALIDATORS", [{"NAME": "x", "OPTIONS": {"a": ["username"]}}], "username"),
        ("PASSWORD_RESET_TIMEOUT", 259200, "259200"),
        ("CSRF_COOKIE_NAME", "csrftoken", "csrftoken"),
        ("TOKEN_URL", "https://example.org/oauth", "https://example.org/oauth"),
        ("ALERT_URLS", ["https://hooks.example.org/services/a1b2c3d4e5"], "https://hooks.example.org/services/"),
        ("CACHE_KEY", "markets", "markets"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_secret_of_the_settings_stays(name, value, word):
    with override_settings(**{name: value}):
        assert redact(f"before {word} after") == f"before {word} after"


def test_the_longest_secret_is_removed_first():
    with override_settings(A_TOKEN="abcdef", B_TOKEN="abcdef-and-more"):
        assert redact("abcdef-and-more abcdef") == f"{MARK} {MARK}"


class Unreadable(list):
    def __iter__(self):
        raise RuntimeError("unreadable")


def test_a_setting_that_cannot_be_read_hides_no_other():
    with override_settings(A_TOKEN=Unreadable(), B_TOKEN="abcdef-and-more"):
        assert redact("abcdef-and-more") == MARK


LETTERS = st.characters(codec="utf-8", exclude_characters="[]")  # those of the mark itself


@given(
    secret=st.text(LETTERS, min_size=redaction.SHORTEST).map(str.strip).filter(redaction._is_worth_it),
    before=st.text(LETTERS),
    after=st.text(LETTERS),
    coded=st.sampled_from([str, quote, quote_plus, lambda text: json.dumps(text)[1:-1], lambda text: repr(text)[1:-1]]),
)
@hypothesis_settings(deadline=None)
def test_a_known_secret_never_survives(secret, before, after, coded):
    with override_settings(ACME_PASSWORD=secret):
        text = redact(before + coded(secret) + after)
        assert secret not in text and coded(secret) not in text


# By name


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password=hunter2, user=x", f"password={MARK}, user=x"),
        ("password=hunter2: refused", f"password={MARK}: refused"),
        ("DB_PASSWORD=a,b;c)d&e f", f"DB_PASSWORD={MARK} f"),
        ("--api-key=hunter2 --page=2", f"--api-key={MARK} --page=2"),
        ('{"api_key": "hunter2", "page": 2}', f'{{"api_key": "{MARK}", "page": 2}}'),
        ('{"apiKey":12345,"page":2}', f'{{"apiKey":{MARK},"page":2}}'),
        (r'{"body": "{\"password\": \"a\\\"b\", \"n\": 1}"}', rf'{{"body": "{{\"password\": \"{MARK}\", \"n\": 1}}"}}'),
        ("{'secret': 'it\\'s', 'x': 1}", f"{{'secret': '{MARK}', 'x': 1}}"),
        ("{'X-Api-Key': b'hunter2', 'n': 1}", f"{{'X-Api-Key': b'{MARK}', 'n': 1}}"),
        ("apikey: hunter2\nAccept: */*", f"apikey: {MARK}\nAccept: */*"),
        ("Authorization: Bearer hunter2\nAccept: */*", f"Authorization: {MARK}\nAccept: */*"),
        ("Cookie: a=b; c=d\nAccept: */*", f"Cookie: {MARK}\nAccept: */*"),
        ("[('Authorization', 'Basic aHVudGVyMg=='), ('n', '1')]", f"[('Authorization', '{MARK}'), ('n', '1')]"),
        ("it sent Bearer hunter2hunter2 there", f"it sent Bearer {MARK} there"),
        ("GET /x?token=hunter2&page=2", f"GET /x?token={MARK}&page=2"),
        ("GET /x?page=2&access_token=hunter2#top", f"GET /x?page=2&access_token={MARK}"),
        ("postgres://user:p@ss:word@host:5432/db", f"postgres://user:{MARK}@host:5432/db"),
        ("redis://:hunter2@host and more", f"redis://:{MARK}@host and more"),
        ("Config(password='hunter2', page=2)", f"Config(password='{MARK}', page=2)"),
        ('os.environ["DB_PASSWORD"] = "hunter2"', f'os.environ["DB_PASSWORD"] = "{MARK}"'),
        ('def f(password: str = "hunter2"):', f'def f(password: {MARK} = "{MARK}"):'),
        ("access token: hunter2, api key = hunter3", f"access token: {MARK}, api key = {MARK}"),
        ("credentials={'user': {'n': 'hunter2'}, 'o': 'hunter3'}\nx", f"credentials={MARK}\nx"),
        ("auth=('user', 'hunter2')", f"auth={MARK}"),
        ("password='hunter2 and no end\nnext line", f"password='{MARK}\nnext line"),
    ],
)  # fmt: skip
def test_what_stands_beside_the_name_of_a_secret_is_removed(text, left):
    assert redact(text) == left
    assert redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "it waits for a token; the token bucket is empty, tokens=60",
        "yes_token=71321045679252212 no_token: 5 {'yes_token': '7', \"no_token\": \"8\", 'quoteToken': '0x55d3'}",
        "token_id=5 yesTokenId=6 next_page_token=eyJ",
        "job.started job=12 attempt=1 key=sync-opinion job_key: abc name=markets.sync",
        "password=None, api_key: null, 'secret': '', token=False, secrets: 3 found",
        "http://host:8000/path?email=a@b.org and http://user@host:80/",
        "author=Ann, compass: north, monkey=1, secretary",
        "password_reset_timeout=259200, TOKEN_URL=https://example.org",
        "the bearer of bad news, a basic thing",
        "ValueError: invalid password",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


NAMES = [
    *("password", "passwd", "passphrase", "db_pass", "secret", "client_secret", "credentials", "token", "access-token"),
    *("apikey", "api_key", "x-api-key", "private_key", "authorization"),
]
SHAPES = [
    *("{name}={value}", "?{name}={value}&n=1", "{name}: {value} x", "a\n{name}:{value}\nb", '{name} = "{value}"'),
    *('{{"{name}": "{value}"}}', '{{\\"{name}\\":\\"{value}\\"}}', "{{'{name}': '{value}'}}", "('{name}', '{value}')"),
]


@given(
    name=st.sampled_from(NAMES).flatmap(
        lambda name: st.tuples(*(st.sampled_from([c, c.upper()]) for c in name)).map("".join)
    ),
    shape=st.sampled_from(SHAPES),
    value=st.text("abcdefXYZ0123456789-_.~+/=:,;@#$%^*!?|<>", min_size=4).filter(lambda value: value[0].isalnum()),
)
@hypothesis_settings(deadline=None)
def test_a_value_is_removed_whatever_the_case_of_its_name(name, shape, value):
    value = f"q{value}q"
    text = redact(shape.format(name=name, value=value))
    assert value not in text and value[2:] not in text and value[:-2] not in text
    assert name in text


MARKS = ["=", ":", " ", "\n", '"', "'", "\\", "&", ",", "[", "]", "(", "{", "://", "@", "-", "\0", "\ud800"]
FRAGMENTS = [*NAMES, *MARKS, MARK, "Bearer ", "é", "x", "7", "None"]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
@hypothesis_settings(deadline=None, max_examples=300)
def test_it_raises_nothing_and_once_is_enough(text):
    once = redact(text)
    assert "could not be searched" not in once
    assert redact(once) == once


@pytest.mark.parametrize(
    "fragment",
    ["a", "password", "password=", "password='", 'password=\\"', "password=a&", "\\", '"', "a=", "://a:b@", "://",
     "'password',", "bearer ", "secret ", "token-", "ACME", "\n", " "],
)  # fmt: skip
@pytest.mark.parametrize("start", ["", "password='"])
def test_a_megabyte_of_hostile_text_takes_no_long_time(known, fragment, start):
    text = start + fragment * ((1 << 20) // len(fragment))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 10  # it is well under 1 s; were it quadratic, it would be hours


def test_a_text_that_cannot_be_searched_is_not_let_through(monkeypatch):
    monkeypatch.setattr(redaction, "_by_name", lambda text: 1 / 0)
    assert redact("password=hunter2") == "[removed, as it could not be searched for secrets: ZeroDivisionError]"


def test_arguments_are_shown_without_secrets(known):
    shown = redact_json({"password": "x", "n": 5, "deep": [{"token": 12345, "note": f"is {SECRET}"}], "secret": None})
    assert shown == {"password": MARK, "n": 5, "deep": [{"token": MARK, "note": f"is {MARK}"}], "secret": None}
    assert redact_json({"credentials": {"user": "x"}, "yes_token": "71", "key": "k"}) == {
        "credentials": MARK,
        "yes_token": "71",
        "key": "k",
    }


def test_arguments_as_deep_as_can_be_are_shown():
    deep = value = []
    for _ in range(5_000):
        value.append([])
        value = value[0]
    assert MARK in repr(redact_json(deep))


def test_doctests():
    assert doctest.testmod(redaction).failed == 0


# Of a real job


@action(name="redaction.say")
def say() -> None:
    """Log, note and raise the key in the environment, and one that only its name gives away."""
    logger = logging.getLogger("tests.redaction")
    context.progress(1, 1, f"with {SECRET}")
    logger.info("sent %s", SECRET)
    logger.info("sent %s", {"api_key": "hunter2"})
    try:
        connect(password="hunter2")
    except ConnectionError:
        logger.exception("not connected")
        raise


def connect(password: str) -> None:
    raise ConnectionError(f"postgres://user:{password}@host refused {SECRET}")


@pytest.mark.django_db
@pytest.mark.parametrize("failures", [0, 1])
def test_nothing_that_is_stored_with_a_job_holds_a_secret(known, drain, failures):
    job = scheduler.now(say, retry=Retry(initial_backoff=0, max_failures=failures))
    drain()
    job.refresh_from_db()
    assert job.state == State.FAILED
    assert job.progress["note"] == f"with {MARK}"
    attempts = list(job.attempts.all())
    assert len(attempts) == failures + 1
    for attempt in attempts:
        assert f"sent {MARK}\n" in attempt.log
        assert f"sent {{'api_key': '{MARK}'}}\n" in attempt.log
        for text in (attempt.log, attempt.error):
            assert f'connect(password="{MARK}")' in text, "the line of source in the traceback"
            assert f"ConnectionError: postgres://user:{MARK}@host refused {MARK}" in text
    assert stored("ConnectionError") and not stored("then") and not stored("hunter2")


def stored(words: str) -> bool:
    """Whether they are in any column of any job or past attempt."""
    rows = []
    with connection.cursor() as cursor:
        for table in ("scheduling_job", "scheduling_pastattempt"):
            cursor.execute(f"SELECT * FROM {table}")
            rows += cursor.fetchall()
    return words in repr(rows)


@action(name="redaction.cut")
def cut(log_bytes: int) -> None:
    """Say what is cut in the midst of the secret wherever it is cut before it is searched."""
    context.progress(1, 1, "x" * 195 + SECRET)
    logging.getLogger("tests.redaction").info("%s%s", SECRET, "x" * (log_bytes - 5))
    raise ValueError(SECRET + "x" * (LONGEST_ERROR - 5))


@pytest.mark.django_db
def test_no_half_of_a_secret_is_left_by_a_cut(known, drain):
    job = scheduler.now(cut, {"log_bytes": conf().log_bytes})
    drain()
    job.refresh_from_db()
    assert job.progress["note"] == "x" * 195 + MARK[:5]
    assert job.log.startswith(MARK[-5:] + "x")
    assert job.error == MARK[-5:] + "x" * (LONGEST_ERROR - 5)


@pytest.mark.django_db
def test_what_is_wrong_with_a_cron_is_kept_without_secrets(known, advance, clock):
    crons.register("c", "* * * * *", work.noop)
    Cron.objects.update(timezone=SECRET)
    advance(60)
    assert MARK in crons.get("c").broken
    assert "lock" not in crons.get("c").broken


# On the console, and on pages


def test_the_console_shows_no_secret(known):
    line = logging.config.DictConfigurator(settings.LOGGING).configure_formatter(settings.LOGGING["formatters"]["line"])
    assert settings.LOGGING["handlers"]["console"]["formatter"] == "line"
    try:
        connect("hunter2")
    except ConnectionError as error:
        raised = (type(error), error, error.__traceback__)
    record = logging.LogRecord("scheduling", logging.ERROR, __file__, 1, "sent %s", (SECRET,), raised)
    text = line.format(record)
    assert f"ERROR   scheduling sent {MARK}\n" in text
    assert text.endswith(f"postgres://user:{MARK}@host refused {MARK}")
    assert record.args == (SECRET,), "other handlers are given the record as it was"


@pytest.mark.django_db
@pytest.mark.parametrize("command", ["show", "show as JSON", "list", "list as JSON"])
def test_commands_show_arguments_without_secrets(known, command):
    job = scheduler.now("redaction.login", {"password": "hunter2", "url": f"/{SECRET}"})
    assert scheduler.get(job.id).args == {"password": "hunter2", "url": f"/{SECRET}"}, "they are stored as they are"
    verb = ["show", str(job.id)] if command.startswith("show") else ["list"]
    out = io.StringIO()
    call_command("jobs", *verb, *(["--json"] if "JSON" in command else []), stdout=out, stderr=io.StringIO())
    assert f'"password": "{MARK}", "url": "/{MARK}"' in out.getvalue()


@action(name="redaction.login")
def login(password: str, url: str) -> None:
    """Takes a password."""


@pytest.mark.django_db
def test_pages_show_arguments_without_secrets(known, admin_client):
    job = scheduler.now(login, {"password": "hunter2", "url": f"/{SECRET}"})
    for page in (reverse("admin:scheduling_job_changelist"), reverse("admin:scheduling_job_change", args=[job.pk])):
        text = html.unescape(admin_client.get(page).content.decode())
        assert MARK in text
        assert "hunter2" not in text and "lock" not in text.replace("block", "").replace("clock", "")
