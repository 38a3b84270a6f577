"""Tags of the admin's templates."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.safestring import SafeString

from scheduling.admin import dashboard as dashboards

register = template.Library()


@register.simple_tag(takes_context=True)
def dashboard(context: dict[str, Any]) -> SafeString:
    """The dashboard, for the admin's index."""
    return dashboards.render(context["request"])
