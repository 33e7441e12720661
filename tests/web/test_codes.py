"""The table of errors is whole: every code that the product tells is in it, and every door renders every row."""

import ast
import json
from collections.abc import Iterator
from string import Formatter
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpRequest
from django.utils import translation

from accounts import sockets
from recordings.failures import answer_at, problem_of, said
from recordings.live.refusals import REFUSALS
from tests.support.source import parsed
from transcription import errors
from transcription.sentence import Sentence
from web.codes import CODES, STAYS_OPEN, error_words
from web.problems import Problem

RAISED = {"Problem", "Refused", "LiveRefused", "BadAudio"}  # classes whose first argument is a code
BAD_AUDIO = (
    *("not_audio", "unknown_codec", "empty_file", "no_sound", "truncated", "damaged", "too_long", "too_complex"),
    "no_such_track",
)


def product() -> Iterator[ast.AST]:
    for package in ("accounts", "asrsite", "recordings", "transcription", "web"):
        for path in (settings.BASE_DIR / package).rglob("*.py"):
            if path.name != "codes.py":
                yield from ast.walk(parsed(path.read_text()))


def raised() -> Iterator[ast.Call]:
    for node in product():
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in RAISED:
            yield node


def fields(code: str) -> set[str]:
    """The names that must be filled in the code's sentence."""
    return {name for _text, name, _spec, _conversion in Formatter().parse(str(CODES[code].words)) if name}


def classes(kind: type[errors.TranscriptionError] = errors.TranscriptionError) -> list[type[errors.TranscriptionError]]:
    return [kind, *(each for below in kind.__subclasses__() for each in classes(below))]


def failures() -> Iterator[errors.TranscriptionError]:
    """An error of each class; of `BadAudio` one for each code."""
    for kind in classes():
        if kind is errors.BadAudio:
            yield from (errors.BadAudio(code, "words") for code in BAD_AUDIO)
        elif kind is errors.QueueFull:
            yield errors.QueueFull("words", 3.0)
        elif kind is errors.Misconfigured:
            yield errors.Misconfigured("words", Sentence("words"), "key")
        else:
            yield kind("words")


def test_every_code_that_is_raised_is_in_the_table_and_its_sentence_is_filled() -> None:
    calls = [call for call in raised() if call.args and isinstance(call.args[0], ast.Constant)]
    assert len(calls) > 40
    for call in calls:
        code = call.args[0].value  # type: ignore[attr-defined]
        assert code in CODES
        if call.func.id == "Problem" and len(call.args) == 1:  # type: ignore[attr-defined]
            assert fields(code) <= {keyword.arg for keyword in call.keywords}, code


def test_every_code_of_the_table_is_used() -> None:
    named = {node.value for node in product() if isinstance(node, ast.Constant)}
    assert [code for code in CODES if code not in named] == []


@pytest.mark.parametrize("failure", list(failures()), ids=lambda failure: f"{type(failure).__name__}-{failure.code}")
def test_every_error_on_the_way_to_a_text_has_an_answer_at_every_door(failure: errors.TranscriptionError) -> None:
    problem = problem_of(HttpRequest(), failure)
    expected = "model_not_found" if isinstance(failure, errors.UnknownModel) else failure.code
    assert problem.code == expected
    assert problem.status == CODES[expected].status
    for path in ("/api/recordings", "/v1/audio/transcriptions"):
        answer = answer_at(path, problem)
        assert answer.status_code >= 400
        assert json.loads(answer.content)["error"]["code"] == expected
        assert ("Retry-After" in answer) == isinstance(
            failure, errors.QueueFull | errors.ServerBusy | errors.OutOfMemory | errors.Unreachable
        )
    assert said(problem).content
    if not isinstance(failure, errors.Rejected):  # it has the server's words: what was wrong with the request
        assert "words" not in problem.message
    assert error_words(failure.code)


@pytest.mark.parametrize("code", [code for code, row in CODES.items() if row.status])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_every_code_is_rendered_for_pages_and_both_apis(code: str, language: str) -> None:
    row = CODES[code]
    with translation.override(language):
        filled: Any = dict.fromkeys(fields(code), "7")
        problem = Problem(code, **filled)
        ours, openais, page = answer_at("/api/x", problem), answer_at("/v1/x", problem), said(problem)
    assert (ours.status_code, page.status_code, openais.status_code) == (row.status, row.status, row.v1 or row.status)
    assert json.loads(ours.content) == {"error": {"code": code, "message": page.content.decode()}}
    error = json.loads(openais.content)["error"]
    assert (error["code"], error["message"]) == (code, page.content.decode())
    assert error["type"] == ("server_error" if openais.status_code >= 500 else "invalid_request_error")
    assert "{" not in page.content.decode()


@pytest.mark.parametrize("code", [code for code, row in CODES.items() if row.close is not None])
def test_every_code_of_a_socket_has_its_close_code_and_a_sentence(code: str) -> None:
    row = CODES[code]
    close, sentence = REFUSALS[code]
    assert str(sentence)
    assert close is None if row.close == STAYS_OPEN else close == row.close
    assert row.close in (STAYS_OPEN, 1011, 1012, 1013) or 4400 <= (row.close or 0) < 4500


def test_the_doors_of_sockets_close_by_the_table() -> None:
    for close, (code, sentence) in sockets.REFUSALS.items():
        assert CODES[code].close == close
        assert str(sentence)
