"""Addresses of the monitor, inside the admin's."""

from django.urls import path

from .pages import monitor_history, monitor_page, set_limit

app_name = "monitor"

urlpatterns = [
    path("", monitor_page, name="page"),
    path("history", monitor_history, name="history"),
    path("limit", set_limit, name="set_limit"),
]
