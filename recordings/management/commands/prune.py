"""`manage.py prune`: find files that a crash left and tokens that expired, and remove them with `--yes`."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.storage import Storage, default_storage
from django.core.management import BaseCommand
from django.utils import timezone

from accounts.models import ApiToken
from recordings.intake.tus import remove_expired
from recordings.live.journal import sessions_on_disk
from recordings.models import COPIES, LiveSession, Recording, Upload

# A file without a row may be an upload that is about to get one. No upload takes so long between the two.
LEAST_AGE = timedelta(hours=1)
BATCH = 500  # names looked up at once


class Command(BaseCommand):
    help = "Say which files belong to no recording and which tokens have expired; with --yes, remove them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--yes", action="store_true", help="remove them")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        verb = "removed" if yes else "would remove"
        originals = orphans(default_storage, "originals", "original")
        for name in chain(originals, orphans(default_storage, COPIES, "playable")):
            self.stdout.write(f"{verb} file {name}: no recording has it")
            if yes:
                default_storage.delete(name)
        for part in abandoned_uploads(Path(settings.FILE_UPLOAD_TEMP_DIR)):
            self.stdout.write(f"{verb} file {part.name}: an upload that broke off")
            if yes:
                part.unlink(missing_ok=True)
        for file in abandoned_sound(Path(settings.LIVE_ROOT)):
            self.stdout.write(f"{verb} file {file.name}: a live session that is over, or was deleted")
            if yes:
                file.unlink(missing_ok=True)
        if yes:
            remove_expired()
        expired = ApiToken.objects.filter(expires_at__lt=timezone.now())
        for token in expired:
            self.stdout.write(f"{verb} token {token}: expired {token.expires_at:%Y-%m-%d}")
        if yes:
            expired.delete()


def orphans(storage: Storage, folder: str, field: str) -> Iterator[str]:
    """The storage names in the folder that no recording has in its `field`, an hour after they were written."""
    names = [f"{folder}/{name}" for name in storage.listdir(folder)[1]] if storage.exists(folder) else []
    for start in range(0, len(names), BATCH):
        some = names[start : start + BATCH]
        known = set(Recording.objects.filter(**{f"{field}__in": some}).values_list(field, flat=True))
        for name in some:
            if name not in known and timezone.now() - storage.get_modified_time(name) > LEAST_AGE:
                yield name


def abandoned_uploads(folder: Path) -> Iterator[Path]:
    """Parts of uploads that nobody can continue, and to which nothing was written for an hour."""
    expired = {upload.part.name for upload in Upload.expired()}
    going_on = Upload.parts() - expired
    for part in folder.iterdir():
        if part.name not in going_on and time.time() - part.stat().st_mtime > LEAST_AGE.total_seconds():
            yield part


def abandoned_sound(folder: Path) -> Iterator[Path]:
    """Files of live sessions that are recordings now, or were deleted. The row of a session is older than its files."""
    files = sessions_on_disk(folder)
    going_on = set(LiveSession.objects.filter(pk__in=files, recording=None).values_list("pk", flat=True))
    return chain.from_iterable(paths for session, paths in files.items() if session not in going_on)
