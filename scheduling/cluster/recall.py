"""The journals of the workflows that this worker has driven, as it left them: a resume reads what is new, and no more.

A step that has come to its end is never changed, so what was read of it once stays right. Whether the journal is the
same one is asked each time all the same: the last such step is read again, with all that follows it, and where it is
another, or gone, the whole is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduling.cluster import journal, slots
from scheduling.cluster.journal import Entry, Journal

LEAST = 50  # steps: to read fewer takes no longer than to ask for the last
ROOM = 16 << 20  # bytes of a worker's memory, in all
OF_A_STEP = 1000  # bytes that an entry takes besides its texts

_known: dict[int, Journal] = {}  # by workflow; those that were driven last stand last


def read(workflows: Sequence[int]) -> dict[int, Journal]:
    """The journals of workflows: one query, and one more where something is not as it was left."""
    known = {workflow: _known.pop(workflow) for workflow in workflows if workflow in _known}
    found = journal.read({workflow: _ended(known[workflow]) if workflow in known else 0 for workflow in workflows})
    changed = {workflow: 0 for workflow, old in known.items() if not _goes_on(old, found[workflow])}
    if changed:
        found |= journal.read(changed)
    read = {workflow: Journal() for workflow in found} | {one: known[one] for one in known.keys() - changed.keys()}
    for workflow, entries in found.items():
        for entry in entries:
            read[workflow].note(entry)
    return read


def keep(journals: Mapping[int, Journal]) -> None:
    """Remember journals whose passes have ended, and are committed; the oldest are forgotten where there is no room."""
    if slots.mine is None:  # a test's own process, where a rolled back workflow's number comes again
        return
    for workflow, known in journals.items():
        if len(known.entries) >= LEAST and _weight(known) <= ROOM:
            _known[workflow] = known
    left = sum(map(_weight, _known.values()))
    while left > ROOM:
        left -= _weight(_known.pop(next(iter(_known))))


def _ended(known: Journal) -> int:
    """The place of the last step that has come to its end; those before it have, too."""
    return next(place for place in reversed(known.entries) if known.entries[place].is_settled)


def _goes_on(known: Journal, found: Sequence[Entry]) -> bool:
    return bool(found) and known.entries.get(found[0].position) == found[0]


def _weight(known: Journal) -> int:
    return known.size + OF_A_STEP * len(known.entries)
