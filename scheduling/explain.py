"""Why a job is not running, or what became of it, in plain sentences: the weightiest reason first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from scheduling import functions, lanes, limits, waiting
from scheduling.cluster import hosts, outcomes
from scheduling.cluster.facts import MOST_BEFORE, Facts
from scheduling.cluster.tokens import HORIZON
from scheduling.exceptions import LimitImpossible, NotFound
from scheduling.functions import Function
from scheduling.models import Host, Job, Overlap, Pause, Paused, Pool, State
from scheduling.models.cron import Cron
from scheduling.options import NO_POOL
from scheduling.words import count, last_line, when

MOST_NAMES = 5  # of hosts, in one sentence


def job(row: Job) -> list[str]:
    """Why a job, as its row was just read, does not run; or since when it runs, or what became of it."""
    facts = Facts()
    if row.is_final:
        return [_ended(row, facts)]
    if row.state == State.IN_PROGRESS:
        return list(_running(row, facts))
    found = [*_too_early(row, facts), *_held(row, facts)] or [*_in_line(row, facts)]
    return [*found, *_besides(row, facts)]


def cron(row: Cron) -> list[str]:
    """Why a cron does not tick, or when it will."""
    facts = Facts()
    if row.retired_at:
        return [f"It is retired since {when(row.retired_at, facts.now)}: no installed app declares it any more."]
    if row.broken:
        return [f"It is broken, and ticks no more until it is mended and resumed: {last_line(row.broken)}"]
    return [*_cron_held(row, facts)] or [f"It ticks next at {when(row.next_tick_at, facts.now)}."]


# Pending


def _too_early(job: Job, facts: Facts) -> Iterator[str]:
    """What the job itself waits for: another job, or a time."""
    if job.waits_for_id is not None:
        yield _waits_for(job)
    if job.run_at <= facts.now:
        return
    due = when(job.run_at, facts.now)
    if functions.is_workflow(job.name) and (step := waiting.open_step(job)) is not None:
        yield waiting.words(step, facts.now)
    elif job.reserved and job.rate_limit is not None:
        yield f"It waits for its token of rate limit {_limit(job)}, reserved for {due}."
    elif job.attempt:
        most = _attempts(job)
        next_one = f"The next{f', of at most {most},' if most else ''} is at {due}."
        yield f"Attempt {job.attempt} failed: {last_line(job.error)}. {next_one}"
    else:
        yield f"It is not due until {due}."


def _waits_for(job: Job) -> str:
    other = Job.objects.filter(pk=job.waits_for_id or 0).only("state", "name", "key", "waits_for").first()
    if other is not None and other.is_final and other.waits_for_id is not None:
        return f"It waits for its turn: job {other.pk} is {_state(other)}, and job {other.waits_for_id} comes before."
    if other is None or other.is_final:
        end = "is gone" if other is None else f"has ended ({other.state})"
        return f"It waits for job {job.waits_for_id}, which {end}: a running host lets it go within a minute."
    why = "has the same key and " if job.key is not None and (other.name, other.key) == (job.name, job.key) else ""
    return f"It waits for the end of job {other.pk}, which {why}is {_state(other)}."


def _held(job: Job, facts: Facts) -> Iterator[str]:
    """What somebody has to change before the job can run."""
    if not job.attempt and job.expires_at and job.expires_at <= facts.now:
        yield f"It expired at {when(job.expires_at, facts.now)}: a running host cancels it within a second."
    pool = lanes.pool_name(job.pool)
    for kind, name in ((Paused.EVERYTHING, ""), (Paused.FUNCTION, job.name), (Paused.POOL, pool)):
        if pause := facts.paused(kind, name):
            yield _paused(pause, facts)
    yield from _no_host(job, facts)
    if pool and pool not in facts.pools:
        yield f"There is no pool {pool} (any more): pools.define({pool!r}, max_parallelism=…) makes it."
    elif pool and not facts.pools[pool].max_parallelism:
        yield f"Pool {pool} lets none begin: it is set to 0 (manage.py pools set {pool} --max N)."
    if job.lane.startswith(lanes.TOKENS) and not limits.exists(name := lanes.limit_of(job.lane)[0]):
        yield f"There is no rate limit {name} (any more): limits.define({name!r}, …) makes it."


def _paused(pause: Pause, facts: Facts) -> str:
    what = "Everything" if pause.kind == Paused.EVERYTHING else f"{pause.kind.title()} {pause.name}"
    ends = f"until {when(pause.until, facts.now)}" if pause.until else "until somebody resumes it"
    reason = f" Reason: {pause.reason}." if pause.reason else ""
    return f"{what} is paused since {when(pause.paused_at, facts.now)}, {ends}.{reason}"


def _no_host(job: Job, facts: Facts) -> Iterator[str]:
    """Whether there is a host that would take the job at all."""
    if not facts.living:
        yield "No host is alive, so nothing runs: start one (manage.py qcluster)."
        return
    knowing = [host for host in facts.living if hosts.knows(host, job.name)]
    if not knowing:
        yield f"No live host knows {job.name}: {_names(facts.living)} run code without it. Deploy it, or restart them."
    elif not _able(job, facts):
        pool = lanes.pool_name(job.pool)
        what = f"pool {pool}" if pool else f"jobs without a pool ({NO_POOL})"
        serving = ", ".join(sorted({name for host in knowing for name in host.pools or ()}))
        yield f"No live host serves {what}: {_names(knowing)} serve {serving} only (qcluster --pools)."


def _able(job: Job, facts: Facts) -> list[Host]:
    return [host for host in facts.living if hosts.knows(host, job.name) and hosts.serves(host, job.pool)]


def _in_line(job: Job, facts: Facts) -> Iterator[str]:
    """What keeps a job that is due for a moment only: tokens, a full pool, busy workers, those before it."""
    if job.lane.startswith(lanes.TOKENS):
        yield _waits_for_tokens(job, facts)
        return
    if job.pool and (full := _full(job, facts.pools[lanes.pool_name(job.pool)])):
        yield full
        return
    able = _able(job, facts)
    is_async = job.lane.startswith(lanes.ASYNC)
    busy = not is_async and not sum(facts.idle(host) for host in able)
    if busy:
        yield _busy(able, facts)
    before = _before(job, facts, [lane.name for lane in facts.lanes if lane.name.startswith(lanes.ASYNC) == is_async])
    if before:
        yield before
    else:
        yield "It is the next in line." if busy else "It is due and would be claimed next."


def _waits_for_tokens(job: Job, facts: Facts) -> str:
    name, key = lanes.limit_of(job.lane)
    try:
        taken = limits.check(name, key, job.tokens or 0, reserve=True)
    except LimitImpossible as error:
        return f"It will fail, as its tokens can never be had: {error}"
    wait = taken.retry_after or 0.0
    if taken and wait <= HORIZON:
        return f"It waits for {_tokens(job)} of rate limit {_limit(job)}, to be reserved for it next."
    before = _before(job, facts, [job.lane])
    return (
        f"It waits for {_tokens(job)} of rate limit {_limit(job)}: the next that are free come at "
        f"{when(facts.now + timedelta(seconds=wait), facts.now)}, and {HORIZON:g} s ahead is the most that is reserved."
        f"{f' {before}' if before else ''}"
    )


def _full(job: Job, pool: Pool) -> str | None:
    most = pool.max_parallelism
    running = Job.objects.running().exclude(pool="").filter(pool=job.pool).values("pk")[: most + 1].count()
    if running < most:
        return None
    value = job.pool.partition("/")[2]
    keyed = f" for {pool.key} {value}" if pool.key else ""
    return f"Pool {pool.name} is full{keyed}: {running} of {most} run."


def _busy(able: Sequence[Host], facts: Facts) -> str:
    ids = {host.pk for host in able}
    running = [(one.started_at, one) for one in facts.running if one.host_id in ids and one.started_at]
    workers = count(sum(host.workers for host in able), "worker")
    words = f"All workers are busy ({workers} of {_names(able)})."
    if running:
        started_at, oldest = min(running)
        words += f" The oldest runs {oldest.name}, job {oldest.id}, since {when(started_at, facts.now)}."
    return words


def _before(job: Job, facts: Facts, among: Sequence[str]) -> str | None:
    """How many are claimed before it, of those that its hosts can run."""
    names = sorted({name for host in _able(job, facts) for name in host.functions})
    number = facts.before(job, names, among)
    if not number:
        return None
    at_least = "At least " if number >= MOST_BEFORE else ""
    return f"{at_least}{count(number, 'due job')} {'comes' if number == 1 else 'come'} before it."


def _besides(job: Job, facts: Facts) -> Iterator[str]:
    """What else is to be known of a pending job."""
    if job.attempt and (job.run_at <= facts.now or job.reserved):
        yield f"Attempt {job.attempt} failed: {last_line(job.error)}."
    if job.crashes:
        yield f"Its worker's process has died in it {count(job.crashes, 'time')}."
    if not job.attempt and job.expires_at and job.expires_at > facts.now:
        yield f"If it has not begun by {when(job.expires_at, facts.now)}, it is canceled as expired."


# Running


def _running(job: Job, facts: Facts) -> Iterator[str]:
    host = Host.objects.filter(pk=job.host_id or 0).first()
    where = f"host {host}" if host else f"a host that is not known any more (number {job.host_id})"
    if job.started_at is not None:
        process = f", process {job.process}" if job.process else ""
        yield f"Attempt {job.attempt} runs since {when(job.started_at, facts.now)} on {where}{process}."
    elif (known := _function(job)) and known.kind == "mutation":
        yield f"It is claimed by {where}, and runs or is about to: a mutation's start is seen when it has ended."
    else:
        yield f"It is claimed by {where}, but has not begun."
    if host is None or hosts.liveness(host, facts.now) in ("dead", "stopped"):
        yield "That host is gone: another one settles what it left, within a minute."
    if job.started_at is not None and (known := _function(job)) and (limit := outcomes.timeout_of(known, job.policy)):
        yield f"It times out at {when(job.started_at + timedelta(seconds=limit), facts.now)}."
    if isinstance(job.progress, dict):
        yield f"It last said: {_progress(job.progress)}."


def _progress(said: dict[str, object]) -> str:
    done, total, note = (said.get(name) for name in ("done", "total", "note"))
    return f"{done}{f' of {total}' if total is not None else ' done'}{f', {note}' if note else ''}"


# Ended


def _ended(job: Job, facts: Facts) -> str:
    at = when(job.finished_at, facts.now)
    tried = f" in attempt {job.attempt}" if job.attempt else ""
    if job.state == State.SUCCESS:
        return f"It succeeded at {at}{tried}."
    if job.state == State.FAILED:
        return f"It failed at {at}{tried}: {last_line(job.error)}"
    if job.state == State.SKIPPED:
        return _skipped(job, facts)
    if job.error == "expired":
        return f"It was canceled at {at}, as it had not begun by {when(job.expires_at, facts.now)}: expired."
    return f"It was canceled at {at}."


def _skipped(job: Job, facts: Facts) -> str:
    ticks = job.result.get("ticks", 1) if isinstance(job.result, dict) else 1
    tick = f"The tick of cron {job.cron} at {when(job.scheduled_for, facts.now)} {job.error}."
    return tick if ticks == 1 else f"{tick} It stands for {ticks:,} ticks in a row."


# Crons


def _cron_held(cron: Cron, facts: Facts) -> Iterator[str]:
    if cron.paused:
        reason = f" Reason: {cron.paused_reason}." if cron.paused_reason else ""
        until = when(cron.paused_until, facts.now) if cron.paused_until else "somebody resumes it"
        yield f"It is paused since {when(cron.paused_at, facts.now)}, until {until}.{reason}"
    if pause := facts.paused(Paused.EVERYTHING):
        yield _paused(pause, facts)
    if not facts.living:
        yield "No host is alive, so no cron ticks: start one (manage.py qcluster)."
    unfinished = Job.objects.unfinished().filter(cron=cron.key, backfill=False)
    oldest = unfinished.order_by("pk").values_list("pk", flat=True).first()
    if oldest and not Overlap(cron.overlap).has_room(unfinished.values("pk")[:2].count()):
        yield f"Its ticks are skipped, or wait, until job {oldest} has ended (overlap: {cron.overlap})."


# Names


def _state(job: Job) -> str:
    return State(job.state).value.replace("_", " ")


def _limit(job: Job) -> str:
    name, key = lanes.limit_of(job.rate_limit or "")
    return name if key is None else f"{name} for {key}"


def _tokens(job: Job) -> str:
    tokens = job.tokens or 0
    return f"{tokens:g} token{'' if tokens == 1 else 's'}"


def _names(some: Sequence[Host]) -> str:
    names = [str(host) for host in some[:MOST_NAMES]]
    more = len(some) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _function(job: Job) -> Function | None:
    try:
        return functions.get(job.name)
    except NotFound:
        return None


def _attempts(job: Job) -> int | None:
    """How many attempts the job may have, as far as this process knows its function."""
    known = _function(job)
    policy = outcomes.policy_of(known, job.policy) if known else None
    return policy.max_failures + 1 if policy else None
