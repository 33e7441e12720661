"""`Idempotency-Key` on POST: a request that is sent again gets the answer of the first one.

The rules are those of the IETF's draft (draft-ietf-httpapi-idempotency-key-header). The first request claims its key in
the database; a second one at the same time, here or in another process, waits for the answer. Only a success is kept,
since a failed request has made nothing and may be tried again. A claim lapses with the process that held it. The
request that takes a lapsed claim over finds in `request.begun_at` when the work began, because it may be done already.

An answer is kept without people's words: `Memory` takes the words out, and reads them anew for the repeated answer. So
words that were corrected or deleted since are gone from it, too.
"""

import asyncio
import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from django.db import DatabaseError, InterfaceError
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from accounts.auth import Caller, identify, read_form
from accounts.models import FirstAnswer
from web.compression import UNCOMPRESSED
from web.problems import Problem, retry_after

log = logging.getLogger(__name__)

KEY = re.compile(r"[\x21-\x7e]{1,255}")
KEPT = timedelta(days=1)
# Kept answers of one person, and of all people; the oldest are deleted first. A client repeats within minutes, and one
# person starts at most 600 uploads an hour. A row takes about 1 KB, so all of them take some 50 MB at most.
MOST_OF_ONE = 2_000
MOST_OF_ALL = 50_000
BATCH = 100  # rows deleted at once; one request makes only one
LAPSES = timedelta(seconds=30)  # after its last heartbeat, a claim may be taken over
BEAT = 10.0  # seconds between two heartbeats of a claim
WAIT = 10.0  # seconds that a second request waits for the first
LOOK_AGAIN = 0.1  # seconds between two looks for its answer
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Memory(Protocol):
    """Chooses the answers to keep, and their parts. Bodies are JSON objects."""

    def keep(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The part of an answer's body to keep, small and without people's words. None: the answer is not kept."""

    async def recall(self, caller: Caller, kept: dict[str, Any]) -> dict[str, Any]:
        """The whole body again, from the kept part. Raises Problem 404 where its object was deleted since."""


async def first_answer(
    request: HttpRequest, run: Callable[[], Awaitable[HttpResponseBase]], memory: Memory
) -> HttpResponseBase:
    """The answer of `run()`, or the kept answer to the same request of the same caller.

    Raises Problem 401 without a caller, 400 for a malformed key, 422 for the key of another request, 404 where the
    object that the first request made was deleted since, and 409 while the first request is still at work after WAIT.
    """
    key = request.headers.get("Idempotency-Key")
    if request.method != "POST" or key is None:
        return await run()
    if not KEY.fullmatch(key):
        raise Problem("invalid_idempotency_key")
    caller = await identify(request)
    row = await _claim(caller, key, await _fingerprint(request, caller))
    if row.status is not None:
        return await _again(caller, row, memory)
    request.begun_at = row.begun_at  # type: ignore[attr-defined]
    return await _first(row, run, memory)


async def _fingerprint(request: HttpRequest, caller: Caller) -> str:
    """Hash of what identifies a request. Multipart boundaries are random, so they are left out."""
    said: list[object] = [request.path, request.GET.urlencode(), caller.token and caller.token.pk]
    if request.content_type == "multipart/form-data":
        await read_form(request)
        files = cast(Mapping[str, Any], request.FILES)  # our upload handler's, which know their digest
        said += [sorted(request.POST.lists()), sorted((field, file.name, file.sha256) for field, file in files.items())]
    else:
        said.append(hashlib.sha256(request.body).hexdigest())
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


async def _claim(caller: Caller, key: str, fingerprint: str) -> FirstAnswer:
    """The row of the key: with a kept answer, or without one, claimed for this request. Raises Problem 422, 409."""
    await _forget_oldest(caller)
    waited = 0.0
    while True:
        now = timezone.now()
        row, created = await FirstAnswer.objects.aget_or_create(
            user=caller.user, key=key, defaults={"fingerprint": fingerprint, "begun_at": now, "claimed_at": now}
        )
        if row.fingerprint != fingerprint:
            raise Problem("idempotency_key_reused")
        if created or row.status is not None or await _took_over(row, now):
            return row
        if waited >= WAIT:
            raise Problem("still_working", headers=retry_after((row.claimed_at + LAPSES - now).total_seconds()))
        await asyncio.sleep(LOOK_AGAIN)
        waited += LOOK_AGAIN


async def _forget_oldest(caller: Caller) -> None:
    """Delete the oldest answers, to make room for one more. Claims of work under way stay."""
    now = timezone.now()
    answers = FirstAnswer.objects.order_by("-begun_at", "-pk")
    await answers.filter(begun_at__lt=now - KEPT).adelete()
    for some, most in ((answers.filter(user=caller.user), MOST_OF_ONE), (answers, MOST_OF_ALL)):
        oldest = [pk async for pk in some.values_list("pk", flat=True)[most - 1 : most + BATCH]]
        under_way = Q(status=None, claimed_at__gte=now - LAPSES)
        await FirstAnswer.objects.filter(pk__in=oldest).exclude(under_way).adelete()


async def _took_over(row: FirstAnswer, now: datetime) -> bool:
    """Take a lapsed claim over. Returns whether this request has it now; of two that try, one gets it."""
    lapsed = row.claimed_at < now - LAPSES
    same = FirstAnswer.objects.filter(pk=row.pk, status=None, claimed_at=row.claimed_at)
    return lapsed and await same.aupdate(claimed_at=now) == 1


async def _first(row: FirstAnswer, run: Callable[[], Awaitable[HttpResponseBase]], memory: Memory) -> HttpResponseBase:
    rows = FirstAnswer.objects.filter(pk=row.pk)
    beating = asyncio.create_task(_beat(row.pk))
    try:
        response = await run()
    except BaseException:  # for example canceled, as the client hung up: the work may be done or not
        await asyncio.shield(asyncio.ensure_future(rows.aupdate(claimed_at=NEVER)))
        raise
    finally:
        beating.cancel()
    with suppress(DatabaseError, InterfaceError):  # the claim lapses by itself, and this answer is valid
        if kept := _kept(response, memory):
            location = response.headers.get("Location", "")
            await rows.aupdate(status=response.status_code, body=json.dumps(kept), location=location)
        elif response.status_code < 500:
            await rows.adelete()
        else:
            await rows.aupdate(claimed_at=NEVER)
    return response


async def _beat(pk: int) -> None:
    while True:
        await asyncio.sleep(BEAT)
        try:
            await FirstAnswer.objects.filter(pk=pk).aupdate(claimed_at=timezone.now())
        except (DatabaseError, InterfaceError) as failure:
            log.warning("A heartbeat could not be written: %r", failure)


def _kept(response: HttpResponseBase, memory: Memory) -> dict[str, Any] | None:
    if isinstance(response, HttpResponse) and response.status_code < 300 and response.content:
        return memory.keep(json.loads(response.content))
    return None


async def _again(caller: Caller, row: FirstAnswer, memory: Memory) -> HttpResponse:
    body = await memory.recall(caller, json.loads(row.body))
    response = JsonResponse(body, status=row.status, json_dumps_params={"ensure_ascii": False})
    response.headers["Idempotent-Replayed"] = "true"
    response.headers["Cache-Control"] = UNCOMPRESSED  # some have one
    if row.location:
        response.headers["Location"] = row.location
    return response
