"""What a person does to a recording as a whole: change its title and the like, and delete it."""

from asgiref.sync import sync_to_async
from django.db import DatabaseError, transaction
from django.utils import timezone

from recordings.events import recording_changed, recording_gone
from recordings.models import LooseFile, Recording, copy_name
from recordings.storage import space
from recordings.storage.files import discard
from recordings.work.jobs import end_work
from web.problems import is_disk_full


def change_recording(recording: Recording, **fields: str) -> None:
    """Set some of the fields `title`, `language` and `prompt`, which hold for transcriptions to come."""
    if Recording.objects.filter(pk=recording.pk).update(**fields, updated_at=timezone.now()):
        recording_changed(recording.pk, recording.owner_id)


achange_recording = sync_to_async(change_recording)


def delete_recording(recording: Recording) -> None:
    """End the recording's job, and remove its rows and files. Not to be called in a transaction.

    Deleting twice does no harm. It works on a full disk, where the database writes before it frees: the spare is given
    up then. Pages are told once, when all is gone: at the end of the job they would ask for what is being removed.
    """
    pk = recording.pk
    names = [str(recording.original.name), copy_name(pk)]
    try:
        _remove(recording, names)
    except (OSError, DatabaseError) as failure:
        if not (is_disk_full(failure) and space.give_up_spare()):
            raise
        _remove(recording, names)
    space.keep_spare()
    recording_gone(pk, recording.owner_id)


adelete_recording = sync_to_async(delete_recording)


def _remove(recording: Recording, names: list[str]) -> None:
    with transaction.atomic(durable=True):
        end_work(recording)
        LooseFile.objects.bulk_create([LooseFile(name=name) for name in names], ignore_conflicts=True)
        Recording.objects.filter(pk=recording.pk).delete()
    for name in names:
        discard(name)
