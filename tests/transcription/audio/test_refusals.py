"""Files that are refused, each with its reason, and files that try to reach others."""

import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.audio_files import clip, encode
from transcription.audio import SpeechReader, audio_info, wav
from transcription.errors import BadAudio

HOUR = 3600


def refusal(data: bytes | Path, max_hours: float = 1.0) -> str:
    """The code with which the file is refused. Its reason must be a sentence."""
    content = data if isinstance(data, bytes) else data.read_bytes()
    with pytest.raises(BadAudio) as caught:
        audio_info(BytesIO(content), max_hours=max_hours)
    assert str(caught.value).endswith(".")
    assert " " in str(caught.value)
    return caught.value.code


def test_an_empty_file_is_refused() -> None:
    assert refusal(b"") == "empty_file"


@pytest.mark.parametrize(
    "content",
    {
        "text": b"Dear all,\nthis is not sound.\n" * 50,
        "one byte": b"x",
        "zeros": bytes(100_000),
        "random": np.random.default_rng(2).bytes(1_000_000),
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 20,
        "zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(200),
        "subtitle": b"1\n00:00:01,000 --> 00:00:02,000\nhello\n",
        "html": b"<!DOCTYPE html><html><body><audio src='x.mp3'></body></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:9/x.png"/></svg>',
        "id3 tag only": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10),
    }.values(),
)
def test_what_is_no_sound_is_refused(content: bytes) -> None:
    assert refusal(content) == "not_audio"


def test_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as file:
        stream = file.add_stream("png", rate=1)
        frame = av.VideoFrame(64, 48, "rgb24")
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        file.mux([*stream.encode(frame), *stream.encode(None)])
    assert refusal(path) == "not_audio"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi"])
def test_a_video_without_sound_is_refused(suffix: str, tmp_path: Path) -> None:
    path = encode(tmp_path / f"x.{suffix}", codec="aac", picture="mpeg4")
    assert refusal(path) == "no_sound"


def test_a_file_that_holds_no_sample_is_refused() -> None:
    assert refusal(wav(np.empty(0, np.int16))[0]) == "no_sound"


def test_a_stream_that_never_promised_an_end_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    for suffix, codec, muxer in (("webm", "libopus", {"live": "1"}), ("ogg", "libopus", {}), ("aac", "aac", {})):
        rate = 48_000 if codec == "libopus" else 16_000
        data = encode(tmp_path / f"x.{suffix}", clip(), codec=codec, rate=rate, muxer=muxer).read_bytes()
        assert 2 < audio_info(BytesIO(data[: len(data) // 2]), max_hours=1).duration < 5


def test_what_some_writers_append_does_no_harm(tmp_path: Path) -> None:
    for suffix, codec in (("wav", "pcm_s16le"), ("m4a", "aac"), ("flac", "flac")):
        data = encode(tmp_path / f"x.{suffix}", clip(), codec=codec).read_bytes()
        for extra in (b"\0" * 99, b"TAG" + b"x" * 125, b"\xff" * 40):
            assert audio_info(BytesIO(data + extra), max_hours=1).duration == pytest.approx(7.1, abs=0.1)


def test_a_file_whose_sound_is_all_damaged_is_refused(tmp_path: Path) -> None:
    data = bytearray(encode(tmp_path / "x.m4a", clip(), codec="alac").read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[begin:end] = bytes(end - begin)
    assert refusal(bytes(data)) == "damaged"
    with pytest.raises(BadAudio, match="damaged"):
        list(SpeechReader(BytesIO(data), max_hours=1))


class Listener(BaseHTTPRequestHandler):
    """Notes the path of each request in `asked`."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[ThreadingHTTPServer]:
    Listener.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


LISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "pls": "[playlist]\nFile1={url}\nLength1=-1\nNumberOfEntries=1\nVersion=2\n",
    "asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
    "concat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT7S" profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL>'
    "<SegmentBase/></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "smooth": "[Reference]\nRef1={url}?MSWMExt=.asf\nRef2={url}\n",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_playlist_is_refused_and_nothing_is_fetched(kind: str, listener: ThreadingHTTPServer) -> None:
    url = f"http://127.0.0.1:{listener.server_port}/sound.mp3"
    assert refusal(LISTS[kind].format(url=url, port=listener.server_port).encode()) == "not_audio"
    with socket.create_connection(("127.0.0.1", listener.server_port)) as ours:  # requests really are noted
        ours.sendall(b"GET /ours HTTP/1.0\r\n\r\n")
        ours.recv(1)
    assert Listener.asked == ["/ours"]


@pytest.mark.parametrize("kind", ["m3u8", "concat"])
def test_a_playlist_of_local_files_is_refused(kind: str, tmp_path: Path) -> None:
    sound = encode(tmp_path / "x.wav", clip(), codec="pcm_s16le")
    assert refusal(LISTS[kind].format(url=sound, port=0).encode()) == "not_audio"


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def pointing_elsewhere(movie: bytes, target: Path) -> bytes:
    """The QuickTime movie with its sound declared to be in another file, as an editor's project has it."""
    name = str(target).encode()
    alias = bytes(4 + 10) + b"\0" + bytes(27 + 12) + b"\0" + bytes(63 + 16 + 4 + 16)
    alias += struct.pack(">hh", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">hh", -1, 0)
    reference = box(b"dref", bytes(4), struct.pack(">I", 1), box(b"alis", alias))
    at = movie.index(b"dref") - 4
    end = at + int.from_bytes(movie[at : at + 4])
    grown = len(reference) - (end - at)
    moved = bytearray(movie[:at] + reference + movie[end:])
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):  # the boxes around it grow with it
        head = moved.rindex(kind, 0, at) - 4
        moved[head : head + 4] = (int.from_bytes(moved[head : head + 4]) + grown).to_bytes(4)
    return bytes(moved)


def test_a_movie_whose_sound_is_in_another_file_is_refused(tmp_path: Path) -> None:
    target = encode(tmp_path / "secret.mov", clip(), codec="pcm_s16le")
    movie = pointing_elsewhere(target.read_bytes(), target)

    trusting = {"enable_drefs": "1", "use_absolute_path": "1"}
    with av.open(BytesIO(movie), "r", options=trusting) as file:
        assert len(list(file.demux(audio=0))) > 10  # FFmpeg follows the reference if it is told to

    assert refusal(movie) == "not_audio"


def test_a_recording_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.wav", clip(), codec="pcm_s16le")
    assert refusal(path, max_hours=7 / HOUR) == "too_long"
    assert audio_info(BytesIO(path.read_bytes()), max_hours=7.2 / HOUR)


def test_a_file_that_unfolds_beyond_the_limit_is_stopped_while_it_is_read(tmp_path: Path) -> None:
    sound = np.concatenate((clip(), np.zeros(600 * 16_000, np.int16)))
    path = encode(tmp_path / "x.flac", sound, codec="flac")
    assert path.stat().st_size < 300_000
    with path.open("rb") as file:
        reader = SpeechReader(file, max_hours=60 / HOUR)
        with pytest.raises(BadAudio, match="longer than"):
            list(reader)
        assert reader.duration < 66


def test_a_file_that_claims_thousands_of_hours_is_stopped_at_once(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mkv", clip(), codec="pcm_s16le", starts=5.0, picture="mpeg4")
    data = path.read_bytes()
    far = encode(tmp_path / "far.mkv", clip(), codec="pcm_s16le", starts=5000.0 * HOUR, picture="mpeg4")
    assert audio_info(BytesIO(data), max_hours=1)
    assert refusal(far, max_hours=12) == "too_long"
    with far.open("rb") as file:
        reader = SpeechReader(file, max_hours=12)
        with pytest.raises(BadAudio, match="longer than"):
            next(iter(reader))
