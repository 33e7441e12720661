"""Recordings in Django's admin: to look at, not to change: changes there would be told to nobody."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from recordings.models import Caption, GuestLink, LiveSession, Recording, Segment, Transcription


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # takes none at run time
    """Rows to look at. Superusers see all; other staff, whatever their permissions, see their own."""

    owner_field = "owner"
    show_full_result_count = False  # counting a large table takes longer than showing a page of it

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        everyone = super().get_queryset(request)
        if request.user.is_superuser:
            return everyone
        return everyone.filter(**{self.owner_field: request.user.pk})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Recording)
class RecordingAdmin(ReadOnly):
    list_display = ("title", "owner", "duration", "source", "created_at")
    list_filter = ("source",)
    list_select_related = ("owner",)
    search_fields = ("title", "owner__username")
    exclude = ("peaks", "original")  # a long list of numbers; a storage name that no page serves


@admin.register(Transcription)
class TranscriptionAdmin(ReadOnly):
    owner_field = "recording__owner"
    list_display = ("id", "recording", "status", "segments_done", "segments_total", "error_code", "created_at")
    list_filter = ("status", "lane")
    list_select_related = ("recording",)
    search_fields = ("recording__title",)


@admin.register(Segment)
class SegmentAdmin(ReadOnly):
    owner_field = "transcription__recording__owner"
    list_display = ("transcription", "index", "start", "end", "text")
    list_select_related = ("transcription",)
    search_fields = ("text",)


@admin.register(LiveSession)
class LiveSessionAdmin(ReadOnly):
    list_display = ("id", "title", "owner", "prepared", "public", "recording", "created_at", "ended_at")
    list_filter = ("prepared", "public")
    list_select_related = ("owner", "recording")
    search_fields = ("id", "title")


@admin.register(Caption)
class CaptionAdmin(ReadOnly):
    owner_field = "session__owner"
    list_display = ("session", "index", "start", "end", "text")
    list_select_related = ("session",)
    search_fields = ("text",)


@admin.register(GuestLink)
class GuestLinkAdmin(ReadOnly):
    owner_field = "recording__owner"
    list_display = ("recording", "ends_with", "audio", "created_at", "expires_at")
    list_select_related = ("recording",)
    search_fields = ("recording__title",)
    exclude = ("digest",)
