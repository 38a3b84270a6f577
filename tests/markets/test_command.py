"""`manage.py sync_markets`, as a shell sees it."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from markets.models import Market

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS = ["exchange", "seen", "created", "updated", "unchanged", "rejected", "requests", "seconds"]


def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("sync_markets", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_json_twice(following):
    following(topics=60)
    first, second = (json.loads(run("--json")[0]) for _ in range(2))
    assert list(first) == list(second) == FIELDS
    assert first["created"] == first["seen"] == Market.objects.count()
    assert (second["created"], second["updated"], second["unchanged"]) == (0, 0, first["seen"])


def test_text_for_people_and_progress_beside_it(following):
    following(topics=40)
    out, err = run("--exchange", "opinion")
    assert out.startswith("opinion: ") and "2 requests" in out and out.count("\n") == 1
    assert "page 2, 40 of 40 topics" in err and "\x1b" not in out + err


def test_an_exchange_in_trouble_is_a_failure(following):
    following().fault("errno")
    with pytest.raises(CommandError, match="opinion: GET /market: refused") as caught:
        run("--json")
    assert caught.value.returncode == 1


def test_what_failed_prints_no_result(following):
    following().fault("down")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("sync_markets", "--json", stdout=out, stderr=io.StringIO())
    assert out.getvalue() == ""


def test_an_unknown_exchange_is_wrong_use():
    with pytest.raises(CommandError, match="nowhere") as caught:
        run("--exchange", "nowhere")
    assert caught.value.returncode == 2


def test_it_can_be_left_to_the_cluster(following):
    from scheduling import scheduler

    exchange = following()
    out, _ = run("--enqueue", "--exchange", "opinion")
    job = scheduler.get(int(out))
    assert (job.name, job.args, job.state) == ("markets.sync_markets", {"exchange": "opinion"}, "pending")
    assert exchange.requests == 0
