"""`manage.py check` refuses settings that would not do what they seem to."""

from __future__ import annotations

import pytest

from scheduling.checks import check_settings


def ids():
    return [message.id for message in check_settings()]


def test_the_project_passes():
    assert ids() == []


@pytest.mark.parametrize("declared", [{"host_dead_aftr": 3}, {"host_dead_after": 0}, {"log_bytes": "many"}])
def test_own_settings_are_checked_by_name_and_value(settings, declared):
    settings.SCHEDULING = declared
    assert ids() == ["scheduling.E001"]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"broker_class": None}, "scheduling.E002"),
        ({"scheduler": True}, "scheduling.E002"),
        ({"ack_failures": False}, "scheduling.E003"),
    ],
)
def test_django_q2s_settings_are_checked(settings, changes, found):
    settings.Q_CLUSTER = settings.Q_CLUSTER | changes
    assert ids() == [found]


def test_an_unknown_database_is_named(settings):
    settings.SCHEDULING = {"database": "elsewhere"}
    assert ids() == ["scheduling.E005"]
