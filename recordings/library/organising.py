"""What a person does to a recording as a whole, apart from its text."""

from asgiref.sync import sync_to_async
from django.utils import timezone

from recordings.events import recording_changed
from recordings.models import Recording


def change_recording(recording: Recording, **fields: str) -> None:
    """Set some of the fields `title`, `language` and `prompt`, which hold for transcriptions to come."""
    if Recording.objects.filter(pk=recording.pk).update(**fields, updated_at=timezone.now()):
        recording_changed(recording.pk, recording.owner_id)


achange_recording = sync_to_async(change_recording)
