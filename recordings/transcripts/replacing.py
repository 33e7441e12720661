"""Find and replace in the whole text of a recording."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import regex
from asgiref.sync import sync_to_async
from django.db import transaction

from recordings.events import text_changed
from recordings.models import Recording, Segment, Transcription
from recordings.text import LONGEST_CORRECTION
from recordings.transcripts.undoing import Rearranged, rearranged, row
from recordings.transcripts.words import written_text
from transcription.writing import CJK, SOUTHEAST, clusters
from web.problems import Problem

AROUND = 40  # characters of a match's surroundings, on either side: about a line of the page


@dataclass(frozen=True)
class Sought:
    """What is sought. Any white space in it stands for any white space.

    match_case: capital and small letters differ. whole_words: no match begins or ends inside of a word; scripts that
    write no spaces have no such words.
    """

    find: str
    match_case: bool = False
    whole_words: bool = False

    @property
    def pattern(self) -> regex.Pattern[str]:
        text = r"\s+".join(map(regex.escape, self.find.split()))
        if self.whole_words:
            letter = rf"[^\W{CJK}{SOUTHEAST}]"
            text = rf"(?<!{letter}(?={letter})){text}(?!(?<={letter}){letter})"
        return regex.compile(text, 0 if self.match_case else regex.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """A match in a segment, with its surroundings."""

    segment: Segment
    before: str
    found: str
    after: str


def matches_in(shown: Transcription | None, sought: Sought) -> Iterator[Match]:
    """All matches in the text, in order."""
    pattern = sought.pattern
    for segment in Segment.objects.filter(transcription=shown).defer("words"):
        text = written_text(segment)
        for match in pattern.finditer(text):
            before, after = clusters(text[: match.start()][-2 * AROUND :]), clusters(text[match.end() :][: 2 * AROUND])
            yield Match(segment, "".join(before[-AROUND:]), match[0], "".join(after[:AROUND]))


def replace(recording: Recording, shown: Transcription | None, sought: Sought, by: str) -> tuple[int, Rearranged]:
    """Replace every match, as a correction of each segment that has one. The number of matches, and what changed.

    All segments change together or none does. Raises Problem 422 where a text would become too long.
    """
    pattern = sought.pattern
    count = 0
    before: list[dict[str, Any]] = []
    changed: list[Segment] = []
    with transaction.atomic():
        for segment in Segment.objects.filter(transcription=shown).defer("words").select_for_update():
            old = written_text(segment)
            new, times = pattern.subn(lambda _: by, old)
            if new == old:
                continue
            if len(new) > LONGEST_CORRECTION:
                raise Problem("text_too_long", longest=LONGEST_CORRECTION)
            before.append(row(segment, ["correction"]))
            segment.correction = None if new == segment.text.strip() else new
            segment.version += 1
            changed.append(segment)
            count += times
        Segment.objects.bulk_update(changed, ["correction", "version"], batch_size=100)
        if changed:
            text_changed(recording.pk, recording.owner_id)
    return count, rearranged(before, changed, whole=False)


areplace = sync_to_async(replace)
