# ruff: noqa: E501 (a case is a line)
"""The text of an answer is kept whatever else the answer has or lacks; times are kept where they are valid."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transcription.answer import Transcript, read_answer
from transcription.errors import AnswerError

SECONDS = 30.0
HELLO = {"text": "Hello there.", "language": "en", "duration": 2.0}


def heard(body: Any, seconds: float = SECONDS) -> tuple[Transcript, list[str]]:
    """The transcript of an answer, and what was noted about it."""
    notes: list[str] = []
    content = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    return read_answer(200, {}, content, seconds, notes.append), notes


def word(text: str, start: Any = None, end: Any = None, **more: Any) -> dict[str, Any]:
    return (
        {"word": text} | {name: value for name, value in (("start", start), ("end", end)) if value is not None} | more
    )


def spans(body: Any) -> list[tuple[str, float, float]]:
    """The words of an answer with their times."""
    return [(each.word.strip(), round(each.start, 3), round(each.end, 3)) for each in heard(body)[0].words]


BODIES: dict[str, tuple[Any, str]] = {
    "text alone": ({"text": " Hello there. "}, "Hello there."),
    "nothing said": ({"text": ""}, ""),
    "a text that speaks of errors": ({"text": "error: none", "error": None}, "error: none"),
    "an error beside the text": ({"text": "Hello.", "error": "could not align"}, "Hello."),
    "the text of its segments": ({"text": None, "segments": [{"text": " Hello"}, {"text": " there."}]}, "Hello there."),
    "no text, but segments": ({"segments": [{"text": "Hello."}, {"text": "There."}]}, "Hello. There."),
    "segments in Chinese": ({"segments": [{"text": "你好。"}, {"text": "再见。"}]}, "你好。再见。"),
    "whisperX": ({"segments": [{"start": 0, "end": 1, "text": " Hello."}], "word_segments": []}, "Hello."),
    "a list of texts": ({"text": ["Hello", "there."]}, "Hello there."),
    "FunASR": ([{"key": "a", "text": "Hello there."}], "Hello there."),
    "an object around it": ({"result": {"text": "Hello there."}}, "Hello there."),
    "another name": ({"transcript": "Hello there."}, "Hello there."),
    "whisper.cpp's command": ({"result": {"language": "en"}, "transcription": [{"offsets": {"from": 0, "to": 900}, "text": " Hello"}]}, "Hello"),
    "words alone": ({"words": [word(" Hello", 0, 1), word(" there.", 1, 2)]}, "Hello there."),
    "a JSON text": ('"Hello there."', "Hello there."),
    "plain text": ("Hello there.\n", "Hello there."),
    "plain text in Chinese": ("你好，世界。", "你好，世界。"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(HELLO).encode(), "Hello there."),
    "UTF-16": (json.dumps(HELLO).encode("utf-16"), "Hello there."),
    "something behind it": (json.dumps(HELLO) + "\n<!-- served by x -->", "Hello there."),
    "lines of JSON": ('{"text": "Hello"}\n{"text": "there."}\n', "Hello there."),
    "lines of JSON that grow": ('{"text": "Hello"}\n{"text": "Hello there."}\n', "Hello there."),
    "OpenAI's events": (
        'data: {"type": "transcript.text.delta", "delta": "Hel"}\n\ndata: {"type": "transcript.text.delta", "delta": "lo."}\n\n'
        'data: {"type": "transcript.text.done", "text": "Hello."}\n\n', "Hello.",
    ),
    "vLLM's events": (
        'data: {"choices": [{"delta": {"content": " Hello"}}]}\n\ndata: {"choices": [{"delta": {"content": " there."}}]}\n\n'
        "data: [DONE]\n\n", "Hello there.",
    ),
    "half a character": ('{"text": "h\\u0000i\\ud800"}', "hi?"),
    "bytes that are no UTF-8": (b'{"text": "caf\xe9"}', "caf\ufffd"),
    "a number of 5,000 digits": ('{"text": "Hello.", "seed": 1' + "0" * 5000 + "}", "Hello."),
    "depths behind the text": ('{"text": "Hello.", "segments": ' + "[" * 100_000, "Hello."),
    "NaN and infinity": ('{"text": "Hello.", "duration": NaN, "segments": [{"start": -Infinity, "end": Infinity, "text": "Hello."}]}', "Hello."),
}  # fmt: skip


@pytest.mark.parametrize(("body", "text"), BODIES.values(), ids=BODIES)
def test_the_text_is_found(body: Any, text: str) -> None:
    assert heard(body)[0].text == text


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>Welcome to nginx!</body></html>",
        "\n  <!DOCTYPE html><title>Sign in</title>",
        '{"error": "boom"}',
        '{"text": "", "error": "boom"}',
        '{"text": null, "error": {"message": "boom"}}',
        '{"detail": "boom"}',
        '{"text": 42}',
        '{"text": true}',
        "{}",
        "[1, 2]",
        "null",
        "",
        "   ",
        '{"text": "cut of',
        "Internal Server Error",
        "upstream connect error or disconnect/reset before headers",
        "Traceback (most recent call last):\n  File",
        b"\x00\xff\x00\xff",
        b"\x89PNG\r\n\x1a\n",
        "[" * 100_000,
        '{"a": ' * 100_000,
    ],
)
def test_what_is_no_transcript_stays_an_error(body: Any) -> None:
    with pytest.raises(AnswerError):
        heard(body)


WHOLE = [("Hello", 0.0, 1.0), ("there.", 1.0, 2.0)]
TIMES: dict[str, tuple[Any, list[tuple[str, float, float]]]] = {
    "as OpenAI": ({"words": [word("Hello", 0, 1), word("there.", 1, 2)]}, WHOLE),
    "inside segments": ({"segments": [{"start": 0, "end": 2, "text": "Hello there.", "words": [word(" Hello", 0, 1), word(" there.", 1, 2)]}]}, WHOLE),
    "keyed text": ({"words": [{"text": "Hello", "start": 0, "end": 1}, {"text": "there.", "start": 1, "end": 2}]}, WHOLE),
    "as texts": ({"words": [word("Hello", "0", "1.0s"), word("there.", "1000ms", "00:00:02,000")]}, WHOLE),
    "Hugging Face's words": ({"chunks": [{"text": " Hello", "timestamp": [0, 1]}, {"text": " there.", "timestamp": [1, 2]}]}, WHOLE),
    "whisper.cpp's milliseconds": ({"words": [{"text": "Hello", "offsets": {"from": 0, "to": 1000}}, {"text": "there.", "offsets": {"from": 1000, "to": 2000}}]}, WHOLE),
    "hundredths": ({"words": [{"word": "Hello", "t0": 0, "t1": 100}, {"word": "there.", "t0": 100, "t1": 200}]}, WHOLE),
    "whisperX: a numeral": ({"text": "Room 42 now", "words": [word("Room", 0, 1), word("42"), word("now", 2, 3)]}, [("Room", 0, 1), ("42", 1, 2), ("now", 2, 3)]),
    "two numerals": ({"text": "a 1 2 b", "words": [word("a", 0, 1), word("1"), word("2"), word("b", 2, 3)]}, [("a", 0, 1), ("1", 1, 1.5), ("2", 1.5, 2), ("b", 2, 3)]),
    "no start": ({"words": [word("Hello", end=1), word("there.", end=2)]}, WHOLE),
    "no end": ({"words": [word("Hello", 0), word("there.", 1)]}, WHOLE),
    "the last end is null": ({"words": [word("Hello", 0, 1), word("there.", 1) | {"end": None}]}, WHOLE),
    "start after end": ({"words": [word("Hello", 1, 0), word("there.", 2, 1)]}, WHOLE),
    "negative": ({"words": [word("Hello", -3, 1), word("there.", 1, 2)]}, WHOLE),
    "past the end": ({"words": [word("Hello", 29, 31), word("there.", 40, 50)]}, [("Hello", 29, 30), ("there.", 30, 30)]),
    "out of order": ({"words": [word("Hello", 5, 6), word("there.", 1, 2)]}, [("Hello", 5, 6), ("there.", 5, 6)]),
    "truths for times": ({"words": [word("Hello", False, True), word("there.", 1, 2)]}, WHOLE),
    "NaN": ({"words": [word("Hello", math.nan, math.inf), word("there.", 1, 2)]}, WHOLE),
    "one without text": ({"words": [word("Hello", 0, 1), {"start": 1, "end": 1}, word("there.", 1, 2)]}, WHOLE),
    "none has times": ({"words": [word("Hello"), word("there.")]}, []),
    "texts": ({"words": ["Hello", "there."]}, []),
    "no list": ({"words": "Hello there."}, []),
    "an object": ({"words": {"Hello": 1}}, []),
    "numbers": ({"words": [1, 2]}, []),
}  # fmt: skip


@pytest.mark.parametrize(("extras", "words"), TIMES.values(), ids=TIMES)
def test_words_get_the_times_that_there_are(extras: dict[str, Any], words: list[tuple[str, float, float]]) -> None:
    body = HELLO | extras
    assert spans(body) == words
    assert heard(body)[0].text == body["text"]


TOKENS: dict[str, tuple[str, list[str], list[str]]] = {
    "whisper.cpp": (" The crisposed thing.", [" The", " cr", "isp", "osed", " thing", "."], ["The", "crisposed", "thing."]),
    "whisper.cpp's lines": (" One.\n Two.\n", [" One", ".", " Two", "."], ["One.", "Two."]),
    "without their spaces": ("The crisposed thing.", ["The", "cr", "isp", "osed", "thing", "."], ["The", "crisposed", "thing."]),
    "words of OpenAI, without punctuation": ("Well, it's twenty-five!", ["Well", "it's", "twenty", "five"], ["Well", "it's", "twenty", "five"]),
    "an opening bracket": ("So (he) left", [" So", " (", "he", ")", " left"], ["So", "(he)", "left"]),
    "a new segment without a space": ("Hello. How are you", [" Hello.", "How", " are", " you"], ["Hello.", "How", "are", "you"]),
    "Chinese": ("你好，世界。", ["你好", "，", "世界", "。"], ["你好，", "世界。"]),
    "Chinese with Latin": ("用Python写", ["用", "Py", "thon", "写"], ["用", "Python", "写"]),
    "Korean": ("안녕 하세요", [" 안", "녕", " 하", "세요"], ["안녕", "하세요"]),
    "Thai": ("สวัสดีครับ", ["สวัสดี", "ครับ"], ["สวัสดี", "ครับ"]),
    "Russian": ("Привет мир", [" При", "вет", " мир"], ["Привет", "мир"]),
    "a word that the text has not": ("Hello there", ["Hello", "???", "there"], ["Hello", "???", "there"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "tokens", "words"), TOKENS.values(), ids=TOKENS)
def test_tokens_are_joined_to_the_words_of_the_text(text: str, tokens: list[str], words: list[str]) -> None:
    timed = [word(token, number, number + 1, probability=0.5) for number, token in enumerate(tokens)]
    found = heard({"text": text, "words": timed})[0].words
    assert [each.word.strip() for each in found] == words
    assert (found[0].start, found[-1].end) == (0, len(tokens))
    assert all(each.probability == 0.5 for each in found)
    assert [before.end for before in found[:-1]] == [after.start for after in found[1:]]


@pytest.mark.parametrize("name", ["probability", "prob", "p", "score", "confidence"])
def test_a_probability_has_many_names(name: str) -> None:
    words = [word("Hello", 0, 1, **{name: 0.25}), word("there.", 1, 2, **{name: "high"})]
    assert [each.probability for each in heard(HELLO | {"words": words})[0].words] == [0.25, None]


@pytest.mark.parametrize("value", [-0.3, 87, math.nan, True, None, "?"])
def test_what_is_no_probability_is_none(value: Any) -> None:
    assert heard(HELLO | {"words": [word("Hello", 0, 1, score=value)]})[0].words[0].probability is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3, 3.0), ("3.0", 3.0), ("3.0s", 3.0), ("3000 ms", 3.0), ("00:00:03", 3.0), (-1, None), ("long", None), (None, None),
     (True, None), ([3], None), (math.nan, None)],
)  # fmt: skip
def test_a_duration_is_seconds_or_none(value: Any, seconds: float | None) -> None:
    assert heard({"text": "a", "duration": value})[0].duration == seconds


@pytest.mark.parametrize(
    ("said", "code"),
    [("en", "en"), ("EN", "en"), ("english", "en"), ("en-US", "en"), ("zh_CN", "zh"), (["de", 0.98], "de"),
     ({"code": "fr"}, "fr"), ("unknown", None), ("", None), (None, None), (7, None), (True, None), ([], None)],
)  # fmt: skip
def test_a_language_is_a_code_or_none(said: Any, code: str | None) -> None:
    assert heard({"text": "a", "language": said})[0].language == code


def test_segments_keep_their_doubts_and_a_zero_for_unknown_is_none() -> None:
    parts = [
        {"start": 0, "end": None, "text": " Hello", "avg_logprob": -0.3, "no_speech_prob": "0.1", "compression_ratio": None},
        {"start": 1, "end": 2, "text": " there.", "avg_logprob": 0.0},
        "and a text",
    ]  # fmt: skip
    first, second, third = heard(HELLO | {"segments": parts})[0].segments
    assert (first.start, first.end, first.avg_logprob, first.no_speech_prob, first.compression_ratio) == (
        0,
        1,
        -0.3,
        0.1,
        None,
    )
    assert second.avg_logprob is None  # Xinference sends 0 for unknown: no model is so sure
    assert (third.text, third.end) == ("and a text", SECONDS)


def test_what_is_odd_is_noted_by_kind() -> None:
    assert heard(HELLO | {"words": [word("Hello", 0, 1), word("there.")], "segments": ["Hello there."]})[1] == [
        "words with times that are missing, out of order or outside the audio",
        "segments without times",
    ]
    assert heard(HELLO | {"words": [word("Hello", 0, 1.2), word("there.", 1.2, 2.1)]}, seconds=2.0)[1] == []
    assert heard("Hello there.")[1] == ["plain text"]


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["text", "word", "words", "segments", "chunks", "start", "end", "timestamp", "language", "duration", "offsets",
             "from", "to", "score", "result", "error", "detail", "code", "avg_logprob", "t0", "type", "delta"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=10,
)  # fmt: skip
ITEM = st.fixed_dictionaries({}, optional=dict.fromkeys(("text", "word", "start", "end", "words", "timestamp"), JSON))


@given(
    text=st.text(min_size=1).filter(lambda text: text.replace("\0", "").strip()),
    extras=st.dictionaries(st.sampled_from(["words", "segments", "chunks", "language", "duration", "error", "usage"]), JSON | st.lists(ITEM, max_size=6)),
    seconds=st.floats(0, 60),
)  # fmt: skip
@example(text="a", extras={"words": [{"word": "a", "start": 1e308, "end": -1e308}]}, seconds=1.0)
@example(text="a", extras={"segments": [{"text": "a", "end": 5.0}, {"text": "b"}]}, seconds=1.0)
def test_any_json_with_a_text_yields_it_with_finite_ordered_times_inside_the_audio(
    text: str, extras: dict[str, Any], seconds: float
) -> None:
    transcript, _ = heard(extras | {"text": text}, seconds)
    assert transcript.text == text.replace("\0", "").encode(errors="replace").decode().strip()
    assert transcript.duration is None or 0 <= transcript.duration < math.inf
    for timed in (
        [(word.start, word.end) for word in transcript.words],
        [(part.start, part.end) for part in transcript.segments],
    ):
        assert all(0 <= start <= end <= seconds for start, end in timed)
        for column in zip(*timed, strict=True):
            assert list(column) == sorted(column)
    json.dumps([transcript.language, *[each.probability for each in transcript.words]], allow_nan=False)
