"""Where the segments of a text begin and end: splitting one, joining two, other times for one.

A segment keeps its index, by which pages and programs know it. The order of a text is that of the times. Words keep the
times at which they were heard, and machine texts stay beside corrections: both are cut and joined with the segment.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from asgiref.sync import sync_to_async
from django.db import transaction
from django.db.models import Max, QuerySet

from recordings.events import text_changed
from recordings.models import Recording, Segment, Transcription
from recordings.text import LONGEST_CORRECTION
from recordings.transcripts.corrections import EditConflict
from recordings.transcripts.undoing import Rearranged, rearranged, row
from recordings.transcripts.words import border_in, written_text
from transcription.writing import join as join_texts
from web.problems import Problem, not_found

SHORTEST = 0.1  # seconds of a segment: nobody says a word in less
Rows = QuerySet[Segment]
P = ParamSpec("P")


def _arranges(
    change: Callable[Concatenate[Recording, Rows, P], Rearranged],
) -> Callable[Concatenate[Recording, Transcription | None, P], Rearranged]:
    """Run the change in a transaction, alone among those of this transcription, and tell open pages afterwards.

    Raises Problem 409 while the transcription is under way: its stretches come by their index.
    """

    @wraps(change)
    def arrange(recording: Recording, shown: Transcription | None, /, *args: P.args, **kwargs: P.kwargs) -> Rearranged:
        with transaction.atomic():
            run = shown and Transcription.objects.select_for_update().filter(pk=shown.pk).first()
            if run is None:
                raise not_found()
            if not run.finished:
                raise Problem("still_transcribing")
            done = change(recording, Segment.objects.filter(transcription=run), *args, **kwargs)
            text_changed(recording.pk, recording.owner_id)
        return done

    return arrange


def _read(rows: Rows, index: int, version: int | None) -> Segment:
    """The segment. Raises Problem 404 where there is none, EditConflict where it has another version."""
    segment = rows.select_for_update().filter(index=index).first()
    if segment is None:
        raise not_found()
    if version is not None and segment.version != version:
        raise EditConflict(segment)
    return segment


@_arranges
def split(recording: Recording, rows: Rows, index: int, texts: tuple[str, str], version: int | None) -> Rearranged:
    """Split a segment into two with these texts. The second one is new, and begins with its first word.

    Raises Problem 422 where a text is empty or the segment too short.
    """
    first = _read(rows, index, version)
    if not all(text.strip() for text in texts):
        raise Problem("nothing_to_split")
    if first.end - first.start < 2 * SHORTEST:
        raise Problem("too_short")
    before = row(first)
    border = border_in(first.text, *texts)
    heads, tails = _cut_words(first, border)
    until, begin = _gap(first, heads, tails, border)
    highest = rows.aggregate(last=Max("index"))["last"]
    second = Segment(
        transcription_id=first.transcription_id, index=highest + 1, start=begin, end=first.end, language=first.language
    )
    machine = first.text[:border].strip(), first.text[border:].strip()
    for part, text, own, words in zip((first, second), texts, machine, (heads, tails), strict=True):
        part.text, part.words = own, words
        part.correction = None if text.split() == own.split() else text.strip()
    first.end = until
    first.version += 1
    second.version = 1
    first.save()
    second.save(force_insert=True)
    return rearranged([before], [first, second])


def _cut_words(segment: Segment, border: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The words before and behind this place in the machine's text. A word that the border cuts is cut in time too."""
    left = len("".join(segment.text[:border].split()))
    whole = len("".join(segment.text.split()))
    spoken = sum(len("".join(word["word"].split())) for word in segment.words)
    if spoken != whole:  # the server's words are not those of its text
        left = round(left * spoken / max(1, whole))
    heads: list[dict[str, Any]] = []
    tails: list[dict[str, Any]] = []
    for word in segment.words:
        letters = word["word"].strip()
        size = len("".join(letters.split()))
        if size <= left:
            (tails if tails else heads).append(word)
        elif left <= 0:
            tails.append(word)
        else:
            middle = round(word["start"] + (word["end"] - word["start"]) * left / size, 3)
            heads.append(word | {"word": word["word"][: len(word["word"]) - len(letters) + left], "end": middle})
            tails.append(word | {"word": letters[left:], "start": middle})
        left -= size
    return heads, tails


def _gap(segment: Segment, heads: list[Any], tails: list[Any], border: int) -> tuple[float, float]:
    """The end of the first part and the start of the second: the silence between two words belongs to neither."""
    share = segment.start + (segment.end - segment.start) * border / max(1, len(segment.text))
    begin = tails[0]["start"] if tails else (heads[-1]["end"] if heads else share)
    begin = min(max(begin, segment.start + SHORTEST), segment.end - SHORTEST)
    until = heads[-1]["end"] if heads and tails else begin
    return round(min(max(until, segment.start + SHORTEST), begin), 3), round(begin, 3)


@_arranges
def join(
    recording: Recording, rows: Rows, index: int, version: int | None, next_version: int | None = None
) -> Rearranged:
    """Join a segment with the next one that pages show. Those between them, in which nothing was said, go.

    Raises Problem 409 where none follows, 422 where the text would become too long.
    """
    first = _read(rows, index, version)
    later = [one for one in rows.select_for_update() if (one.start, one.index) > (first.start, first.index)]
    number = next((number for number, one in enumerate(later) if one.text.strip() or one.correction), None)
    if number is None:
        raise Problem("no_next_segment")
    parts = [first, *later[: number + 1]]
    second = parts[-1]
    if next_version is not None and second.version != next_version:
        raise EditConflict(second)
    before = [row(part) for part in parts]
    texts = [written_text(part) for part in parts]
    corrected = any(part.correction is not None for part in parts)
    first.text = join_texts(part.text.strip() for part in parts)
    correction = join_texts(texts)
    first.correction = correction if corrected and correction != first.text else None
    if max(len(first.text), len(correction)) > LONGEST_CORRECTION:
        raise Problem("text_too_long", longest=LONGEST_CORRECTION)
    first.words = [word for part in parts for word in part.words]
    first.end = max(first.end, second.end)
    first.version += 1
    gone = [part.index for part in parts[1:]]
    rows.filter(index__in=gone).delete()
    first.save()
    return rearranged(before, [first], gone)


@_arranges
def retime(recording: Recording, rows: Rows, index: int, start: float, end: float, version: int | None) -> Rearranged:
    """Give a segment other times, in seconds of the recording. A segment that moves takes its words along. Where it
    only gets longer or shorter, they stay at the times at which they were heard.

    Raises Problem 422 where it would be too short, or reach into its neighbours.
    """
    segment = _read(rows, index, version)
    start, end = round(start, 3), round(end, 3)
    others = [(one.start, one.end) for one in rows.exclude(index=index).only("start", "end", "index")]
    lowest = max((until for begin, until in others if begin <= segment.start), default=0.0)
    highest = min((begin for begin, _ in others if begin > segment.start), default=recording.duration)
    # A segment that reaches into its neighbours already may stay as it is.
    lowest, highest = min(lowest, segment.start), max(highest, segment.end)
    if not lowest <= start < end <= highest:
        raise Problem("times_taken", start=f"{lowest:.2f}", end=f"{highest:.2f}")
    if end - start < SHORTEST:
        raise Problem("too_short")
    before = row(segment)
    moved = start - segment.start
    if abs(end - segment.end - moved) < 0.0015:  # both borders, but for what milliseconds round
        segment.words = [
            word | {"start": round(word["start"] + moved, 3), "end": round(word["end"] + moved, 3)}
            for word in segment.words
        ]
    segment.start, segment.end = start, end
    segment.version += 1
    segment.save()
    return rearranged([before], [segment])


asplit, ajoin, aretime = sync_to_async(split), sync_to_async(join), sync_to_async(retime)
