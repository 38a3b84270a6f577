"""What is typed into forms: times of the reader's zone, and arguments as JSON."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from scheduling.admin.inputs import Arguments, LocalTime

SIX = datetime(2026, 3, 1, 18, tzinfo=UTC)


@pytest.mark.parametrize(
    "typed", ["2026-03-01T18:00", "2026-03-01T18:00:00.000Z", "2026-03-01T20:00+02:00", "2026-03-01 18:00"]
)
def test_a_time_is_what_the_script_sent_and_without_one_it_is_in_utc(typed):
    with timezone.override("Asia/Tokyo"):
        assert LocalTime().clean(typed) == SIX
        assert LocalTime().clean(typed).tzinfo is UTC


def test_no_time_is_none():
    assert LocalTime(required=False).clean("") is None


@pytest.mark.parametrize(
    "typed", ["tomorrow", "2026-13-01T00:00", "9999-12-31T23:59-05:00", "0001-01-01T00:00+05:00", "<b>"]
)
def test_what_is_no_time_is_refused(typed):
    with pytest.raises(ValidationError, match="valid date"):
        LocalTime().clean(typed)


def test_what_was_sent_is_given_back_in_utc_as_the_input_takes_it():
    field = LocalTime()
    for value in ("2026-03-01T20:00:00+02:00", SIX):
        assert field.widget.format_value(field.prepare_value(value)) == "2026-03-01T18:00"
    assert field.prepare_value("<b>") == "<b>"


@pytest.mark.parametrize(("typed", "given"), [("", {}), ("null", {}), ("{}", {}), ('{"n": 1}', {"n": 1})])
def test_arguments_are_a_json_object(typed, given):
    assert Arguments(required=False).clean(typed) == given


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("[1]", "JSON object"),
        ("3", "JSON object"),
        ("{", "valid JSON"),
        ("[" * 100_000, "too deeply"),
        ("x", "valid JSON"),
    ],
)
def test_other_arguments_are_refused(typed, words):
    with pytest.raises(ValidationError, match=words):
        Arguments(required=False).clean(typed)
