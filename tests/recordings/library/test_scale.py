"""A large library and a long line take no more queries than small ones. `bench.scale` measures 100,000 recordings."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from recordings.models import Recording, Transcription
from recordings.work.line import QueuedJob, read_line
from recordings.work.places import work_until_done
from tests.support.rows import fill_library


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["/api/recordings", "/api/recordings?cursor={middle}", "/api/recordings/{middle}", "/"]
)
def test_a_page_takes_the_same_few_queries_however_large_the_library_is(path: str, client: Client) -> None:
    counts = []
    for owner, size in [(User.objects.create(username="small"), 60), (User.objects.create(username="large"), 1000)]:
        fill_library(owner, size)
        client.force_login(owner)
        middle = Recording.objects.filter(owner=owner).order_by("pk")[size // 2].pk
        client.get(path.format(middle=middle))  # reads the line, which is kept until it changes
        with CaptureQueriesContext(connection) as queries:
            assert client.get(path.format(middle=middle)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10


@pytest.mark.django_db
def test_a_long_line_is_read_once_until_it_changes(client: Client) -> None:
    mei, jonas = (User.objects.create(username=name) for name in ("mei", "jonas"))
    fill_library(mei, 300)
    fill_library(jonas, 2)
    Transcription.objects.update(status="queued")
    assert read_line() is read_line()
    assert [job.owner_id for job in read_line()[:5]] == [mei.pk, jonas.pk, mei.pk, jonas.pk, mei.pk]
    first = read_line()[0].pk
    Transcription.objects.filter(pk=first).update(status="transcribing")
    assert first not in [job.pk for job in read_line()]
    assert len(read_line()) == 301
    Transcription.objects.filter(pk=first).update(status="queued")
    assert read_line()[0].pk == first


def test_one_owners_jobs_share_what_the_owner_gets() -> None:
    jobs = [QueuedJob(1, "batch", 7, 60.0), QueuedJob(2, "batch", 7, 600.0), QueuedJob(3, "batch", 7, 30.0)]
    assert work_until_done(jobs, at_once=1) == {1: 60.0, 2: 660.0, 3: 690.0}
    assert work_until_done(jobs, at_once=2) == {1: 120.0, 3: 180.0, 2: 690.0}


def test_another_owners_long_line_costs_only_as_much_as_ones_own_work() -> None:
    jobs = [QueuedJob(number, "batch", 7, 3600.0) for number in range(500)] + [QueuedJob(500, "batch", 8, 60.0)]
    assert work_until_done(jobs, at_once=1)[500] == 120.0


def test_a_short_clip_goes_before_long_recordings() -> None:
    jobs = [QueuedJob(1, "batch", 7, 3600.0), QueuedJob(2, "interactive", 7, 30.0)]
    assert work_until_done(jobs, at_once=1) == {2: 30.0, 1: 3630.0}
