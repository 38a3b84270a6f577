"""What becomes of an event that was sent: each function that is bound to its name takes it, once.

`scheduling.event_sent` is a mutation, so all that an event starts is scheduled in one transaction, exactly once,
with a row that says what became of it (EventDelivery). Where a binding looks at other events of its key, its group's
row is locked first: two events of one key are taken one after the other.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import Length

from scheduling import bindings, clock, running, scheduler
from scheduling.bindings import Binding, at, free_from
from scheduling.calls import Call
from scheduling.exceptions import NotFound, SchedulingError
from scheduling.functions import mutation
from scheduling.models import DeliveryState, Event, EventDelivery, EventGroup, Job
from scheduling.redaction import redact

logger = logging.getLogger("scheduling")

MOST_BYTES = 4 << 20  # of a batch's data before it is handed over: one job's arguments are at most 8 MiB


@mutation(name="scheduling.event_sent", description="An event was sent: what is bound to its name takes it.")
def event_sent(event: int) -> dict[str, str]:
    """Hand an event to all that is bound to its name; gives what became of it at each."""
    sent = Event.objects.select_for_update().filter(pk=event, delivered_at=None).first()
    if sent is None:  # delivered already: this job was run again by hand
        return {}
    said = {binding.name: _cancel(binding, sent) for binding in bindings.canceled_by(sent.name)}
    for binding in bindings.bound_to(sent.name):
        if (delivery := _delivered(binding, sent)) is not None:
            said[binding.name] = f"{delivery.state} {delivery.note}".strip()
    Event.objects.filter(pk=sent.pk).update(delivered_at=clock.Now())
    return said


@mutation(
    name="scheduling.event_batch_due", description="A batch of events has waited for its time: it is handed over."
)
def event_batch_due(binding: str, key: str) -> int | None:
    """Hand over what waits in a batch; None where it has been handed over meanwhile, as it was full."""
    known = bindings.named(binding)
    if known is None:
        raise NotFound(f"nothing is bound as {binding!r}: its code has gone, or changed its name")
    group = _locked(known, key)
    if group.job_id != running.context.job_id:
        return None
    return _hand_over_batch(known, group)


def _cancel(binding: Binding, sent: Event) -> str:
    """Cancel what a binding has started for earlier events that this one cancels."""
    key = _match_key(binding, sent.data)
    _locked(binding, key)
    begun = EventDelivery.objects.filter(binding=binding.name, key=key, event__lt=sent.pk, job__isnull=False)
    unfinished = begun.filter(job__in=Job.objects.unfinished().filter(name=binding.function.name))
    jobs = [each.job_id for each in unfinished.select_related("event") if _cancels(binding, each.event, sent)]
    return f"canceled {sum(scheduler.cancel(job) for job in dict.fromkeys(jobs) if job)}"


def _delivered(binding: Binding, sent: Event) -> EventDelivery | None:
    """What became of an event at one binding; None where that does not want it."""
    delivery = EventDelivery(event=sent, binding=binding.name, state=DeliveryState.REFUSED)
    try:
        if not binding.wants(sent.data):
            return None
        priority, key = binding.priority_of(sent.data), binding.key(sent.data)
        delivery.key = _match_key(binding, sent.data) if binding.cancel_on else key
    except Exception as error:
        logger.exception("event.refused event=%s binding=%s: its where, key or priority raised", sent.pk, binding.name)
        delivery.note = redact(f"{type(error).__name__}: {error}")
        delivery.save(force_insert=True)
        return delivery
    try:
        _take(binding, sent, delivery, key, priority)
    except SchedulingError as error:
        logger.warning("event.refused event=%s binding=%s: %s", sent.pk, binding.name, redact(str(error)))
        delivery.state, delivery.note = DeliveryState.REFUSED, redact(str(error))
    if delivery.pk is None:
        delivery.save(force_insert=True)
    return delivery


def _take(binding: Binding, sent: Event, delivery: EventDelivery, key: str, priority: int | None) -> None:
    """Start a job for an event, or have it wait, or drop it."""
    if binding.cancel_on:
        _locked(binding, delivery.key)  # whoever cancels takes it too: of the two one sees the other
        if (canceler := _canceled_since(binding, sent)) is not None:
            delivery.state, delivery.note = DeliveryState.SKIPPED, f"event #{canceler} canceled it before it began"
            return
    group = _locked(binding, key) if binding.grouping else None
    call = Call(binding.function, _arguments(binding, sent), priority=priority)
    delivery.state = DeliveryState.STARTED
    if group is None:
        delivery.job_id = scheduler.bulk([call])[0].pk
    elif binding.batch:
        _batch(binding, group, delivery)
    elif binding.debounce:
        _debounce(binding, group, delivery, call)
    elif binding.singleton:
        _singleton(binding, group, delivery, call)
    else:
        _pace(binding, group, delivery, call)


def _batch(binding: Binding, group: EventGroup, delivery: EventDelivery) -> None:
    assert binding.batch is not None
    delivery.state = DeliveryState.WAITING
    delivery.save(force_insert=True)
    waiting = _waiting(group).aggregate(number=Count("pk"), size=Sum(Length("event__data")))
    if waiting["number"] >= binding.batch.max_size or (waiting["size"] or 0) >= MOST_BYTES:
        _hand_over_batch(binding, group)
        delivery.refresh_from_db()
    elif waiting["number"] == 1:
        due = {"binding": group.binding, "key": group.key}
        _remember(group, job_id=scheduler.run_after(binding.batch.timeout, event_batch_due, due).pk)


def _hand_over_batch(binding: Binding, group: EventGroup) -> int:
    """Start a job for what waits, in the order in which it was sent; gives how many events that were."""
    waiting = list(_waiting(group).select_related("event").order_by("event"))
    events = [each.event for each in waiting]
    arguments = binding.arguments(
        data=[event.data for event in events],
        event=binding.event,
        id=[event.said_id for event in events],
        sent_at=[event.sent_at for event in events],
    )
    became: dict[str, Any]
    try:
        (job,) = scheduler.bulk([Call(binding.function, arguments)])
        became = {"state": DeliveryState.STARTED, "job_id": job.pk, "note": f"in a batch of {len(events)}"}
    except SchedulingError as error:
        logger.warning("event.refused binding=%s: a batch of %s: %s", group.binding, len(events), redact(str(error)))
        became = {"state": DeliveryState.REFUSED, "note": redact(str(error))}
    EventDelivery.objects.filter(pk__in=[each.pk for each in waiting]).update(**became)
    _remember(group, job_id=None)
    return len(events)


def _waiting(group: EventGroup) -> Any:
    return EventDelivery.objects.filter(binding=group.binding, key=group.key, state=DeliveryState.WAITING)


def _debounce(binding: Binding, group: EventGroup, delivery: EventDelivery, call: Call) -> None:
    """One job, so long after the last event, with what the newest said: also where they come in another order."""
    assert binding.debounce is not None
    waits = Job.objects.pending().filter(pk=group.job_id, attempt=0).first() if group.job_id else None
    if waits is not None and group.newest_id is not None and group.newest_id > delivery.event_id:
        delivery.state, delivery.note, delivery.job_id = DeliveryState.REPLACED, "a newer one was there", waits.pk
        return
    key = bindings.short(f"{group.binding} {group.key}")
    wait = {"key_mode": "debounce", "max_wait": binding.debounce.max_wait}
    call = Call(call.fn, call.args, **call.options, run_after=binding.debounce.period, key=key, **wait)
    (job,) = scheduler.bulk([call])
    EventDelivery.objects.filter(
        binding=group.binding, key=delivery.key, state=DeliveryState.STARTED, job_id=job.pk
    ).update(state=DeliveryState.REPLACED, note=f"by event #{delivery.event_id}")
    delivery.job_id = job.pk
    _remember(group, job_id=job.pk, newest_id=delivery.event_id)


def _singleton(binding: Binding, group: EventGroup, delivery: EventDelivery, call: Call) -> None:
    assert binding.singleton is not None
    runs = Job.objects.unfinished().filter(pk=group.job_id).first() if group.job_id else None
    if runs is not None and binding.singleton.mode == "skip":
        delivery.state, delivery.note = DeliveryState.SKIPPED, f"job {runs.pk} has not ended"
        return
    delivery.job_id = scheduler.bulk([call])[0].pk
    if runs is not None and scheduler.cancel(runs):
        delivery.note = f"job {runs.pk} was canceled for it"
    _remember(group, job_id=delivery.job_id)


def _pace(binding: Binding, group: EventGroup, delivery: EventDelivery, call: Call) -> None:
    rate, now = binding.throttle or binding.rate_limit, clock.now()
    assert rate is not None
    start, used = free_from(rate, group.used_up_to, now)
    if start > now and binding.rate_limit:
        delivery.state, delivery.note = DeliveryState.SKIPPED, f"more than {rate.limit} in {rate.period}"
        return
    when = {"run_at": start} if start > now else {}
    delivery.job_id = scheduler.bulk([Call(call.fn, call.args, **call.options, **when)])[0].pk
    _remember(group, used_up_to=used)


def _arguments(binding: Binding, sent: Event) -> dict[str, Any]:
    return binding.arguments(data=sent.data, event=sent.name, id=sent.said_id, sent_at=sent.sent_at)


def _match_key(binding: Binding, data: Any) -> str:
    """The group of those that one event may cancel: not one of the binding's own keys."""
    return bindings.short(f"cancel {binding.matched(data)}")


def _cancels(binding: Binding, old: Event, new: Event) -> bool:
    """Whether an event cancels what another has started."""
    for each in binding.cancel_on:
        if each.event != new.name or (each.match and at(old.data, each.match) != at(new.data, each.match)):
            continue
        try:
            if each.where is None or each.where(old.data, new.data):
                return True
        except Exception:
            logger.exception("event.not_canceled binding=%s: its where raised for event %s", binding.name, new.pk)
    return False


def _canceled_since(binding: Binding, sent: Event) -> int | None:
    """The event that was sent after this one and cancels what it would start, if there is one."""
    names = [each.event for each in binding.cancel_on]
    later = Event.objects.filter(name__in=names, pk__gt=sent.pk, workflow=None).order_by("pk")
    return next((each.pk for each in later.iterator(chunk_size=100) if _cancels(binding, sent, each)), None)


def _locked(binding: Binding, key: str) -> EventGroup:
    """The row of a binding's group, made where there is none, and locked until this transaction ends."""
    while True:
        there = EventGroup.objects.select_for_update().filter(binding=binding.name, key=key).first()
        if there is not None:
            return there
        new = EventGroup(binding=binding.name, key=key, changed_at=clock.now())
        EventGroup.objects.bulk_create([new], ignore_conflicts=True)


def _remember(group: EventGroup, **values: Any) -> None:
    EventGroup.objects.filter(pk=group.pk).update(**values, changed_at=clock.Now())
