"""What was learnt of the Whisper servers, for the next process."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db import models
from django.utils import timezone


class KeptMemory(models.Model):
    """A `memory.ServerMemory` of a server, as JSON."""

    key = models.CharField(primary_key=True, max_length=64, help_text="digest of the server's address and its model")
    state = models.JSONField()
    kept_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.key[:8]}… of {self.kept_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def states(cls, keys: Collection[str]) -> dict[str, Any]:
        """The states with these keys, as far as there are any."""
        return dict(cls.objects.filter(key__in=keys).values_list("key", "state"))

    @classmethod
    def keep(cls, states: Mapping[str, object]) -> None:
        """Keep all of the states, or none, in place of those of the same keys."""
        now = timezone.now()
        KeptMemory.objects.bulk_create(
            [KeptMemory(key=key, state=state, kept_at=now) for key, state in states.items()],
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=["state", "kept_at"],
        )
