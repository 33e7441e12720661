"""The rows: recordings, transcriptions and their segments, uploads, live sessions and their captions.

One module, because each model refers to most of the others. Rules that the database can hold are constraints here.
"""

import secrets
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path, PurePath
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from transcription.answer import HeardWord
from transcription.audio.tracks import Track


def original_path(recording: "Recording", filename: str) -> str:
    """A storage name for an original: random, with no part of the person's file name but a short, plain suffix."""
    suffix = PurePath(filename).suffix.lower()
    return (
        f"originals/{uuid4().hex}{suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ''}"
    )


COPIES = "playable"


def copy_name(recording_id: int) -> str:
    """The storage name of a recording's copy for browsers, also before the copy is made (see `intake.copies`)."""
    return f"{COPIES}/{recording_id}.webm"


class Recording(models.Model):
    """One piece of sound, of an audio or a video file, that a person owns. The file is whole before the row exists."""

    class Source(models.TextChoices):
        UPLOAD = "upload", _("upload")
        BROWSER = "browser", _("browser")
        LIVE = "live", _("live")
        API = "api", _("API")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("owner"), related_name="recordings"
    )
    title = models.CharField(_("title"), max_length=255)
    original = models.FileField(upload_to=original_path, max_length=255)
    original_name = models.CharField(_("file name"), max_length=255)
    sha256 = models.CharField("SHA-256", max_length=64)
    bytes = models.PositiveBigIntegerField(_("bytes"))
    duration = models.FloatField(_("duration"), help_text=_("seconds"))
    media_type = models.CharField(_("media type"), max_length=64)
    source = models.CharField(_("source"), max_length=16, choices=Source)
    language = models.CharField(
        _("language"), max_length=16, blank=True, help_text=_("hint for Whisper; empty: detect")
    )
    prompt = models.TextField(_("names and terms"), blank=True, help_text=_("names and terms to expect"))
    peaks = models.JSONField(null=True, help_text="waveform: the loudest sample of each stretch, 0 to 1")
    damaged = models.JSONField(
        _("damaged"), default=list, help_text=_("[[start, end]], seconds: what could not be read")
    )
    track = models.PositiveSmallIntegerField(
        _("sound track"), default=0, help_text=_("the one that is heard, from 1; 0: all that belong together")
    )
    tracks = models.JSONField(
        _("sound tracks"),
        default=list,
        help_text=_("[{number, codec, channels, language, title, heard}], in the order of the file"),
    )
    playable = models.FileField(
        _("copy for browsers"),
        blank=True,
        max_length=255,
        help_text=_("a copy that browsers play; none where they play the original"),
    )
    shown = models.ForeignKey(
        "Transcription",
        models.SET_NULL,
        null=True,
        verbose_name=_("shown"),
        related_name="+",
        help_text=_("the one that a person went back to; none: the newest that is done"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        verbose_name, verbose_name_plural = _("recording"), _("recordings")
        indexes = [
            models.Index(fields=["owner", "-id"], name="recording_library"),
            models.Index(fields=["owner", "sha256"], name="recording_duplicates"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def breaks_off(self) -> float | None:
        """The time in seconds at which the sound breaks off, where the end of the file is missing; else None."""
        return self.damaged[-1][0] if self.damaged and self.damaged[-1][0] > self.duration - 1 else None

    @property
    def holes(self) -> list[list[float]]:
        """The damaged spans with sound after them: [[start, end]], in seconds."""
        return list(self.damaged if self.breaks_off is None else self.damaged[:-1])

    @property
    def heard_tracks(self) -> str:
        """The numbers of the sound tracks that are heard, as “1, 2”."""
        return ", ".join(str(track["number"]) for track in self.tracks if track["heard"])


class LooseFile(models.Model):
    """A file in the storage that no recording has yet, or has any more (see `storage.files`).

    The row is there before the file, and goes with it, or in the transaction that gives the file to a recording. So the
    next start finds what a killed process left: it removes the file, or makes it if it is a copy for browsers.
    """

    name = models.CharField(max_length=255, unique=True)
    crashes = models.PositiveSmallIntegerField(
        default=0, help_text="processes that ended uncleanly in a row while they made this copy"
    )

    def __str__(self) -> str:
        return self.name

    @classmethod
    def copies(cls) -> "models.QuerySet[LooseFile]":
        """The copies for browsers, which are yet to be made."""
        return cls.objects.filter(name__startswith=f"{COPIES}/")

    @classmethod
    def leftovers(cls) -> "models.QuerySet[LooseFile]":
        """All other files, of which nobody has any use."""
        return cls.objects.exclude(name__startswith=f"{COPIES}/")


def want_copy(recording: Recording) -> None:
    """Have a copy made for browsers, in the place of one that is there.

    To be called in the transaction that makes the recording, or changes its sound track.
    """
    LooseFile.objects.get_or_create(name=copy_name(recording.pk))


def _two_days_on() -> datetime:
    return timezone.now() + Upload.LIFETIME


class Upload(models.Model):
    """A resumable upload: a file that comes in pieces. The pieces so far are its part on disk.

    The row gets its recording in the transaction that makes the recording. It stays until it expires, so that a client
    which lost the answer to its last piece can still ask for it.
    """

    LIFETIME = timedelta(days=2)  # a laptop that is closed in the evening goes on in the morning

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="uploads")
    bytes = models.PositiveBigIntegerField(help_text="of the whole file, as announced")
    metadata = models.TextField(blank=True, help_text="the Upload-Metadata header, as it was sent")
    recording = models.ForeignKey(Recording, models.CASCADE, null=True, related_name="uploads")
    expires_at = models.DateTimeField(default=_two_days_on, db_index=True)

    def __str__(self) -> str:
        return str(self.pk)

    @property
    def part(self) -> Path:
        return Path(settings.FILE_UPLOAD_TEMP_DIR) / f"{self.pk}.part"

    @property
    def offset(self) -> int:
        """The number of bytes that have come. Raises FileNotFoundError where the part is gone."""
        return self.bytes if self.recording_id else self.part.stat().st_size

    def discard(self) -> None:
        """Delete the row, then the part. If a crash comes between, the next start removes the part."""
        part = self.part
        self.delete()
        part.unlink(missing_ok=True)

    @classmethod
    def expired(cls) -> "models.QuerySet[Upload]":
        """The uploads that nobody can continue any more."""
        return cls.objects.filter(expires_at__lte=timezone.now())

    @classmethod
    def parts(cls) -> set[str]:
        """The file names of the parts of all uploads under way."""
        return {f"{pk}.part" for pk in cls.objects.filter(recording=None).values_list("pk", flat=True)}


def _public_id() -> str:
    return secrets.token_urlsafe(12)  # 96 bits: nobody can guess the link


class LiveSession(models.Model):
    """A recording that is being made: a person speaks, captions appear, others may watch. See `live`.

    The row gets its recording in the transaction that makes the recording. It stays, so that viewers, and a speaker who
    comes back late, find out what became of the session.
    """

    id = models.CharField("ID", max_length=16, primary_key=True, default=_public_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, verbose_name=_("owner"), related_name="live_sessions"
    )
    title = models.CharField(_("title"), max_length=255, blank=True)
    language = models.CharField(
        _("language"), max_length=16, blank=True, help_text=_("hint for Whisper; empty: detect")
    )
    prompt = models.TextField(_("names and terms"), blank=True, help_text=_("names and terms to expect"))
    public = models.BooleanField(_("public"), default=False, help_text=_("anyone with the link can watch"))
    prepared = models.BooleanField(
        _("prepared"), default=False, help_text=_("only its link was made; it has not begun yet")
    )
    recording = models.OneToOneField(
        Recording, models.CASCADE, null=True, verbose_name=_("recording"), related_name="live_session"
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    ended_at = models.DateTimeField(
        _("ended"), null=True, help_text=_("no more sound comes: stopped, or given up waiting for it")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("live session"), _("live sessions")
        indexes = [models.Index(fields=["owner", "-created_at"], name="live_sessions_of_owner")]

    def __str__(self) -> str:
        return self.title or self.id

    @property
    def sound(self) -> Path:
        """The WAV file that grows while the session is open (see `live.journal`)."""
        return Path(settings.LIVE_ROOT) / f"{self.pk}.wav"


def kept_words(words: Iterable[HeardWord]) -> list[dict[str, Any]]:
    """Words in the shape in which captions and segments keep them: times in seconds, to the millisecond."""
    return [
        {"start": round(word.start, 3), "end": round(word.end, 3), "word": word.word, "probability": word.probability}
        for word in words
    ]


def kept_spans(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Damaged spans in the shape in which a recording keeps them: in seconds, to the millisecond."""
    return [(round(start, 3), round(end, 3)) for start, end in spans]


def kept_tracks(tracks: Iterable[Track]) -> list[dict[str, Any]]:
    """Sound tracks in the shape in which a recording keeps them: at most 64, more than any device records."""
    return [asdict(track) for track in islice(tracks, 64)]


class Caption(models.Model):
    """A final caption of a live session. It is committed before anybody sees it, and never changes."""

    session = models.ForeignKey(LiveSession, models.CASCADE, verbose_name=_("live session"), related_name="captions")
    index = models.PositiveIntegerField(_("number"))
    start = models.FloatField(_("start"), help_text=_("seconds from the start of the session"))
    end = models.FloatField(_("end"), help_text=_("seconds from the start of the session"))
    text = models.TextField(_("text"))
    language = models.CharField(_("language"), max_length=16, blank=True, help_text=_("as Whisper heard it"))
    words = models.JSONField(_("words"), default=list, help_text=_("as in Segment"))

    class Meta:
        verbose_name, verbose_name_plural = _("caption"), _("captions")
        ordering = ["index"]
        constraints = [
            models.UniqueConstraint(fields=["session", "index"], name="one_caption_per_index"),
            models.CheckConstraint(condition=Q(end__gte=models.F("start")), name="caption_ends_after_it_starts"),
        ]

    def __str__(self) -> str:
        return f"{self.session_id}#{self.index}"


class Transcription(models.Model):
    """One run of Whisper over a recording. While it is unfinished, the row is the job: once committed, never lost."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("queued")
        TRANSCRIBING = "transcribing", _("transcribing")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELED = "canceled", _("canceled")

    class Lane(models.TextChoices):
        LIVE = "live", _("live")
        INTERACTIVE = "interactive", _("interactive")
        BATCH = "batch", _("batch")

    UNFINISHED = (Status.QUEUED, Status.TRANSCRIBING)
    MOST_CRASHES = 3  # in a row, then the job fails; two may be bad luck: the fault of another job, a power cut

    recording = models.ForeignKey(Recording, models.CASCADE, verbose_name=_("recording"), related_name="transcriptions")
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.QUEUED)
    lane = models.CharField(_("lane"), max_length=16, choices=Lane, default=Lane.BATCH)
    automatic = models.BooleanField(
        _("automatic"),
        default=False,
        help_text=_("nobody asked for it, so it never takes the place of a text that a person corrected"),
    )
    model = models.CharField(
        _("model"), max_length=128, blank=True, help_text=_("asked for; empty: the server's default")
    )
    language = models.CharField(_("language"), max_length=16, blank=True, help_text=_("asked for; empty: detect"))
    prompt = models.TextField(_("names and terms"), blank=True)
    track = models.PositiveSmallIntegerField(_("sound track"), default=0, help_text=_("asked for; 0: as in Recording"))
    detected_language = models.CharField(_("detected language"), max_length=16, blank=True)
    error_code = models.CharField(_("error"), max_length=32, blank=True)
    error_message = models.TextField(
        _("error message"), blank=True, help_text=_("the server's own words, for the admin; people read the code's")
    )
    segments_done = models.PositiveIntegerField(_("segments done"), default=0)
    segments_total = models.PositiveIntegerField(_("segments in all"), null=True)
    seconds_done = models.FloatField(
        _("seconds done"), default=0, help_text=_("how far into the recording the text reaches")
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    crashes = models.PositiveSmallIntegerField(
        _("crashes"),
        default=0,
        help_text=_("processes that ended uncleanly in a row while they worked on this, and brought no segment"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    held = models.BooleanField(
        _("held"), default=False, help_text=_("a process began to work on it, and is to blame it if it ends uncleanly")
    )
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("transcription"), _("transcriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["recording"],
                condition=Q(status__in=["queued", "transcribing"]),
                name="one_unfinished_transcription_per_recording",
            )
        ]
        indexes = [models.Index(fields=["status", "id"], name="transcription_queue")]

    def __str__(self) -> str:
        return f"{self.recording_id}/{self.pk} {self.status}"

    @property
    def progress(self) -> float:
        """The share of the recording that is transcribed, 0 to 1."""
        return min(1.0, self.seconds_done / self.recording.duration) if self.recording.duration else 0.0

    @property
    def finished(self) -> bool:
        return self.status not in self.UNFINISHED


class Segment(models.Model):
    """A stretch of sound with its text. It is committed once, in full; a person's correction stands beside the text.

    People may split, join and re-time the segments of a finished transcription (see `transcripts.arranging`). A segment
    keeps its index for good, so the order of the text is that of the times.
    """

    transcription = models.ForeignKey(
        Transcription, models.CASCADE, verbose_name=_("transcription"), related_name="segments"
    )
    index = models.PositiveIntegerField(_("number"))
    start = models.FloatField(_("start"), help_text=_("seconds from the start of the recording"))
    end = models.FloatField(_("end"), help_text=_("seconds from the start of the recording"))
    text = models.TextField(_("text"))
    language = models.CharField(_("language"), max_length=16, blank=True, help_text=_("as Whisper heard it"))
    words = models.JSONField(
        _("words"), default=list, help_text=_('[{"start", "end", "word", "probability"}], seconds of the recording')
    )
    correction = models.TextField(_("correction"), null=True, help_text=_("a person's text, kept beside the machine's"))  # noqa: DJ001 null: none made
    version = models.PositiveIntegerField(
        _("version"), default=0, help_text=_("how many times people changed the text")
    )

    class Meta:
        verbose_name, verbose_name_plural = _("segment"), _("segments")
        ordering = ["start", "index"]
        constraints = [
            models.UniqueConstraint(fields=["transcription", "index"], name="one_segment_per_index"),
            models.CheckConstraint(condition=Q(end__gte=models.F("start")), name="segment_ends_after_it_starts"),
        ]

    def __str__(self) -> str:
        return f"{self.transcription_id}#{self.index}"


class GuestLink(models.Model):
    """A link by which guests, who need no account, read a recording until the link expires. See `library.sharing`."""

    recording = models.ForeignKey(Recording, models.CASCADE, verbose_name=_("recording"), related_name="links")
    digest = models.CharField(max_length=64, unique=True, help_text="of the secret, which is kept nowhere")
    ends_with = models.CharField(_("ends with"), max_length=4)
    audio = models.BooleanField(_("with audio"), default=False, help_text=_("guests hear the recording, too"))
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))

    class Meta:
        verbose_name, verbose_name_plural = _("link for guests"), _("links for guests")

    def __str__(self) -> str:
        return f"{self.recording_id} …{self.ends_with}"

    @property
    def expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @classmethod
    def working(cls) -> "models.QuerySet[GuestLink]":
        """The links that have not expired, of people who may sign in."""
        return cls.objects.filter(expires_at__gt=timezone.now(), recording__owner__is_active=True)
