"""Notices to the open sockets of a person that their rights may have changed, from every place that changes them.

Without Redis, a command in another process cannot tell the server. So sockets also check their rights themselves.
"""

from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from accounts.models import ApiToken

RIGHTS_CHANGED = "rights.changed"


def rights_group(user_id: int) -> str:
    """Channel-layer group of all open sockets of the user."""
    return f"accounts.user.{user_id}"


def watch() -> None:
    """Connect the signals, so that every change of a token, a user or a session is told."""
    for signal in (post_save, post_delete):
        signal.connect(_token_changed, ApiToken)
        signal.connect(_user_changed, User)
    post_delete.connect(_session_ended, Session)


def _token_changed(instance: ApiToken, created: bool = False, **_: Any) -> None:
    if not created:
        _tell(instance.user_id)


def _user_changed(instance: User, created: bool = False, update_fields: Any = None, **_: Any) -> None:
    if not created and update_fields != {"last_login"}:  # a sign-in writes that
        _tell(instance.pk)


def _session_ended(instance: Session, **_: Any) -> None:
    if user_id := instance.get_decoded().get(SESSION_KEY):
        _tell(int(user_id))


def _tell(user_id: int) -> None:
    """Tell the user's sockets after the commit. Never raises, since sockets check again by themselves."""
    layer = get_channel_layer()
    send = partial(async_to_sync(layer.group_send), rights_group(user_id), {"type": RIGHTS_CHANGED})
    transaction.on_commit(send, robust=True)
