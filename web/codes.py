"""The table of errors: for every code of the product, its sentence and its status at each door.

A code is the name of an error. It never changes, so programs may compare it. Pages, `/api`, `/v1` and the WebSockets
all render their errors from this table; `/api` and `/v1` answer with a `web.problems.Problem` of a code.
The table stands below all other packages, because each of them has errors to tell.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise

STAYS_OPEN = 0  # in place of a close code: the client is told, and the socket goes on
BAD_REQUEST = 4400  # close code: the client breaks the protocol, so coming back the same way would fail again


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table.

    words: the sentence for people, in their language. A part in braces is filled in where the error is raised.
    status: the HTTP status at `/api` and on pages. None: the error occurs on sockets only.
    v1: the HTTP status at `/v1`, where OpenAI's API has another one than `status`.
    close: the close code of the WebSocket (RFC 6455, section 7.4), or STAYS_OPEN. None: sockets do not have the error.
    socket: the sentence at the address of a socket, where it differs from `words`.
    live: the sentence in a live session, where it differs from `words`.
    """

    words: Words
    status: int | None = None
    v1: int | None = None
    close: int | None = None
    socket: Words = ""
    live: Words = ""


_INSIDE = _("Something went wrong inside the product. The administrator finds the details in the log.")

_REQUESTS = {
    "bad_request": Code(_("The request’s body cannot be read."), 400),
    "not_authenticated": Code(_("Sign in, or send a valid token: “Authorization: Bearer …”."), 401),
    "forbidden": Code(_("You may not do this."), 403),
    "csrf_failed": Code(_("The X-CSRFToken header is missing or wrong."), 403),
    "missing_scope": Code(_("This token lacks the scope “{scope}”."), 403),
    "beyond_own_rights": Code(_("A token makes tokens with its own rights at most. This one differs in: {what}."), 403),
    "made_by_token": Code(_("This token was made by another token, so it makes none itself."), 403),
    "too_many_tokens": Code(_("You have {most} tokens already. Revoke one of them, then make another."), 409),
    "not_found": Code(
        _("There is nothing here, or it is not yours."),
        404,
        close=4404,
        socket=_("There is no socket at this address."),
        live=_("There is no such session, or it is not yours."),
    ),
    "method_not_allowed": Code(_("This address does not take {method} requests."), 405),
    "too_large": Code(_("The file is larger than this server accepts."), 413),
    "invalid_request": Code(_("This cannot be used."), 422),
    "too_many_requests": Code(_("That is too much at once. Try again after the time in the Retry-After header."), 429),
    "internal_error": Code(_INSIDE, 500, close=1011),
    "database_unavailable": Code(_("The database is not answering. Try again."), 503, close=1013),
    "disk_full": Code(
        _("The server’s disk is full. Nothing was kept of this request."),
        507,
        close=STAYS_OPEN,
        live=_("The server’s disk is full. Nothing is lost: it goes on as soon as there is room."),
    ),
    "invalid_idempotency_key": Code(
        _("Idempotency-Key must be 1 to 255 characters of plain ASCII, without spaces."), 400
    ),
    "invalid_lane": Code(_("X-Stile-Lane must be “interactive” or “batch”."), 400),
    "idempotency_key_reused": Code(
        _("This Idempotency-Key was used for another request. Choose a new one for each."), 422
    ),
    "still_working": Code(_("The first request with this Idempotency-Key is still being worked on."), 409),
}

_UPLOADS = {
    "cut_off": Code(_("The form ends within the file: its last boundary is missing."), 400),
    "invalid_filename": Code(_("The file’s name cannot be used. Rename it and try again."), 400),
    "quota_exceeded": Code(
        _("You have used {used} of the {most} that one person may store here. Delete recordings to make room."),
        413,
        close=4413,
        live=_("You have used up the {most} that one person may store here. Delete recordings to make room."),
    ),
    "checksum_mismatch": Code(_("The piece arrived damaged. Send it again."), 460),  # 460 is tus's own
    "checksum_unsupported": Code(_("The checksum must be one of {algorithms}."), 400),
    "extension_unsupported": Code(_("This server does not do the extension “{extension}” of the protocol."), 400),
    "upload_busy": Code(_("Another request is writing to this upload."), 423),
    "version_unsupported": Code(_("The Tus-Resumable header must be {version}."), 412),
    "wrong_content_type": Code(_("The Content-Type must be {type}."), 415),
    "wrong_offset": Code(_("The upload continues at byte {offset}."), 409),
}

_FILES = {
    "crashed_decoder": Code(_("The program that reads recordings broke down on this file."), 422, v1=400),
    "damaged": Code(_("The file is damaged and cannot be read."), 422, v1=400),
    "empty_file": Code(_("The file is empty."), 400),
    "no_sound": Code(_("The file has no sound in it."), 422, v1=400),
    "no_such_track": Code(
        _("There is no sound track of this number: the file has {detail}."),
        422,
        v1=400,
    ),
    "not_audio": Code(_("This isn’t audio or video we can read."), 415, v1=400),
    "source_missing": Code(_("The audio file is no longer on the server."), 404),
    "too_complex": Code(
        _("To read this file takes far more memory or time than a recording of its size should."), 422, v1=400
    ),
    "too_long": Code(_("The recording is longer than this server accepts."), 422, v1=400, close=4413),
    "truncated": Code(_("The file is cut off before anything that could be read."), 422, v1=400),
    "unknown_codec": Code(_("We can’t read sound of this kind: {detail}."), 415, v1=400),
}

_TEXTS = {
    "edit_conflict": Code(_("This line was changed elsewhere. Keep yours or take theirs?"), 409),
    "no_next_segment": Code(_("No line follows to join this one with."), 409),
    "no_transcript": Code(_("This recording has no text. Transcribe it first."), 404),
    "not_done": Code(_("Only a transcription that is done can be restored."), 409),
    "not_finished": Code(_("The transcription is not finished. The json format shows the text so far."), 409),
    "not_undoable": Code(_("The text was changed since, so this cannot be undone any more."), 409),
    "nothing_to_split": Code(_("Put the cursor between two words: both parts need a text."), 422),
    "still_transcribing": Code(_("Wait until the transcription has ended, then change its lines."), 409),
    "text_too_long": Code(_("The text of a line would become longer than {longest} characters."), 422),
    "times_taken": Code(
        _("The times must lie between {start} s and {end} s, where the lines before and after stand."), 422
    ),
    "too_many_links": Code(_("This recording has {most} links already. Turn one of them off, then make another."), 409),
    "too_many_queued": Code(
        _("You have {most} transcriptions in line. Wait until some are done, then try again."), 429
    ),
    "too_short": Code(_("A line lasts at least a tenth of a second."), 422),
}

_GATE = {
    "bypass_refused": Code(_("The request asked to skip the line, which is not allowed here."), 403),
    "deadline_exceeded": Code(_("This waited longer than it was allowed to, so it was dropped."), 504),
    "nested_permit": Code(_INSIDE, 500),
    "not_admitted": Code(_("The request was not let through to the Whisper server."), 503),
    "queue_full": Code(_("The queue is full. Try again in a few minutes."), 503),
    "superseded": Code(_("A newer request took its place."), 409),
}

_SERVERS = {
    "misconfigured": Code(
        _("The Whisper server does not fit this product’s settings. The administrator has to mend that."), 502
    ),
    "out_of_memory": Code(_("The Whisper server ran out of GPU memory."), 503),
    "poison": Code(_("The Whisper server broke down each time it was given a certain part of this recording."), 502),
    "protocol_error": Code(_("The Whisper server gave an answer that makes no sense."), 502),
    "rejected": Code(
        _("The Whisper server refused this: the audio, or the model or language asked for, may be wrong."), 400
    ),
    "server_busy": Code(_("The Whisper server was too busy to answer."), 503),
    "server_error": Code(_("The Whisper server reported an error."), 502),
    "timed_out": Code(_("The Whisper server took too long, so we stopped waiting."), 504),
    "transcription_failed": Code(_("The transcription failed."), 502),
    "unreachable": Code(_("The Whisper server cannot be reached. The recording is safe."), 503),
}

# Errors that only /v1 has. Its own sentences are English, as OpenAI's are.
_V1 = {
    "invalid_value": Code("This cannot be used.", 400),
    "missing_file": Code("The audio must come as the multipart file “file”.", 400),
    "model_not_found": Code("There is no model “{model}” here.", 404),
    "unknown_parameter": Code("There is no field “{name}”. Its name is “{meant}”.", 400),
    "unsupported_value": Code("“{name}” is not done here. {instead}", 400),
}

_SOCKETS = {
    "not_signed_in": Code(
        _("Sign in first. A program opens this socket with a ticket."), close=4401, live=_("Sign in first.")
    ),
    "not_allowed": Code(
        _("Not allowed with this token, or from a page of this address."),
        close=4403,
        live=_("This token may not be used to transcribe."),
    ),
    "open_elsewhere": Code(_("This session goes on in another window."), close=4409),
    "frame_too_large": Code(_("A frame holds more than half a second of sound."), close=4413),
    "too_many_sessions": Code(_("You have too many live sessions open. End one of them first."), close=4429),
    "unsupported_protocol": Code(_("This server speaks the subprotocol stile.live.1."), close=BAD_REQUEST),
    "unsupported_sample_rate": Code(_("The sound must have a sample rate of 16000."), close=BAD_REQUEST),
    "bad_message": Code(_("The message cannot be understood."), close=BAD_REQUEST),
    "bad_frame": Code(
        _("A frame is a sequence number (32 bits) and some sound, in whole samples of 16 bits."), close=BAD_REQUEST
    ),
    "sequence_gap": Code(
        _("Frames are missing. Resume, and send everything that was not acknowledged."), close=BAD_REQUEST
    ),
    "not_started": Code(_("The first message must be “start”."), close=BAD_REQUEST),
    "already_started": Code(_("The session has been started already."), close=BAD_REQUEST),
    "restarting": Code(_("The server is restarting. Come back and resume; nothing is lost."), close=1012),
    "slow_client": Code(_("You read more slowly than captions come. Come back and resume."), close=1013),
    "stopped": Code(_("The session was stopped: no more sound is taken."), close=STAYS_OPEN),
    "storage_failed": Code(
        _("The server cannot write to its disk. Nothing is lost: it is tried again."), close=STAYS_OPEN
    ),
}

CODES = _REQUESTS | _UPLOADS | _FILES | _TEXTS | _GATE | _SERVERS | _V1 | _SOCKETS


def error_words(code: str, detail: str = "") -> str:
    """The sentence of a job's error code in the active language.

    A code that is not in the table, as an older version may have stored it, gets the general sentence.
    detail: the fact that the sentence names, where it names one; “?” stands for an unknown one.
    """
    row = CODES.get(code, CODES["transcription_failed"])
    return str(row.words).format(detail=detail or "?")
