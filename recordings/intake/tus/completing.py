"""From a part that is whole to a recording."""

import asyncio
import hashlib

from asgiref.sync import sync_to_async
from django.core.files.uploadedfile import UploadedFile

from accounts.auth import Caller
from recordings.intake.form import ReceivedFile
from recordings.intake.tus.part import claimed
from recordings.intake.tus.protocol import read_metadata
from recordings.intake.uploads import accept_upload
from recordings.models import Recording, Upload
from recordings.storage.files import second_name
from web.problems import Problem

BAD_FILE = (400, 415, 422)  # the statuses by which `accept_upload` refuses a file for good


async def complete(caller: Caller, upload: Upload, **instead: str) -> int | None:
    """Lock the part, and make a recording of it (see `make_recording`)."""
    with claimed(upload):
        return await make_recording(caller, upload, **instead)


async def make_recording(caller: Caller, upload: Upload, **instead: str) -> int | None:
    """Make a recording of a whole part. Only the holder of the lock may call this.

    instead: options in place of those in the upload's metadata.
    Returns None; with duplicate="ask", the id of a recording of the same bytes, where there is one. Then nothing is
    made, and the part stays until the person has decided. A bad file goes at once. Whatever else fails, Problem or
    not, can be tried again.
    """
    await upload.arefresh_from_db(fields=["recording"])
    if upload.recording_id:
        return None
    name, options = read_metadata(upload.metadata)
    wanted = options.model_dump() | instead
    asking = wanted["duplicate"] == "ask"
    if asking:
        wanted["duplicate"] = "reuse"
    if caller.token:
        wanted["source"] = Recording.Source.API
    file = await asyncio.to_thread(_LinkedPart, upload, name)
    try:
        recording, new = await accept_upload(caller.user, file, lane=caller.lane, upload=upload, **wanted)
    except Problem as problem:
        if problem.status in BAD_FILE:
            await sync_to_async(upload.discard)()
        raise
    if asking and not new:
        return recording.pk
    upload.recording = recording
    await Upload.objects.filter(pk=upload.pk).aupdate(recording=recording)  # also where an earlier one is reused
    await asyncio.to_thread(upload.part.unlink, missing_ok=True)
    return None


class _LinkedPart(ReceivedFile):
    """A part under a second name, which may be moved or removed: if something fails then, the upload loses nothing."""

    def __init__(self, upload: Upload, name: str) -> None:
        self.link = second_name(upload.part, ".upload")
        with self.link.open("rb") as whole:
            self.sha256 = hashlib.file_digest(whole, "sha256").hexdigest()
        UploadedFile.__init__(self, self.link.open("rb"), size=upload.bytes)
        self.name = name or None  # as the person called it

    def temporary_file_path(self) -> str:
        return str(self.link)

    def close(self) -> None:
        UploadedFile.close(self)
        self.link.unlink(missing_ok=True)  # gone already where it was moved to the storage
