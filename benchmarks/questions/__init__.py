"""The questions, in the order in which they are asked."""

from benchmarks.questions.batches import BATCHES
from benchmarks.questions.crons import CRONS
from benchmarks.questions.drain import ASYNC, DRAIN, ONCE, RETRIED
from benchmarks.questions.enqueue import ENQUEUE
from benchmarks.questions.history import HISTORY
from benchmarks.questions.hosts import HOSTS_QUESTION
from benchmarks.questions.idle import IDLE
from benchmarks.questions.latency import LATENCY
from benchmarks.questions.memory import MEMORY
from benchmarks.questions.resumes import RESUMES
from benchmarks.questions.sleepers import SLEEPERS_QUESTION
from benchmarks.questions.snapshot import SNAPSHOT
from benchmarks.questions.workflows import WORKFLOWS

_ALL = (
    DRAIN,
    ENQUEUE,
    LATENCY,
    RETRIED,
    ONCE,
    ASYNC,
    BATCHES,
    CRONS,
    HISTORY,
    SNAPSHOT,
    HOSTS_QUESTION,
    MEMORY,
    IDLE,
    WORKFLOWS,
    RESUMES,
    SLEEPERS_QUESTION,
)
QUESTIONS = {question.name: question for question in _ALL}
