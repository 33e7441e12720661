"""The link to a live session, made and opened by a program."""

import httpx

from recordings.models import LiveSession
from tests.support.site import Site


def test_a_program_has_the_link_before_it_speaks_and_opens_it_to_everyone(site: Site) -> None:
    program, other = site.program(), site.program("jonas")
    made = program.post("/api/live/link").json()
    session = LiveSession.objects.get()
    link = f"{site.url}/live/{session.pk}"
    assert made == {"session": session.pk, "link": link, "public": False}
    assert program.post("/api/live/link").json() == made
    assert other.post("/api/live/link").json()["session"] != session.pk
    assert httpx.get(link).status_code == 404
    assert program.patch(f"/api/live/{session.pk}", json={"public": True}).json() == made | {"public": True}
    assert httpx.get(link).status_code == 200
    assert program.patch(f"/api/live/{session.pk}", json={"public": False}).json() == made
    assert httpx.get(link).status_code == 404


def test_nobody_opens_another_persons_session(site: Site) -> None:
    session = site.program().post("/api/live/link").json()["session"]
    answers = [site.program("jonas").patch(f"/api/live/{one}", json={"public": True}) for one in (session, "0" * 16)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
    assert not LiveSession.objects.get(pk=session).public
