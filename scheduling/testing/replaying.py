"""Whether a stored journal still fits today's code: for the CI of those who deploy new versions of workflows."""

from __future__ import annotations

from scheduling import clock, functions, jsontext, scheduler
from scheduling.cluster import recall
from scheduling.cluster.claims import Claim
from scheduling.cluster.executor import Run
from scheduling.cluster.journal import Entry
from scheduling.cluster.passes import Pass
from scheduling.cluster.unwinding import Unwind
from scheduling.models import Job
from scheduling.replay import call
from scheduling.steps import WorkflowStep


class _Frontier(Unwind):
    """The journal tells no more."""


class _Dry(Pass):
    """A pass that does nothing: it stops where the journal ends."""

    def come_to(self, entry: Entry) -> Entry:
        if entry.position not in self.entries or not entry.is_settled:
            raise self.leave(_Frontier())
        return entry


def replay(workflow: Job | int) -> int:
    """Replay a workflow's journal against the code that is there now; gives how many of its steps fit.

    Nothing is run and nothing is written. Raises NonDeterministic where the body departs from the journal, naming the
    step; whatever the body itself raises, where the recorded run did not end so.
    """
    job = scheduler.get(workflow if isinstance(workflow, int) else workflow.pk)
    claim = Claim(job.pk, job.name, jsontext.dumps(job.args), job.claim, job.attempt)
    dry = _Dry(Run(claim), recall.read([job.pk])[job.pk], clock.now(), careful=True)
    step = WorkflowStep(dry)
    function = functions.get(job.name)
    try:
        function.store_result(call(step))
        step.leaves_none()
    except _Frontier:
        pass
    except Exception:
        if step.departed or job.state != "failed":
            raise
    return step.came_to
