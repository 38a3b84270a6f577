"""What the model admins share: read-only pages, big lists, and verbs as actions and as buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path, reverse

from scheduling import clock
from scheduling.admin.paging import KeysetChangeList

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin

MOST_AT_ONCE = 1_000  # objects that one action acts on


class ReadOnlyAdmin(ModelAdmin):
    """Nothing is added, changed or deleted here."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    sortable_by = ()
    fields: ClassVar[tuple[str, ...]] = ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The rows, each with the database's time as `looked_at`, against which ages are reckoned."""
        rows: QuerySet[Any] = super().get_queryset(request).annotate(looked_at=clock.Now())
        return rows

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        title = str(self.opts.verbose_name_plural).capitalize()
        return super().changelist_view(request, {"title": title} | (extra_context or {}))

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None:
            context |= {"title": str(obj), "subtitle": None} | self.page(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the template of one object's page needs besides."""
        return {}


class BigTableAdmin(ReadOnlyAdmin):
    """A read-only list over a table of millions of rows."""

    change_list_template = "admin/scheduling/big_change_list.html"
    keyset: ClassVar[tuple[str, ...]] = ("id",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def for_list(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """The rows as the list reads them: without what is large and not shown."""
        return rows


class NumberedAdmin(BigTableAdmin):
    """Such a list of what people call by its number: #7, or 7, is looked for by its id."""

    list_display_links = ("number",)
    search_fields = ("id",)
    search_help_text = "An id."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().removeprefix("#")
        if not term:
            return queryset, False
        return queryset.filter(pk=int(term)) if term.isdecimal() else self.by_words(queryset, term), False

    def by_words(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """The rows that something else than a number finds."""
        return rows.none()


class CompletedList(ChangeList):
    """A list whose model admin completes the rows of a page together: `complete(request, rows)`."""

    model_admin: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        self.full_result_count = self.result_count
        self.model_admin.complete(request, self.result_list)


class VerbsAdmin(ModelAdmin):
    """Actions that are buttons too, each at a POST-only address of its own and with a permission of its own."""

    verbs: ClassVar[dict[str, str]] = {}
    """Names of actions, with the words on their buttons."""
    of_one: ClassVar[dict[str, str]] = {}
    """Verbs of one object's page that are not in the list's menu, each with what it takes permission to do."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Those of the list, and outside of it those of one object too."""
        actions: dict[str, Any] = dict(super().get_actions(request))
        if request.resolver_match and request.resolver_match.url_name == f"{self._named}_changelist":
            return actions
        for verb, permission in self.of_one.items():
            if getattr(self, f"has_{permission}_permission")(request):
                actions[verb] = (getattr(type(self), verb), verb, "")
        return actions

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.verb_view)
        return [path("<path:object_id>/do/<slug:verb>/", view, name=f"{self._named}_verb"), *super().get_urls()]

    def verb_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponseBase:
        """Do to one object what the action of that name does to those that are selected."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if verb not in self.verbs:
            raise Http404
        action = self.get_actions(request).get(verb)
        if action is None or not self.has_view_or_change_permission(request):
            raise PermissionDenied
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404
        act: Callable[..., Any] = action[0]
        answer: HttpResponseBase | None = act(self, request, self.get_queryset(request).filter(pk=obj.pk))
        return answer or redirect(self._back(request, obj))

    def buttons(self, request: HttpRequest, obj: Any, *names: str) -> list[dict[str, str]]:
        """The buttons for some verbs on an object: those that this user may press."""
        allowed = self.get_actions(request)
        return [
            {"verb": name, "label": self.verbs[name], "url": self.verb_url(obj, name)}
            for name in names
            if name in allowed
        ]

    def verb_url(self, obj: Any, verb: str) -> str:
        """Where a verb is posted to."""
        return reverse(f"{self.admin_site.name}:{self._named}_verb", args=[quote(obj.pk), verb])

    def _back(self, request: HttpRequest, obj: Any) -> str:
        base = f"{self.admin_site.name}:{self._named}"
        if request.GET.get("back") == "list":
            return reverse(f"{base}_changelist")
        return reverse(f"{base}_change", args=[quote(obj.pk)])

    @property
    def _named(self) -> str:
        """How the names of the model's addresses begin."""
        return f"{self.opts.app_label}_{self.opts.model_name}"


class NamedAdmin(VerbsAdmin):
    """Objects that others know by their unique `name`: its address leads to the page."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.named)
        return [path("named/<path:name>/", view, name=f"{self._named}_named"), *super().get_urls()]

    def named(self, request: HttpRequest, name: str) -> HttpResponse:
        """To the page of the object of a name."""
        found = get_object_or_404(self.get_queryset(request), name=name.replace("\0", ""))
        return redirect(f"{self.admin_site.name}:{self._named}_change", found.pk)


def changes(form: Any) -> str:
    """What was changed in a form, for the log of operators' acts: `Rate: 60 -> 30.`"""
    words = [
        f"{form[name].label}: {_said(form[name].initial)} -> {_said(form[name].value())}" for name in form.changed_data
    ]
    return f"{'; '.join(words)}." if words else "No fields changed."


def _said(value: Any) -> str:
    return "none" if value in (None, "") else str(value)


def counted(*parts: tuple[int, str]) -> str:
    """`38 canceled, 2 had ended already`: the parts that are not zero."""
    return ", ".join(f"{count} {words}" for count, words in parts if count)
