from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class RecordingsConfig(AppConfig):
    name = "recordings"
    verbose_name = _("Recordings")

    def ready(self) -> None:
        post_migrate.connect(_repair_search, sender=self)


def _repair_search(using: str, **_: Any) -> None:
    from recordings.search.index import index_of  # noqa: PLC0415 it needs the models' modules

    index_of(connections[using]).repair()
