"""Checks of jobs: those that cannot begin whatever time passes, and those that went wrong unseen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from scheduling import functions, lanes, limits, pools
from scheduling.cluster import hosts
from scheduling.cluster.facts import MOST, MOST_WAITING, Facts, Waiting
from scheduling.cluster.findings import ERROR, WARNING, Finding
from scheduling.models import Cron, Job, Pause, Paused, State
from scheduling.options import NO_POOL
from scheduling.words import count, last_line, when

RECENT = timedelta(days=1)
SHOWN = 20  # findings of one kind
MIGRATE = "manage.py migrate"


def paused(facts: Facts) -> Iterator[Finding]:
    """Pauses in force, where work waits for their end."""
    for pause in facts.pauses:
        held = [waiting for waiting in facts.due if _holds(pause, waiting)]
        ticks = pause.kind == Paused.EVERYTHING and Cron.objects.active().exists()
        if held or ticks:
            reason = f" ({pause.reason})" if pause.reason else ""
            ends = f"ends by itself at {when(pause.until, facts.now)}; or now: " if pause.until else ""
            yield Finding(
                code="paused",
                severity=WARNING,
                what=f"paused since {when(pause.paused_at, facts.now)}{reason}; {_jobs(held)} due",
                where=str(pause),
                mend=ends + _resume(pause),
            )


def _holds(pause: Pause, waiting: Waiting) -> bool:
    held = {Paused.FUNCTION: waiting.name, Paused.POOL: lanes.pool_name(waiting.pool), Paused.EVERYTHING: ""}
    return held[Paused(pause.kind)] == pause.name


def _resume(pause: Pause) -> str:
    if pause.kind == Paused.POOL:
        return f"manage.py pools resume {pause.name}"
    return "manage.py jobs resume " + (f"--function {pause.name}" if pause.name else "--everything")


def pools_at_zero(facts: Facts) -> Iterator[Finding]:
    """Pools that let none begin, where work waits."""
    for name, held in _by_pool(facts.due).items():
        if name in facts.pools and not facts.pools[name].max_parallelism:
            yield Finding(
                code="pool_at_zero",
                severity=WARNING,
                what=f"it is set to 0, and {_jobs(held)} due",
                where=f"pool {name}",
                mend=f"manage.py pools set {name} --max N",
            )


def unknown_pools(facts: Facts) -> Iterator[Finding]:
    """Pools that jobs name and that do not exist."""
    for name, held in _by_pool(facts.waiting).items():
        if name not in facts.pools:
            yield Finding(
                code="unknown_pool",
                what=f"{_jobs(held)} in a pool that does not exist: none begins",
                where=f"pool {name}",
                mend=MIGRATE if pools.declares(name) else _define(f"pools.define({name!r}, max_parallelism=…)"),
            )


def unknown_limits(facts: Facts) -> Iterator[Finding]:
    """Rate limits that jobs name and that do not exist."""
    by_limit: dict[str, list[Waiting]] = {}
    for waiting in facts.waiting:
        if waiting.limit is not None:
            by_limit.setdefault(waiting.limit, []).append(waiting)
    for name, held in by_limit.items():
        if not limits.exists(name):
            yield Finding(
                code="unknown_limit",
                what=f"{_jobs(held)} wait for tokens of a limit that does not exist: none begins",
                where=f"rate limit {name}",
                mend=_define(f"limits.define({name!r}, …)"),
            )


def unknown_functions(facts: Facts) -> Iterator[Finding]:
    """Functions of jobs that no host knows."""
    here = functions.names()
    for name in sorted({waiting.name for waiting in facts.waiting} - set(facts.known)):
        held = [waiting for waiting in facts.waiting if waiting.name == name]
        deploy = f"deploy the code that has it and restart the hosts, or cancel: manage.py jobs cancel {held[0].id}"
        yield Finding(
            code="unknown_function",
            what=f"{_jobs(held)} of it, the first since {when(held[0].since, facts.now)}, and no live host knows it",
            where=f"function {name}",
            mend="restart the hosts, which run older code than this" if name in here else deploy,
        )


def unserved_pools(facts: Facts) -> Iterator[Finding]:
    """Pools that no live host serves, where work waits that some host would know."""
    seen: set[str] = set()
    for waiting in facts.due:
        knowing = [host for host in facts.living if hosts.knows(host, waiting.name)]
        pool = lanes.pool_name(waiting.pool)
        if knowing and pool not in seen and not any(hosts.serves(host, pool) for host in knowing):
            seen.add(pool)
            held = [other for other in facts.due if lanes.pool_name(other.pool) == pool]
            yield Finding(
                code="unserved_pool",
                what=f"{_jobs(held)} due, and no live host serves it",
                where=f"pool {pool}" if pool else "jobs without a pool",
                mend=f"start a host for it: manage.py qcluster --pools {pool or NO_POOL}, or one without --pools",
            )


def wrong_options(facts: Facts) -> Iterator[Finding]:
    """Functions whose own pool or rate limit does not exist: each call of them fails."""
    for function in map(functions.get, functions.names()):
        pool, limit = function.options.pool, function.options.rate_limit
        if pool and pool not in facts.pools and not pools.declares(pool):
            yield _wrong_option(function.name, f"pool {pool}", f"pools.define({pool!r}, max_parallelism=…)")
        if limit and not limits.exists(limit.name):
            yield _wrong_option(function.name, f"rate limit {limit.name}", f"limits.define({limit.name!r}, …)")


def _wrong_option(function: str, what: str, define: str) -> Finding:
    return Finding(
        code="wrong_option",
        what=f"its {what} does not exist: it cannot be scheduled",
        where=f"function {function}",
        mend=_define(define),
    )


def waiting_in_vain(facts: Facts) -> Iterator[Finding]:
    """Jobs that wait for one that has ended or is gone."""
    for id, name, waits_for in facts.in_vain[:SHOWN]:
        yield Finding(
            code="waiting_in_vain",
            what=f"{name} waits for job {waits_for}, which has ended or is gone",
            where=f"job {id}",
            mend="a running host lets it go within a minute; without one: manage.py qcluster",
        )


def crashing(facts: Facts) -> Iterator[Finding]:
    """Jobs that are to run again although they have ended a worker's process."""
    pending, running = Job.objects.pending(), Job.objects.running()
    looks = (pending.order_by("pk"), pending.order_by("-pk"), running.order_by("pk"))
    counts = (pair for look in looks for pair in look.values_list("pk", "crashes")[: MOST // 3])
    crashed = sorted({pk for pk, crashes in counts if crashes})[:SHOWN]
    for row in Job.objects.filter(pk__in=crashed).only("name", "crashes", "error").order_by("pk"):
        yield Finding(
            code="crashing",
            severity=WARNING,
            what=f"{row.name} has ended its worker's process {count(row.crashes, 'time')}: {last_line(row.error)}",
            where=f"job {row.pk}",
            mend=f"see manage.py jobs show {row.pk}; where it takes too much memory give it less to do; "
            f"or manage.py jobs cancel {row.pk}",
        )


def failed_on_complete(facts: Facts) -> Iterator[Finding]:
    """Mutations that were to be told of an end (on_complete), and failed within the last day."""
    newest = Job.objects.order_by("-pk").values_list("on_complete", flat=True)[:MOST]
    names = {name for name in newest if name}
    if not names:
        return
    failed = Job.objects.filter(state=State.FAILED).order_by("-pk").values_list("pk", "name", "finished_at")[:MOST]
    recent = [(pk, name, at) for pk, name, at in failed if name in names and at and at > facts.now - RECENT]
    for pk, name, at in recent[:SHOWN]:
        yield Finding(
            code="on_complete_failed",
            severity=ERROR,
            what=f"{name}, which is an on_complete, failed at {when(at, facts.now)}",
            where=f"job {pk}",
            mend=f"see manage.py jobs show {pk}; when it is mended: manage.py jobs retry {pk}",
        )


def _define(words: str) -> str:
    return f"write {words} in an app's functions.py, then: {MIGRATE}"


def _by_pool(some: Iterable[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = {}
    for waiting in some:
        if waiting.pool:
            found.setdefault(lanes.pool_name(waiting.pool), []).append(waiting)
    return found


def _jobs(some: Iterable[Waiting]) -> str:
    """How many they are, as far as they are counted: `1 job is`, `at least 100 jobs are`."""
    jobs = sum(waiting.jobs for waiting in some)
    at_least = "at least " if jobs >= MOST_WAITING else ""
    return f"{at_least}{count(jobs, 'job')} {'is' if jobs == 1 else 'are'}"
