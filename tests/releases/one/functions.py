from django.contrib.auth.models import Group

from scheduling import action, mutation


@mutation
def note(name: str) -> str:
    """In both releases: each call leaves one row, or the job has failed."""
    Group.objects.create(name=name)
    return "one"


@mutation
def old(name: str) -> str:
    """Of this release only."""
    Group.objects.create(name=name)
    return "one"


@action
def tick() -> str:
    return "one"


@action
def price(amount: int) -> str:
    return "one"
