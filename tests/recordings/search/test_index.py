"""The index of each database finds the same, and goes with the texts."""

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from django.db import connections
from django.db.models import TextField

from recordings.models import Recording, Segment
from recordings.search import postgres
from recordings.search.query import Query
from recordings.search.terms import fold
from tests.support.searched import BEFORE, NAME, SearchedDatabase

TEXTS = [
    "先说预算，再说会议室。",  # 0
    "GPU服务器的价格, Café Société",  # 1
    "naïve foo-bar, and C++ at 100%",  # 2
    "ภาษาไทย สวัสดีครับ",  # 3
    "예산안을 회의에서 정합니다",  # 4
    "Don't panic: it costs $5.50 (or 5,5 €)",  # 5
    "ÀÉÎ Straße ПРИВЕТ мир",  # 6
    "e\u0301te\u0301 naïve",  # 7: accents apart from their letters
    "東京タワーはきれいです",  # 8
    "The budget of the meeting, the meeting of the budget",  # 9
    "會議 会 议",  # 10
    "ＧＰＵ 𠀀𠀁𠀂 हिन्दी में שָׁלוֹם",  # 11
    "It's fifteen per cent_of_all \\ 'quoted'",  # 12
    "",  # 13
]
# For each query, the segments that have it.
FOUND: dict[str, list[int]] = {
    "预算": [0],
    "会议": [0],
    "议室": [0],
    "会议室": [0],
    "室会": [],
    "算再": [],  # a comma stands between
    "预算 会议": [0],
    "会议 预算": [0],
    "会": [0, 10],
    "議": [10],
    "服务": [1],
    "GPU服务器": [1],
    "gpu 服务器": [1],
    "服务器 价格": [1],
    "cafe": [1],
    "CAFÉ soc": [1],
    "société": [1],
    "naive": [2, 7],
    "naïve": [2, 7],
    "foo bar": [2],
    "bar foo": [2],
    '"foo bar"': [2],
    '"bar foo"': [],
    "foo-bar": [2],
    "C++": [2],
    "c": [2],
    "100%": [2],
    "100_": [],
    "100": [2],
    "ภาษา": [3],
    "ไทย": [3],
    "สวัส": [3],
    "예산": [4],
    "회의": [4],
    "don't": [5],
    "don’t": [5],
    "$5.50": [5],
    "€": [],
    "straße": [6],
    "привет": [6],
    "мир привет": [6],
    "été": [7],
    "ete": [7],
    "東京": [8],
    "タワー": [8],
    "きれい": [8],
    "budg": [9],
    "udget": [],
    "budg meeting": [9],
    "bud meeting": [],  # a word before the last one is whole, if it is short
    '"budg meeting"': [],
    '"the meeting of"': [9],
    '"meeting, of the budget"': [9],
    '"meeting the of"': [],
    '"the bud': [9],  # a phrase that is being typed
    "th": [9],
    "th budget": [],
    "𠀀𠀁": [11],
    "𠀁𠀂": [11],
    "हिन्दी": [11],
    "שלום": [],
    "per_cent": [],
    "cent_of": [12],
    "\\ quoted": [12],
    "' OR 1=1 --": [],
    '"': [],
    '""': [],
    '"""会议': [0],
    "AND": [2],
    "NOT budget": [],
    "budget*": [9],
    "terms:budget": [],
    "x\0y": [],
    "nothing": [],
    " ": [],
}


@pytest.fixture(scope="module")
def said(database: SearchedDatabase) -> Recording:
    return database.recording("Said", *TEXTS)


@pytest.mark.parametrize("typed", FOUND)
def test_a_query_finds_the_same_in_both_databases(database: SearchedDatabase, said: Recording, typed: str) -> None:
    assert database.segments(said, typed) == FOUND[typed]


@pytest.mark.parametrize("typed", [typed for typed, numbers in FOUND.items() if numbers])
def test_what_the_index_finds_is_marked_in_the_text(typed: str) -> None:
    query = Query.parse(typed)
    for number in FOUND[typed]:
        assert {term for _, _, term in query.places(TEXTS[number])} == set(range(len(query.terms))), TEXTS[number]


def test_random_texts_are_found_as_they_are_read(database: SearchedDatabase) -> None:
    """The index says the same as a look at each text."""
    dice = random.Random(7)  # noqa: S311
    letters = [*"aab é会会议议议 。,", "the ", " th", "ü", "ア"]
    texts = ["".join(dice.choices(letters, k=dice.randint(1, 14))) for _ in range(150)]
    recording = database.recording("Random", *texts)
    cuts = [text[slice(*sorted(dice.sample(range(len(text) + 1), 2)))] for text in texts if text]
    for typed in [*cuts, *(f"{one} {other}" for one, other in pairwise(cuts)), *(f'"{cut}"' for cut in cuts)]:
        query = Query.parse(typed)
        read = [n for n, text in enumerate(texts) if query and all(t.pattern.search(fold(text)) for t in query.terms)]
        assert database.segments(recording, typed) == read, typed


def test_what_was_there_before_the_migration_is_found(database: SearchedDatabase) -> None:
    assert database.before
    assert database.segments(database.before, "sentence") == list(range(20))
    assert database.segments(database.before, "第19句") == [19]
    assert database.titled("会议 bef") == ["会议 before"]


def corrected(segment: Segment) -> None:
    Segment.objects.using(NAME).filter(pk=segment.pk).update(correction="改正 sheep", version=1)


def corrected_back(segment: Segment) -> None:
    corrected(segment)
    Segment.objects.using(NAME).filter(pk=segment.pk).update(correction=None, version=2)


def emptied(segment: Segment) -> None:
    Segment.objects.using(NAME).filter(pk=segment.pk).update(correction="")


def renumbered(segment: Segment) -> None:
    Segment.objects.using(NAME).filter(pk=segment.pk).update(index=5)


def counted(segment: Segment) -> None:
    Segment.objects.using(NAME).filter(pk=segment.pk).update(version=9)


def saved(segment: Segment) -> None:
    segment.text = "改正 sheep"
    segment.save()


@pytest.mark.parametrize(
    ("change", "old", "new"),
    [
        (counted, [1], []),
        (corrected, [], [1]),
        (corrected_back, [1], []),
        (emptied, [], []),
        (renumbered, [5], []),
        (saved, [], [1]),
        (Segment.delete, [], []),
    ],
)
def test_the_index_goes_with_a_text(
    database: SearchedDatabase, change: Callable[[Segment], None], old: list[int], new: list[int]
) -> None:
    recording = database.recording("Changed", "other", "先说预算 ship")
    change(Segment.objects.using(NAME).get(transcription__recording=recording, index=1))
    for typed in ("ship", "预算"):
        assert database.segments(recording, typed) == old
    for typed in ("sheep", "改正"):
        assert database.segments(recording, typed) == new
    assert database.segments(recording, "other") == [0]


def test_the_index_goes_with_a_title_and_with_the_recording(database: SearchedDatabase) -> None:
    recording = database.recording("Retrospective 回顾", "quokka")
    run = recording.transcriptions.get().pk
    Recording.objects.using(NAME).filter(pk=recording.pk).update(title="Standup 周会 100%")
    assert (database.titled("回顾"), database.titled("retro")) == ([], [])
    assert database.titled("周会") == database.titled("stand 100%") == ["Standup 周会 100%"]
    assert database.titled("100_") == []
    recording.delete(using=NAME)
    assert database.titled("周会") == []
    assert database.index.segments(Query.parse("quokka"), [run], 9) == []


def test_hits_are_counted_and_the_first_ones_named(database: SearchedDatabase) -> None:
    one, other = (database.recording("Counted", *["gnu"] * number, "none") for number in (5, 2))
    runs = [recording.transcriptions.get().pk for recording in (one, other)]
    assert database.index.segments(Query.parse("gnu"), runs, 3) == [
        *((runs[0], number, 5) for number in range(3)),
        *((runs[1], number, 2) for number in range(2)),
    ]


def test_the_first_hits_are_those_that_are_said_first(database: SearchedDatabase) -> None:
    recording = database.recording("Ordered", *["gnu"] * 3)
    segments = Segment.objects.using(NAME).filter(transcription__recording=recording)
    segments.filter(index=0).update(start=7, end=8)  # as where a person has split a segment
    assert database.segments(recording, "gnu") == [1, 2, 0]
    run = recording.transcriptions.get().pk
    assert database.index.segments(Query.parse("gnu"), [run], 1) == [(run, 1, 3)]


def test_common_words_are_known_in_advance(database: SearchedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    in_postgres = database.connection.vendor == "postgresql"  # SQLite needs no guess
    query = Query.parse("sentence")
    assert not database.index.common(query)
    monkeypatch.setattr(postgres, "COMMON", 1)
    assert database.index.common(query) == in_postgres


def test_a_long_text_is_read_to_a_bound(database: SearchedDatabase) -> None:
    recording = database.recording("Long", "词" * 9_990 + "末尾处", "word " * 1_999 + "final", "x" * 5_000)
    assert database.segments(recording, "末尾") == [0]
    assert database.segments(recording, "final") == [1]
    assert database.segments(recording, "x" * 200) == [2]


def test_a_table_that_a_migration_rebuilds_keeps_its_index(database: SearchedDatabase) -> None:
    """On SQLite Django makes the table anew, which takes its triggers."""
    recording = database.recording("Rebuilt", "okapi")
    for model, name in ((Segment, "text"), (Recording, "title")):
        old: Any = model._meta.get_field(name)
        new = TextField(null=True)
        new.set_attributes_from_name(name)
        with connections[NAME].schema_editor() as editor:
            editor.alter_field(model, old, new)
        with connections[NAME].schema_editor() as editor:
            editor.alter_field(model, new, old)
    database.migrate()
    assert database.segments(recording, "okapi") == [0]
    corrected(Segment.objects.using(NAME).get(transcription__recording=recording))
    assert database.segments(recording, "okapi") == []
    assert database.segments(recording, "sheep") == [0]
    Recording.objects.using(NAME).filter(pk=recording.pk).update(title="Renamed")
    assert (database.titled("rebuilt"), database.titled("renamed")) == ([], ["Renamed"])


def test_the_index_goes_and_comes_back_with_its_migration(database: SearchedDatabase) -> None:
    recording = database.recording("Twice", "tapir")
    database.migrate("recordings", BEFORE)
    corrected(Segment.objects.using(NAME).get(transcription__recording=recording))
    database.migrate()
    assert database.segments(recording, "tapir") == []
    assert database.segments(recording, "sheep") == [0]
