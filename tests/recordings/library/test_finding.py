"""Pages of what is found, whichever way leads there."""

from itertools import count

import pytest
from django.contrib.auth.models import User

from recordings.library import finding, listing
from recordings.search.index import index
from tests.support.rows import recording, transcribed


def pages(owner: User, typed: str, limit: int) -> list[list[int]]:
    """The ids of what is found, page by page."""
    found, before = [], None
    for _ in count():
        page, before = finding.search(owner.pk, typed, before=before, limit=limit, hits=1)
        found.append([one.entry.recording.pk for one in page])
        if before is None:
            break
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("near", [1, 4])
@pytest.mark.parametrize("typed", ["often", "seldom", "often seldom", "titled", "nothing"])
def test_common_words_give_the_same_pages_by_the_short_way(
    monkeypatch: pytest.MonkeyPatch, typed: str, near: int
) -> None:
    for number in range(40):
        made = recording(title="Titled" if number % 7 == 0 else "Meeting")
        if number % 5:
            run = transcribed(made, "old and often")
            if number % 4:
                run = transcribed(made, "Hello.", "often" if number % 3 else "seldom and often")
            if number % 11 == 0:
                made.shown = run
                made.save()
    transcribed(recording("ann", title="Titled"), "often seldom")
    owner = User.objects.get(username="mei")
    expected = {limit: pages(owner, typed, limit) for limit in (1, 5, 50)}
    monkeypatch.setattr(type(index()), "common", lambda *_: True)
    monkeypatch.setattr(listing, "NEAR", near)
    assert {limit: pages(owner, typed, limit) for limit in expected} == expected
    assert (sum(map(len, expected[5])) > 0) == (typed != "nothing")
