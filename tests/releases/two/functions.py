from django.contrib.auth.models import Group

from scheduling import action, mutation


@mutation
def note(name: str) -> str:
    """In both releases: each call leaves one row, or the job has failed."""
    Group.objects.create(name=name)
    return "two"


@mutation
def new(name: str) -> str:
    """Of this release only."""
    Group.objects.create(name=name)
    return "two"


@action
def tick() -> str:
    return "two"


@action
def tock() -> str:
    return "two"


@action
def price(amount: int, currency: str) -> str:
    return "two"
