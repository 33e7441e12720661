"""Every route and every socket with every scope of a token. A scope opens its own routes only, and a token without
`read` gets nothing to read.

The routes come from the URL configuration and the sockets from the routing: a new one without a row here fails.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.urls import URLPattern, URLResolver, get_resolver
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from accounts.models import ApiToken, digest
from recordings.intake.admission import UPLOADS
from recordings.library.sharing import make_link
from recordings.models import Caption, LiveSession, Recording, Segment, Transcription, Upload
from recordings.routing import websocket_urlpatterns
from tests.support.routes import PLACE
from tests.support.site import Site
from web.throttle import CALLS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALL = frozenset(ApiToken.Scope.values)
READ, WRITE, TRANSCRIBE, STATS = (frozenset({scope}) for scope in ("read", "write", "transcribe", "stats"))
WORK = WRITE | TRANSCRIBE
BOTH = frozenset({"read and write"})  # a link for guests reads, so a token makes none that may not read itself
PUBLIC = frozenset({"nobody's"})
NOTHING: frozenset[str] = frozenset()
ONE, RUN = "api/recordings/<int:id>", "api/recordings/<int:id>/transcriptions/<int:transcription>"
LINK = "api/recordings/<int:id>/links/<int:link>"

# The scopes that open each route, any one of them. BOTH: the two together. PUBLIC: no token is needed. Methods without
# a row are answered 405.
OPENS = {
    "GET api/recordings/stats/asr-concurrency": STATS,
    "GET api/recordings": READ,
    "GET api/search": READ,
    "POST api/recordings": WRITE,
    f"GET {ONE}": READ,
    f"PATCH {ONE}": WRITE,
    f"DELETE {ONE}": WRITE,
    "POST api/ws-ticket": ALL,
    "GET api/tokens": ALL,
    "POST api/tokens": ALL,
    "DELETE api/tokens/<int:id>": ALL,
    "POST api/live/link": TRANSCRIBE,
    "PATCH api/live/<slug:session>": TRANSCRIBE,
    f"POST {ONE}/transcribe": WORK,
    f"POST {ONE}/cancel": WORK,
    f"GET {ONE}/transcriptions": READ,
    f"POST {RUN}/restore": WRITE,
    f"GET {ONE}/transcript": READ,
    f"PATCH {ONE}/segments/<int:index>": WRITE,
    f"POST {ONE}/segments/<int:index>/split": WRITE,
    f"POST {ONE}/segments/<int:index>/join": WRITE,
    f"PUT {ONE}/segments/<int:index>/times": WRITE,
    f"GET {ONE}/matches": READ,
    f"POST {ONE}/replace": WRITE,
    f"POST {ONE}/undo": WRITE,
    f"GET {ONE}/links": READ,
    f"POST {ONE}/links": BOTH,
    f"DELETE {LINK}": WRITE,
    f"GET {ONE}/audio": READ,
    f"HEAD {ONE}/audio": READ,
    "OPTIONS api/uploads": PUBLIC,
    "POST api/uploads": WRITE,
    "OPTIONS api/uploads/<uuid:key>": PUBLIC,
    **{f"{method} api/uploads/<uuid:key>": WRITE for method in ("HEAD", "GET", "PATCH", "POST", "DELETE")},
    "POST v1/audio/transcriptions": TRANSCRIBE,
    "POST v1/audio/translations": TRANSCRIBE,
    "GET v1/models": TRANSCRIBE,
    "GET v1/models/<path:name>": TRANSCRIBE,
    **{f"{method} v1/<path:rest>": NOTHING for method in METHODS},
    **{f"{method} api/<path:rest>": NOTHING for method in METHODS},
}
# With `transcribe` a program speaks in its own session; it needs `read` to watch one.
SOCKETS = {
    "ws/live": TRANSCRIBE,
    r"^ws/live/(?P<session>[A-Za-z0-9_-]{1,16})$": READ,
    "ws/recordings": READ,
    "ws/monitor": STATS,
}
PRIVATE = "Hush"  # a word in every text of `Private`
TUS = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
BODIES: dict[str, Any] = {
    f"PATCH {ONE}": {},
    "PATCH api/live/<slug:session>": {"public": False},
    f"POST {ONE}/transcribe": {},
    f"PATCH {ONE}/segments/<int:index>": {"text": None},
    f"POST {ONE}/segments/<int:index>/split": {"texts": ["One", "two"]},
    f"POST {ONE}/segments/<int:index>/join": {},
    f"PUT {ONE}/segments/<int:index>/times": {"start": 0, "end": 1},
    f"POST {ONE}/replace": {"find": PRIVATE, "replace": "x"},
    f"POST {ONE}/undo": {"undo": "x"},
}


def routes(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for pattern in resolver.url_patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern, route)
        elif isinstance(pattern, URLPattern):
            yield route


ROUTES = sorted({route for route in routes(get_resolver()) if not route.startswith("admin/")})
ABOUT = {"api/", "api/docs", "api/openapi.json"}  # the same for everybody, signed in or not
DOORS = [route for route in ROUTES if route.startswith(("api/", "v1/")) and route not in ABOUT]


class Private:
    """One row of each kind, with the word PRIVATE in its texts, which only the scope `read` may see."""

    def __init__(self, owner: User, folder: Path) -> None:
        self.recording = Recording.objects.create(
            owner=owner,
            title=f"{PRIVATE} title",
            original=f"originals/{uuid4().hex}.wav",
            original_name=f"{PRIVATE}.wav",
            prompt=f"{PRIVATE} prompt",
            bytes=4,
            duration=60.0,
            media_type="audio/wav",
            source="upload",
            sha256=uuid4().hex * 2,
            language="yo",
        )
        (folder / "media/originals").mkdir(parents=True, exist_ok=True)
        (folder / "media" / str(self.recording.original)).write_text(PRIVATE)
        self.run = self.transcription("done")
        Segment.objects.create(
            transcription=self.run,
            index=0,
            start=0,
            end=2,
            text=f"{PRIVATE} machine",
            correction=f"{PRIVATE} correction",
            words=[{"start": 0, "end": 2, "word": PRIVATE, "probability": 0.9}],
        )
        self.transcription("failed", error_code="rejected", error_message=f"{PRIVATE} server")
        self.link, self.secret = make_link(self.recording, audio=True, days=1)
        self.upload = Upload.objects.create(owner=owner, bytes=10)
        self.upload.part.touch()
        self.session = LiveSession.objects.create(owner=owner, title=PRIVATE, ended_at=self.recording.created_at)
        Caption.objects.create(session=self.session, index=0, start=0, end=1, text=f"{PRIVATE} caption")

    def transcription(self, status: str, **fields: str) -> Transcription:
        return Transcription.objects.create(recording=self.recording, status=status, prompt=PRIVATE, **fields)

    def path(self, route: str) -> str:
        ids = {"key": self.upload.pk, "transcription": self.run.pk, "index": 0, "session": self.session.pk}
        ids |= {
            "link": self.link.pk,
            "id": self.recording.pk,
            "pk": self.recording.pk,
            "name": "whisper-1",
            "rest": "x/y",
        }
        route = route.replace("<path:name>", "<int:name>").replace("<path:rest>", "<int:rest>")
        route = route.replace("<str:session>", "<int:session>").replace("<slug:session>", "<int:session>")
        route = route.removeprefix("^").replace("(?P<session>[A-Za-z0-9_-]{1,16})$", "<int:session>")
        return "/" + PLACE.sub(lambda place: str(ids[place[2]]), route)


@pytest.fixture
def mei(site: Site) -> User:
    cache.clear()
    return User.objects.create_superuser("mei")  # the monitor is for staff


def token_of(program: httpx.Client) -> ApiToken:
    return ApiToken.objects.get(digest=digest(program.headers["Authorization"].removeprefix("Bearer ")))


def asked(caller: httpx.Client, method: str, route: str, path: str) -> httpx.Response:
    CALLS.forget(User.objects.get().pk)
    if (method, route) == ("POST", "api/tokens"):  # with the rights that it has itself
        return caller.post(path, json={"name": "made", "scopes": token_of(caller).scopes})
    if (method, route) == ("DELETE", "api/tokens/<int:id>"):  # one that it made
        made, _ = ApiToken.issue(User.objects.get(), "made", scopes=[], days=1, made_by=token_of(caller))
        return caller.delete(f"/api/tokens/{made.pk}")
    if route == "api/recordings" and method == "POST":
        return caller.post(path, files={"file": ("a.wav", b"no audio")})
    if "uploads" in route and method != "OPTIONS":
        return caller.request(method, path, headers=TUS | {"Upload-Length": "10"})
    return caller.request(method, path, json=BODIES.get(f"{method} {route}"))


def text_of(answer: httpx.Response) -> str:
    return f"{answer.text} {dict(answer.headers)}"


def test_every_route_of_programs_has_its_row() -> None:
    assert {row.partition(" ")[2] for row in OPENS} == set(DOORS)
    *routes, nothing = (str(route.pattern) for route in websocket_urlpatterns)
    assert SOCKETS.keys() == set(routes)
    assert nothing == ""


def test_a_route_opens_to_its_scopes_only_and_only_read_reads(site: Site, mei: User) -> None:
    programs = {scope: site.program(scopes=[scope]) for scope in sorted(ALL)}
    programs |= {"all": site.program(), "all but read": site.program(scopes=sorted(ALL - READ))}

    def answer(name: str, method: str, route: str) -> httpx.Response:
        said = asked(programs[name], method, route, Private(mei, site.folder).path(route))
        assert name in ("read", "all") or PRIVATE not in text_of(said), (name, method, route)
        return said

    for method, route in ((method, route) for route in DOORS for method in METHODS):
        opens = OPENS.get(f"{method} {route}")
        if opens is None:
            status = answer("all", method, route).status_code
            assert status == 405, f"{method} {route} needs a row: {status}"
            continue
        answer("all but read", method, route)
        if opens == BOTH:
            assert answer("all", method, route).status_code == 201, (method, route)
        for scope in sorted(ALL):
            said = answer(scope, method, route)
            if opens == NOTHING:
                assert said.status_code in (403, 404), (scope, method, route)
            elif opens == PUBLIC or scope in opens:
                assert said.status_code not in (401, 403, 404, 405), (scope, method, route, said.text)
            else:
                assert said.status_code == 403, (scope, method, route)
                assert method == "HEAD" or "missing_scope" in said.text, (scope, method, route)


def test_a_token_opens_no_page(site: Site, mei: User) -> None:
    private = Private(mei, site.folder)
    program, nobody = site.program(), site.client()
    for route in sorted(set(ROUTES) - set(DOORS)):
        for method in METHODS:
            answer = asked(program, method, route, private.path(route))
            expected = asked(nobody, method, route, private.path(route))
            assert answer.status_code == expected.status_code, (method, route)
            assert PRIVATE not in text_of(answer), (method, route)


def test_a_socket_opens_to_its_scopes_only(site: Site, mei: User) -> None:
    private = Private(mei, site.folder)
    for scope, (route, opens) in product(sorted(ALL), SOCKETS.items()):
        ticket = site.program(scopes=[scope]).post("/api/ws-ticket").json()["ticket"]
        address = f"{site.url.replace('http', 'ws', 1)}{private.path(route)}?ticket={ticket}&after=-1"
        told: list[str] = []
        code = 0
        with connect(address, proxy=None) as socket:
            try:
                while "active_tasks" not in "".join(told):  # the monitor never stops sending
                    # A socket that is silent for 0.3 s is open; a refusal may take longer to come.
                    told.append(str(socket.recv(0.3 if scope in opens else 30)))
            except TimeoutError:
                pass
            except ConnectionClosed as end:
                code = end.rcvd.code if end.rcvd else 1006
        if scope in opens:
            assert code in (0, 1000), (scope, route)
        else:
            assert code in (4403, 4404), (scope, route)
        watches = "session" in route and scope in opens
        assert (PRIVATE in "".join(told)) == watches, (scope, route)


def test_the_answer_to_a_change_has_texts_only_with_the_scope_read(site: Site, mei: User) -> None:
    private = Private(mei, site.folder)
    for scopes, shape in (
        (["write", "read"], {"title", "text", "id", "status", "transcription"}),
        (["write"], {"id", "status", "created_at", "transcription"}),
    ):
        program = site.program(scopes=scopes)
        changed = program.patch(private.path(ONE), json={}).json()
        assert shape <= changed.keys()
        assert ("title" in changed) == ("read" in scopes)
        segment = program.patch(private.path(f"{ONE}/segments/<int:index>"), json={"text": "x", "version": 9}).json()
        assert segment["error"]["code"] == "edit_conflict"
        assert ("text" in segment["segment"]) == ("read" in scopes)


def test_a_large_body_needs_the_scope_that_its_route_needs() -> None:
    for (method, path), scope in UPLOADS.items():
        route = path.removeprefix("/") + ("/<uuid:key>" if method == "PATCH" else "")
        assert OPENS[f"{method} {route}"] == {str(scope)}


def test_an_upload_with_write_alone_gets_its_id_and_its_state(site: Site, mei: User, clip: bytes) -> None:
    answer = site.program(scopes=["write"]).post("/api/recordings", files={"file": (f"{PRIVATE}.wav", clip)})
    assert answer.status_code == 201
    assert answer.json().keys() == {"id", "status", "created_at", "transcription"}
    assert answer.headers["Location"] == f"/api/recordings/{answer.json()['id']}"
