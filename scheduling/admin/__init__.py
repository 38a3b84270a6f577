"""What operators see and do, in Django's admin: one file a model, and the dashboard.

Nothing here decides anything about jobs or crons: pages read rows, and buttons call the public verbs.
"""

import django_q.admin  # noqa: F401 - it registers django-q2's admins, of which one is taken away below
from django.contrib import admin
from django_q.models import Schedule

from scheduling.admin.alert import AlertAdmin
from scheduling.admin.batch import BatchAdmin
from scheduling.admin.cron import CronAdmin
from scheduling.admin.event import EventAdmin
from scheduling.admin.function import FunctionAdmin
from scheduling.admin.host import HostAdmin
from scheduling.admin.job import JobAdmin
from scheduling.admin.limit import LimitAdmin
from scheduling.admin.pause import PauseAdmin
from scheduling.admin.pool import PoolAdmin
from scheduling.admin.saga import SagaAdmin
from scheduling.admin.workflow import WorkflowAdmin

if admin.site.is_registered(Schedule):
    admin.site.unregister(Schedule)  # it would run any dotted path that is typed in; crons are its replacement

__all__ = [
    "AlertAdmin",
    "BatchAdmin",
    "CronAdmin",
    "EventAdmin",
    "FunctionAdmin",
    "HostAdmin",
    "JobAdmin",
    "LimitAdmin",
    "PauseAdmin",
    "PoolAdmin",
    "SagaAdmin",
    "WorkflowAdmin",
]
