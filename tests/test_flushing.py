"""The flush of these tests leaves what Django's leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db.models import AutoField, ForeignKey
from django.test import TransactionTestCase

from markets.models import Exchange
from scheduling import scheduler
from scheduling.models import Cron, Job, Pool
from tests import flushing
from tests.flushing import Flush
from tests.scheduling import work

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> dict[str, list[Any]]:
    """All that is there, but for ids and times."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        fields = [
            field.attname
            for field in model._meta.concrete_fields
            if model._meta.managed and not isinstance(field, AutoField | ForeignKey)
        ]
        if fields:
            there = model._base_manager.values_list(*fields)
            found[model._meta.label] = sorted(
                repr([each for each in row if not isinstance(each, datetime)]) for row in there
            )
    return found


@pytest.mark.parametrize("large", [flushing.LARGE, 0])
def test_it_leaves_what_djangos_leaves(monkeypatch, large):
    call_command("flush", verbosity=0, interactive=False, reset_sequences=False)
    wanted = rows()
    assert all(wanted[name] for name in ("scheduling.Cron", "scheduling.Pool", "auth.Permission", "markets.Exchange"))
    monkeypatch.setattr(flushing, "LARGE", large)
    flush = Flush()
    User.objects.create_user("somebody").groups.add(Group.objects.create(name="some"))
    scheduler.now(work.noop)
    Pool.objects.all().delete()
    Exchange.objects.update(title="Another")
    Cron.objects.update(paused=True)
    assert flush.after(TransactionTestCase("run"))
    assert not Job.objects.exists()
    flush.before()
    assert rows() == wanted


def test_what_is_declared_is_not_written_for_a_test_that_wants_nothing_of_it(monkeypatch):
    flush = Flush()
    assert flush.after(TransactionTestCase("run"))
    monkeypatch.setattr(Flush, "wanted", False)
    flush.before()
    assert not Cron.objects.exists()
    monkeypatch.setattr(Flush, "wanted", True)
    flush.before()
    assert Cron.objects.exists()


def test_permissions_that_a_test_has_changed_are_left_to_djangos():
    flush = Flush()
    Permission.objects.latest("pk").delete()
    assert not flush.after(TransactionTestCase("run"))
