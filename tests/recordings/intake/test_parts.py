"""The file of a form is read however the headers of its part are written, and a refusal gives the true reason."""

import io
import wave
from base64 import b64encode, encodebytes
from collections.abc import Iterator

import httpx
import pytest
from django.http.multipartparser import ChunkIter, LazyStream

from recordings.models import Recording
from tests.support.openai_clients import Door, open_door
from tests.support.site import Site
from tests.support.tus import TUS, encoded
from tests.support.whisper_stub import WhisperStub
from web.parts import HeadTooLong, decoded, read_head

DISPOSITION = b'Content-Disposition: form-data; name="file"'
NAMED = DISPOSITION + b'; filename="a.wav"\r\nContent-Type: audio/wav'
PERCENT = "%E5%BD%95%E9%9F%B3.wav"  # 录音.wav in UTF-8

# Headers of the file's part, and the name that is read from them.
HEADS = {
    "as it should be": (NAMED, "a.wav"),
    "no type": (DISPOSITION + b'; filename="a.wav"', "a.wav"),
    "no name": (DISPOSITION + b"\r\nContent-Type: audio/wav", ""),
    "neither": (DISPOSITION, ""),
    "an empty name": (DISPOSITION + b'; filename=""', ""),
    "UTF-8": (DISPOSITION + '; filename="录音.wav"'.encode(), "录音.wav"),
    "GBK": (DISPOSITION + b'; filename="' + "录音.wav".encode("gbk") + b'"', "录音.wav"),
    "GB 18030": (DISPOSITION + b'; filename="' + "王喆的会议录音.wav".encode("gb18030") + b'"', "王喆的会议录音.wav"),
    "Big5": (DISPOSITION + b'; filename="' + "會議記錄.wav".encode("big5") + b'"', "會議記錄.wav"),
    "Latin-1": (DISPOSITION + b'; filename="' + "Gespräch.wav".encode("latin-1") + b'"', "Gespräch.wav"),
    "Shift-JIS": (DISPOSITION + b'; filename="' + "会議の録音.wav".encode("cp932") + b'"', "会議の録音.wav"),
    "broken bytes": (DISPOSITION + b'; filename="a\xff\xfe\xe5.wav"', "a\ufffd.wav"),
    "cut UTF-8": (DISPOSITION + b'; filename="' + "录音".encode()[:-1] + b'.wav"', "录\ufffd.wav"),
    "another charset": (DISPOSITION + b'; filename="' + "Запись.wav".encode("koi8-r") + b'"', "\ufffd.wav"),
    "filename*": (DISPOSITION + f"; filename*=UTF-8''{PERCENT}".encode(), "录音.wav"),
    "filename* in quotes": (DISPOSITION + f"; filename*=\"utf-8''{PERCENT}\"".encode(), "录音.wav"),
    "filename* in GBK": (DISPOSITION + b"; filename*=GBK'zh'%C2%BC%D2%F4.wav", "录音.wav"),
    "filename* in nothing known": (DISPOSITION + b"; filename*=klingon''a.wav", "a.wav"),
    "filename* that lies": (DISPOSITION + b"; filename*=UTF-8''%C2%BC%D2%F4.wav", "录音.wav"),
    "filename* without a charset": (DISPOSITION + f"; filename*={PERCENT}".encode(), "录音.wav"),
    "filename* of a codec that is none": (DISPOSITION + b"; filename*=zip''a.wav", "a.wav"),
    "both": (DISPOSITION + f"; filename=\"_.wav\"; filename*=UTF-8''{PERCENT}".encode(), "录音.wav"),
    "both, an empty one": (DISPOSITION + b"; filename=\"a.wav\"; filename*=UTF-8''", "a.wav"),
    "in pieces": (DISPOSITION + b"; filename*0*=UTF-8''%E5%BD%95; filename*1*=%E9%9F%B3.wav", "录音.wav"),
    "encoded words": (DISPOSITION + b'; filename="=?UTF-8?B?' + b64encode("录音.wav".encode()) + b'?="', "录音.wav"),
    "encoded words that are none": (DISPOSITION + b'; filename="=?x?y?.wav"', "=?x?y?.wav"),
    "folded": (b'Content-Disposition: form-data;\r\n name="file";\r\n\tfilename="a.wav"', "a.wav"),
    "line feeds": (NAMED.replace(b"\r", b""), "a.wav"),
    "small letters": (NAMED.lower(), "a.wav"),
    "capitals": (b'CONTENT-DISPOSITION: FORM-DATA; NAME="file"; FILENAME="a.wav"', "a.wav"),
    "no quotes": (b"Content-Disposition: form-data; name=file; filename=a b.wav", "a b.wav"),
    "single quotes": (b"Content-Disposition: form-data; name='file'; filename='a.wav'", "a.wav"),
    "spaces everywhere": (b'Content-Disposition :  form-data ;  name = "file" ; filename = "a.wav" ;', "a.wav"),
    "no spaces": (b'Content-Disposition:form-data;name="file";filename="a.wav"', "a.wav"),
    "a quote in the name": (DISPOSITION + b'; filename="a\\"b.wav"', 'a"b.wav'),
    "a bare quote in the name": (DISPOSITION + b'; filename="a"b.wav"', 'a"b.wav'),
    "a semicolon in the name": (DISPOSITION + b'; filename="a;b.wav"', "a;b.wav"),
    "no form-data": (b'Content-Disposition: attachment; name="file"; filename="a.wav"', "a.wav"),
    "the other order": (b'Content-Disposition: form-data; filename="a.wav"; name="file"', "a.wav"),
    "more headers": (NAMED + b"\r\nContent-Length: 5\r\nMIME-Version: 1.0\r\nX: \xff", "a.wav"),
    "a header that is none": (b"nonsense\r\n" + NAMED, "a.wav"),
    "binary": (NAMED + b"\r\nContent-Transfer-Encoding: binary", "a.wav"),
    "a long name": (DISPOSITION + b'; filename="' + ("录" * 250).encode() + b'.wav"', "录" * 250 + ".wav"),
    "a long name in two spellings": (
        DISPOSITION + b'; filename="_"; filename*=UTF-8\'\'' + b"%E5%BD%95" * 250 + b".wav", "录" * 250 + ".wav"
    ),
}  # fmt: skip
OTHERS = {
    "a field": (b'Content-Disposition: form-data; name="title"', False),
    "a field with a type": (b'Content-Disposition: form-data; name="title"\r\nContent-Type: text/plain', False),
    "a file of another name": (b'Content-Disposition: form-data; name="audio"\r\nContent-Type: audio/mpeg', True),
    "no file chosen": (
        b'Content-Disposition: form-data; name="x"; filename=""\r\nContent-Type: application/octet-stream', False
    ),
}  # fmt: skip


def stream(content: bytes) -> LazyStream:
    return LazyStream(ChunkIter(io.BytesIO(content)))


@pytest.mark.parametrize("case", HEADS)
def test_the_headers_of_a_file_are_read(case: str) -> None:
    sent, name = HEADS[case]
    part = stream(b"\r\n" + sent + b"\r\n\r\nthe\r\n\r\nbody")
    head = read_head(part)
    assert head
    assert (head.name, head.filename, head.is_file, part.read()) == ("file", name, True, b"the\r\n\r\nbody")


@pytest.mark.parametrize("case", OTHERS)
def test_a_field_is_no_file(case: str) -> None:
    sent, is_file = OTHERS[case]
    head = read_head(stream(sent + b"\r\n\r\n1"))
    assert head
    assert head.is_file == is_file


@pytest.mark.parametrize(
    "between", [b"", b"--\r\n", b"preamble", b"\r\n\r\n", b"X: y\r\n\r\n1", b"Content-Disposition: x\r\n\r\n"]
)
def test_bytes_around_the_parts_are_no_part(between: bytes) -> None:
    assert read_head(stream(between)) is None


def test_headers_without_end_are_refused() -> None:
    with pytest.raises(HeadTooLong):
        read_head(stream(b"X: " + b"y" * 20_000))


@pytest.mark.parametrize("charset", ["utf-8", "gbk", "gb18030"])
def test_a_text_is_read_in_its_own_charset(charset: str) -> None:
    for text in ("会议纪要", "第1集.mp4", "新录音 3", "plain", "听序", ""):
        assert decoded(text.encode(charset)) == text


# --- At the doors -------------------------------------------------------------------------------


def silence(seconds: float) -> bytes:
    """A WAV file of silence, for which /v1 makes no call to Whisper."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(int(seconds * 16000) * 2))
    return buffer.getvalue()


SMALL, BIG = silence(0.5), silence(100)  # BIG is larger than the 2.5 MB that a field may have
TYPE = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.fixture
def door(site: Site) -> Iterator[Door]:
    with open_door(site, WhisperStub(0.001)) as opened:
        yield opened


def both(door: Door, body: bytes) -> list[httpx.Response]:
    api = door.site.program()
    return [api.post(path, content=body, headers=TYPE) for path in ("/v1/audio/transcriptions", "/api/recordings")]


def form(head: bytes, content: bytes) -> bytes:
    later = b'\r\n--x\r\nContent-Disposition: form-data; name="transcribe"\r\n\r\nfalse'
    return b"--x\r\n" + head + b"\r\n\r\n" + content + later + b"\r\n--x--\r\n"


def test_every_door_takes_a_file_whatever_its_headers_look_like(door: Door) -> None:
    for case, (head, name) in HEADS.items():
        at_once, kept = both(door, form(head, SMALL))
        assert (at_once.status_code, kept.status_code) == (200, 201), case
        assert Recording.objects.latest("pk").original_name == name, case
        assert kept.json()["title"] == ((name.removesuffix(".wav").strip("\ufffd") and name[:-4]) or "Recording"), case


@pytest.mark.parametrize("case", ["no name", "neither", "GBK", "filename*", "folded", "broken bytes"])
def test_every_door_takes_a_big_file_too(door: Door, case: str) -> None:
    at_once, kept = both(door, form(HEADS[case][0], BIG))
    assert (at_once.status_code, kept.status_code) == (200, 201)
    assert kept.json()["bytes"] == len(BIG)


def test_a_file_in_base64(door: Door) -> None:
    head = NAMED + b"\r\nContent-Transfer-Encoding: base64"
    for content in (SMALL, BIG):
        at_once, kept = both(door, form(head, encodebytes(content)))
        assert (at_once.status_code, kept.status_code, kept.json()["bytes"]) == (200, 201, len(content))


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (form(b'Content-Disposition: form-data; name="audio"', BIG), 413, "The field “audio” is too long."),
        (form(NAMED, SMALL).partition(b"\r\n--x\r\n")[0], 400, "The form ends within the file"),
        (form(NAMED, b""), 400, "The file is empty"),
        (form(DISPOSITION, b""), 400, "The file is empty"),
        (form(b"X: " + b"y" * 20_000 + b"\r\n" + NAMED, SMALL), 400, "The headers of a part"),
        (form(NAMED.replace(b"a.wav", b"../a.wav"), SMALL), 400, "The file’s name is a path"),
    ],
    ids=["a big field", "cut off", "an empty file", "an empty part", "endless headers", "a path"],
)  # fmt: skip
def test_the_reason_that_is_told_is_the_true_one(door: Door, body: bytes, status: int, reason: str) -> None:
    for answer in both(door, body):
        assert answer.status_code == status
        assert answer.json()["error"]["message"].startswith(reason)
    assert door.site.files() == []


def test_fields_in_another_charset_are_read(site: Site) -> None:
    title = b'--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n' + "会议纪要".encode("gbk") + b"\r\n"
    made = site.program().post("/api/recordings", content=title + form(NAMED, SMALL), headers=TYPE).json()
    assert made["title"] == "会议纪要"


def test_names_of_resumable_uploads_are_read(site: Site) -> None:
    api = site.program()
    for raw, name in (("录音.wav".encode("gbk"), "录音.wav"), (b"\xff\xfe\xe5.wav", "\ufffd.wav"), (b"", "")):
        metadata = f"filename {b64encode(raw).decode()},{encoded(transcribe='false')}"
        headers = TUS | {"Upload-Length": str(len(SMALL)), "Upload-Metadata": metadata}
        headers["Content-Type"] = "application/offset+octet-stream"
        assert api.post("/api/uploads", headers=headers, content=SMALL).status_code == 201
        made = Recording.objects.latest("pk")
        assert (made.original_name, made.title) == (name, "录音" if name == "录音.wav" else "Recording")
