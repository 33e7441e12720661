"""A resumable upload with `duplicate=ask` of bytes that the library has: it waits until the caller decides."""

from recordings.models import Recording, Transcription
from tests.support.answers import code
from tests.support.site import Site
from tests.support.tus import TUS, create, offset, send


def test_the_same_bytes_wait_for_an_answer_where_one_is_asked_for(site: Site, clip: bytes) -> None:
    api = site.program()
    first = send(api, create(api, len(clip), duplicate="ask"), 0, clip).headers["Stile-Recording"]
    waiting = create(api, len(clip), duplicate="ask")
    asked = send(api, waiting, 0, clip)
    assert (asked.status_code, asked.headers["Stile-Duplicate"]) == (204, first)
    assert "Stile-Recording" not in asked.headers
    looked = api.get(waiting).json()
    assert (looked["recording"], looked["duplicate"], looked["offset"]) == (None, int(first), len(clip))
    assert Recording.objects.count() == 1

    insisted = [api.post(waiting, headers=TUS).json() for _ in range(2)]
    assert insisted[0] == insisted[1]
    assert insisted[0]["recording"] == Recording.objects.latest("pk").pk != int(first)
    assert Recording.objects.count() == Transcription.objects.count() == 2

    given_up = create(api, len(clip), duplicate="ask")
    send(api, given_up, 0, clip)
    assert api.delete(given_up, headers=TUS).status_code == 204
    assert len(site.files()) == 2


def test_only_a_whole_upload_can_be_insisted_on(site: Site, clip: bytes) -> None:
    api = site.program()
    url = create(api, len(clip), duplicate="ask")
    send(api, url, 0, clip[:100])
    assert code(api.post(url, headers=TUS)) == (409, "wrong_offset")
    assert offset(api, url) == 100
