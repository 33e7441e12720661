"""Transcripts as files: readable cues, times that fit the words, and text that never becomes markup."""

import io
import json
import unicodedata
from datetime import UTC, datetime
from itertools import pairwise

import pysubs2
import pytest
from django.utils import translation
from docx import Document
from docx.oxml.ns import qn
from hypothesis import given, settings
from hypothesis import strategies as st

from recordings.models import Recording, Segment, Transcription
from recordings.transcripts.cues import Cue, cues
from recordings.transcripts.docx_file import as_docx
from recordings.transcripts.exports import SRT_SAFE, as_json, as_md, as_srt, as_txt, as_vtt
from recordings.transcripts.transcript import FullTranscript
from recordings.transcripts.words import shown_words
from transcription.writing import clusters

ENGLISH = (
    " Mrs. Dashwood had been informed, by her husband, of the solemn promise; it lightened his last earthly "
    "reflections. She did not doubt its sincerity, any more than he had doubted it himself. No."
)
MADE_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
CHINESE = "大家好，今天我们讨论三个问题：第一，预算；第二，人手；第三，什么时候可以把新版本的软件交给客户使用。谁先说？"


def segment(text: str, start: float = 0.0, *, pace: float = 0.3, correction: str | None = None) -> Segment:
    """A segment as Whisper gives it: a Latin word has a space before it, a Chinese word is one character.

    pace: seconds for each word.
    """
    pieces = [f" {word}" for word in text.split()] if " " in text.strip() else list(text)
    words = [
        {"start": start + n * pace, "end": start + (n + 1) * pace, "word": piece, "probability": 0.9}
        for n, piece in enumerate(pieces)
    ]
    end = start + len(pieces) * pace
    return Segment(index=0, start=start, end=end, text=text, words=words, correction=correction)


def transcript(*segments: Segment, title: str = "Meeting") -> FullTranscript:
    run = Transcription(status="done", detected_language="en")
    return FullTranscript(Recording(title=title, duration=100.0, created_at=MADE_AT), run, segments)


def width(line: str) -> float:
    """The width of a line in Latin letters: 7/3 for a full-width sign, nothing for marks on letters and in emoji."""
    found = clusters(line)
    return sum(7 / 3 if any(unicodedata.east_asian_width(c) in "WF" for c in cluster) else 1 for cluster in found)


def letters(text: str) -> str:
    return "".join(text.split())


def check(found: list[Cue]) -> None:
    for cue in found:
        assert 1 <= len(cue.lines) <= 2
        assert all(width(line) <= 42.001 for line in cue.lines)
        assert all(line == line.strip() != "" for line in cue.lines)
        assert 0.039 < cue.end - cue.start <= 7.001
    for before, after in pairwise(found):
        assert before.end <= after.start


def test_cues_end_where_phrases_end_and_keep_to_the_words_times() -> None:
    source = segment(ENGLISH, start=10)
    found = cues([shown_words(source)])
    check(found)
    assert {cue.lines[-1][-1] for cue in found} <= set(",;.")
    words = {word["word"].strip(): word for word in source.words}
    assert found[0].start == 10
    for cue in found:
        assert (cue.start, cue.end) == (
            words[cue.lines[0].split()[0]]["start"],
            words[cue.lines[-1].split()[-1]]["end"],
        )
    assert all(cue.end - cue.start >= 1 for cue in found)


def test_chinese_cues_have_lines_of_18_that_begin_with_no_comma() -> None:
    found = cues([shown_words(segment(CHINESE, pace=0.2))])
    check(found)
    assert all(len(line) <= 18 for cue in found for line in cue.lines)
    assert all(line[0] not in "，。：；？" for cue in found for line in cue.lines)
    assert "".join("".join(cue.lines) for cue in found) == CHINESE


def test_a_short_word_stays_long_enough_to_be_read_without_covering_the_next() -> None:
    found = cues([shown_words(segment(" Yes.", 5, pace=0.2)), shown_words(segment(" No.", 5.5, pace=0.2))])
    check(found)
    assert [(cue.start, cue.end) for cue in found] == [(4.5, 5.5), (5.5, 6.5)]


def test_a_word_longer_than_a_line_is_cut() -> None:
    found = cues([shown_words(segment("x" * 100 + " end", pace=5))])
    check(found)
    assert letters("".join("".join(cue.lines) for cue in found)) == "x" * 100 + "end"


SCRIPTS = {
    "Thai": "ภาษาไทยเขียนติดกันไม่มีช่องว่างระหว่างคำและมีวรรณยุกต์อยู่เหนือพยัญชนะการตัดบรรทัดต้องระวังไม่ให้เครื่องหมายหลุดไปอยู่ต้นบรรทัดใหม่",
    "Lao": "ພາສາລາວຂຽນຕິດກັນໂດຍບໍ່ມີຊ່ອງຫວ່າງລະຫວ່າງຄຳແລະມີວັນນະຍຸດຢູ່ເທິງພະຍັນຊະນະດັ່ງນັ້ນຕ້ອງລະວັງ",
    "Khmer": "ភាសាខ្មែរសរសេរជាប់គ្នាដោយគ្មានដកឃ្លារវាងពាក្យនិងមានស្រៈនៅជុំវិញព្យញ្ជនៈដូច្នេះត្រូវប្រុងប្រយ័ត្ន",
    "Burmese": "မြန်မာစာကိုစကားလုံးများကြားတွင်နေရာမခြားဘဲရေးသည်ထို့ကြောင့်စာကြောင်းဖြတ်ရာတွင်သတိထားရမည်",
    "Tibetan": "བོད་ཡིག་ནི་ཚེག་གིས་བར་མཚམས་བཅད་ནས་འབྲི་བ་ཡིན་པས་ཡིག་ཕྲེང་གཅོད་སྐབས་གཟབ་དགོས་པ་ཡིན་ནོ",
    "Hindi without spaces": "हिन्दीमेंशब्दोंकेबीचरिक्तस्थानहोतेहैंपरन्तुयहाँनहींहैंइसलिएपंक्तिकोसावधानीसेकाटनाचाहिए" * 2,
    "Vietnamese in two forms": unicodedata.normalize("NFD", "Tiếng Việt có rất nhiều dấu trên các chữ cái của nó " * 3),
    "emoji": "👨‍👩‍👧‍👦🇩🇪👍🏽☀️" * 20,
    "one word with marks": "e\u0301" * 200,
    "Hebrew with points": "בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם וְאֵת הָאָרֶץ " * 3,
    "Korean as single letters": unicodedata.normalize("NFD", "안녕하세요반갑습니다오늘은날씨가좋습니다" * 4),
}


@pytest.mark.parametrize("said", SCRIPTS)
@pytest.mark.parametrize("known", [True, False], ids=["with words", "without words"])
def test_no_line_begins_with_a_mark_of_the_letter_before(said: str, known: bool) -> None:
    text = SCRIPTS[said].strip()
    source = segment(text, pace=0.1) if known else Segment(index=0, start=0.0, end=60.0, text=text, words=[])
    found = cues([shown_words(source)])
    check(found)
    lines = [line for cue in found for line in cue.lines]
    assert len(lines) > 1
    assert "".join(map(letters, lines)) == letters(text)
    assert clusters("".join(map(letters, lines))) == [cluster for line in lines for cluster in clusters(letters(line))]


def test_thai_is_cut_between_words() -> None:
    said = "วันนี้ เรา จะ ไป ที่ ตลาด เพื่อ ซื้อ ผัก และ ผลไม้ สำหรับ ครอบครัว ของ เรา แล้ว กลับ บ้าน มา ทำ อาหาร เย็น ด้วยกัน"
    words = said.split()
    found = cues([shown_words(Segment(index=0, start=0.0, end=20.0, text="".join(words), words=[]))])
    ends = {len("".join(words[:n])) for n in range(1, len(words) + 1)}
    at, cut = 0, []
    for line in (line for cue in found for line in cue.lines):
        at += len(line)
        cut.append(at)
    assert len(cut) > 2
    assert set(cut) <= ends


SAID = (
    "the committee will meet again on thursday morning to settle what is left of the budget and to hear the report of "
    "the treasurer about the roof which has been leaking since the storm in march and cannot wait for another winter"
)
LONG = SAID.split()


def timed(*times: tuple[float, float]) -> list[dict[str, object]]:
    return [{"word": f" {word}", "start": start, "end": end} for word, (start, end) in zip(LONG, times, strict=True)]


@pytest.mark.parametrize(
    ("times", "end"),
    [
        ([(min(n * 0.4, 8.0), min(n * 0.4 + 0.35, 8.0)) for n in range(len(LONG))], 15.0),  # room behind
        ([(14.9, 14.9)] * len(LONG), 15.0),  # room before
        ([(0.0, 0.0)] * len(LONG), 15.0),
        ([(7.0, 7.0)] * len(LONG), 7.0),  # room before, none behind
        ([(n * 0.4, n * 0.4) for n in range(len(LONG))], 16.0),  # no word has a length
        ([(n * 0.2, n * 0.2 + 0.2) for n in range(20)] + [(4.0, 4.0)] * (len(LONG) - 20), 4.0),
        ([(0.0, 15.0)] * len(LONG), 15.0),  # each word has all the time
        ([(15.0 - n * 0.4, 15.0 - n * 0.4) for n in range(len(LONG))], 15.0),  # backwards
    ],
)
def test_words_without_length_share_the_room_there_is(times: list[tuple[float, float]], end: float) -> None:
    source = Segment(index=0, start=0.0, end=end, text=SAID, words=timed(*times))
    found = cues([shown_words(source), shown_words(segment(" Next.", end + 5))])
    check(found)
    assert all(cue.end - cue.start >= 0.2 for cue in found)
    for line in as_srt(transcript(source)).splitlines():
        if " --> " in line:
            begin, until = line.split(" --> ")
            assert begin < until


def test_a_text_without_any_room_is_shown_all_the_same() -> None:
    crowded = [Segment(index=n, start=3.0, end=3.0, text=SAID, words=[]) for n in range(3)]
    found = cues(map(shown_words, crowded))
    check(found)
    assert letters("".join(line for cue in found for line in cue.lines)) == letters(SAID) * 3


@pytest.mark.parametrize("source", [ENGLISH, CHINESE, "混合 mixed 文字 with English，还有“引号”。"])
def test_subtitles_parse_back_to_the_same_text_and_times(source: str) -> None:
    made = transcript(segment(source), segment(" Next one.", 60))
    for text in (as_srt(made), as_vtt(made)):
        parsed = pysubs2.SSAFile.from_string(text)
        assert letters("".join(event.plaintext for event in parsed)) == letters(source + "Next one.")
        assert [(e.start, e.end) for e in parsed] == [
            (round(cue.start * 1000), round(cue.end * 1000)) for cue in made.cues
        ]
        assert all(event.plaintext.count("\n") <= 1 for event in parsed)


HOSTILE = (
    "<b>x</b> {\\an8} --> 00:00:01,000 & \n\n2\n00:00 --> 00:01 \\N <script> WEBVTT NOTE "
    "[a](http://b.c) _x_ # | www.d.e"
)


def test_nothing_that_was_said_or_typed_becomes_markup_or_a_cue() -> None:
    typed = segment(ENGLISH, correction=HOSTILE)
    made = transcript(typed, title="# <b>*x*</b>\n# y")
    srt, vtt, md = as_srt(made), as_vtt(made), as_md(made)
    assert len(pysubs2.SSAFile.from_string(srt, format_="srt")) == len(made.cues)
    assert not {"<", "{", "\\"} & set(srt)
    assert srt.count("-->") == vtt.count("-->") == len(made.cues)
    assert "<" not in vtt
    assert "&lt;script&gt;" in vtt
    assert "\\<script\\>" in md
    assert "\\[a\\](http\\://b.c) \\_x\\_ \\# \\|" in md
    assert all(line.startswith(("# \\# \\<b", "**00:00:00**")) for line in md.splitlines() if line)


def opened(made: FullTranscript) -> list[str]:
    """The paragraphs of the transcript's Word document, as a reader of such documents finds them."""
    return [paragraph.text for paragraph in Document(io.BytesIO(as_docx(made))).paragraphs]


def test_a_word_document_has_title_date_and_a_timed_paragraph_for_each_segment() -> None:
    made = transcript(segment(ENGLISH), segment("", 30), segment(CHINESE, 3725), title="会议 ☕ reunión")
    with translation.override("zh-hans"):
        assert opened(made) == [
            "会议 ☕ reunión",
            "2026年11月24日",
            f"00:00:00  {ENGLISH.strip()}",
            f"01:02:05  {CHINESE}",
        ]
    about = Document(io.BytesIO(as_docx(made))).core_properties
    assert (about.title, about.author, about.comments) == ("会议 ☕ reunión", "", "")
    assert about.created == MADE_AT


def test_a_word_document_keeps_hostile_text_as_text() -> None:
    hostile = f"{HOSTILE} \x00\x0b\ufffe {{HYPERLINK}} =1+1"
    said = opened(transcript(segment(ENGLISH, correction=hostile), title="<w:t>x</w:t>\x01"))
    assert said[0] == "<w:t>x</w:t>"
    assert said[2].split() == ["00:00:00", *HOSTILE.split(), "{HYPERLINK}", "=1+1"]


def test_a_script_from_the_right_begins_at_the_right() -> None:
    document = Document(io.BytesIO(as_docx(transcript(segment("مرحبا بالعالم"), segment("Hello world"), title="x"))))
    arabic, english = document.paragraphs[2:]
    assert [len(list(paragraph._p.iter(qn("w:bidi")))) for paragraph in (arabic, english)] == [1, 0]
    assert [run.font.rtl for run in (*arabic.runs, *english.runs)] == [None, True, None, None]


def test_a_correction_is_used_everywhere_with_the_times_of_the_words_that_stayed() -> None:
    source = segment(" Helo there my friend.", correction="Hello there, dear old friend.")
    made = transcript(source)
    timed = {word.text: word for word in shown_words(source)}
    assert (timed["there,"].start, timed["there,"].end) == pytest.approx((0.3, 0.6))
    assert timed["Hello"].end == pytest.approx(0.3)
    assert 0.6 <= timed["dear"].start < timed["old"].start < timed["old"].end <= timed["friend."].start
    for text in (as_txt(made), as_srt(made), as_vtt(made), as_md(made)):
        assert "Hello there, dear old friend." in text.replace("\n", " ")
        assert "Helo" not in text
    data = json.loads(as_json(made))
    assert data["text"] == "Hello there, dear old friend."
    assert "".join(word["word"] for word in data["segments"][0]["words"]) == data["text"]
    assert {word["probability"] for word in data["segments"][0]["words"]} == {None}


def test_a_segment_without_words_spreads_its_text_over_its_time() -> None:
    source = Segment(index=0, start=2.0, end=6.0, text="one two three four", words=[])
    found = shown_words(source)
    assert (found[0].start, found[-1].end) == (2.0, 6.0)
    assert [word.text for word in found] == ["one", "two", "three", "four"]
    assert all(a.end == pytest.approx(b.start) for a, b in pairwise(found))


def test_silence_makes_empty_files_that_are_still_valid() -> None:
    made = transcript(Segment(index=0, start=0, end=1, text="", words=[]))
    assert (as_txt(made), as_srt(made), as_vtt(made)) == ("", "", "WEBVTT\n\n")
    assert json.loads(as_json(made))["text"] == ""


pieces = st.sampled_from([*CHINESE, *ENGLISH.split(), *" ,.!“”()<>&{}\\-\n0", "Donaudampfschifffahrtsgesellschaft"])
texts = st.lists(st.one_of(pieces, pieces, pieces, st.characters()), max_size=150).map("".join)


@settings(max_examples=150)
@given(texts, texts, st.floats(0.01, 3))
def test_any_text_makes_cues_that_fit_and_files_that_parse(said: str, typed: str, pace: float) -> None:
    source = segment(said, pace=pace, correction=typed)
    made = transcript(source)
    found = made.cues
    check(found)
    shown = letters(typed)
    assert letters("".join("".join(cue.lines) for cue in found)) == shown
    srt, vtt = as_srt(made), as_vtt(made)
    assert srt.count(" --> ") == vtt.count(" --> ") == len(found)
    assert letters("".join(line for line in srt.splitlines() if " --> " not in line and not line.isdigit())) == letters(
        "".join(line for cue in found for line in cue.lines if not line.isdigit())
    ).translate(SRT_SAFE)
