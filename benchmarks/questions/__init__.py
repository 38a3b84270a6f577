"""The questions, in the order in which they are asked."""

from benchmarks.questions.drain import DRAIN, ONCE, RETRIED
from benchmarks.questions.enqueue import ENQUEUE
from benchmarks.questions.latency import LATENCY

QUESTIONS = {question.name: question for question in (DRAIN, ENQUEUE, LATENCY, RETRIED, ONCE)}
