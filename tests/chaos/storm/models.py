"""What the mutations of a storm write."""

from django.db import models


class Mark(models.Model):
    """One row for each time that a mutation's writes were committed: nothing keeps a second one out."""

    job_id = models.BigIntegerField(null=True)
    attempt = models.IntegerField(null=True)
    process = models.IntegerField()
    n = models.IntegerField()

    class Meta:
        app_label = "storm"


class StepMark(models.Model):
    """One row for each time that the writes of a workflow's mutation step were committed."""

    workflow = models.BigIntegerField()
    place = models.IntegerField()

    class Meta:
        app_label = "storm"
