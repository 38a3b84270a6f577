"""URLs of the project: the admin is the whole user interface."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from scheduling.admin import dashboard

admin.autodiscover()
admin.site.site_header = admin.site.site_title = "Market scheduler"
admin.site.index_title = "Dashboard"
admin.site.site_url = None  # the admin is all there is

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/dashboard/", admin.site.admin_view(dashboard.fragment), name="dashboard"),
    path("admin/", admin.site.urls),
]
