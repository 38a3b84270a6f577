"""What the admin takes for a registered function: something to list, to permit, and to log operators' acts on."""

from __future__ import annotations

from django.db import models


class NoRows(models.Manager["JobFunction"]):
    """Functions are in the registry, so a query finds none; it is there for what walks over all models."""

    def get_queryset(self) -> models.QuerySet[JobFunction]:
        return super().get_queryset().none()


class JobFunction(models.Model):
    """A registered function by its name. It has no table: see scheduling.functions."""

    name = models.CharField(primary_key=True, max_length=200)

    objects = NoRows()

    class Meta:
        managed = False
        verbose_name = "function"
        default_permissions = ("view",)
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.name
