"""A stolen database opens no session: keys become digests. Kept answers lose the words that people wrote."""

import hashlib
import json

from django.db import migrations, models

COLUMN = 40  # characters of a digest; a key of Django's has 32
KEPT = {"id", "status", "created_at", "transcription"}


def _overwrite(connection):
    """What is replaced must not stay legible in the free parts of the file."""
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA secure_delete=ON")


def hash_keys(apps, schema_editor):
    """Whoever is signed in stays so: the cookie's key is found by its digest."""
    _overwrite(schema_editor.connection)
    sessions = apps.get_model("sessions", "Session").objects.using(schema_editor.connection.alias)
    for key in list(sessions.values_list("session_key", flat=True)):
        if len(key) != COLUMN:
            sessions.filter(session_key=key).update(session_key=hashlib.sha256(key.encode()).hexdigest()[:COLUMN])


def end_sessions(apps, schema_editor):
    """Backwards nothing leads from a digest to its key: people sign in again."""
    apps.get_model("sessions", "Session").objects.using(schema_editor.connection.alias).all().delete()


def cut_answers(apps, schema_editor):
    _overwrite(schema_editor.connection)
    answers = apps.get_model("accounts", "FirstAnswer").objects.using(schema_editor.connection.alias)
    for pk, body in list(answers.exclude(status=None).values_list("pk", "body")):
        content = json.loads(body)
        if KEPT <= content.keys():
            kept = {name: content[name] for name in KEPT}
            answers.filter(pk=pk).update(body=json.dumps(kept))
        else:  # a ticket for a socket, for one
            answers.filter(pk=pk).delete()


def forget_tickets(apps, schema_editor):
    """They live for half a minute."""
    apps.get_model("accounts", "SocketTicket").objects.using(schema_editor.connection.alias).all().delete()


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_names"), ("sessions", "0001_initial")]

    operations = [
        migrations.RenameField("socketticket", "session_key", "session"),
        migrations.AlterField(
            "socketticket",
            "session",
            models.CharField(blank=True, help_text="the name of its row, see `sessions`", max_length=40),
        ),
        migrations.AlterField(
            "firstanswer",
            "body",
            models.TextField(blank=True, help_text="what is kept of it, as JSON: no words of people"),
        ),
        migrations.RunPython(forget_tickets, migrations.RunPython.noop),
        migrations.RunPython(cut_answers, migrations.RunPython.noop),
        migrations.RunPython(hash_keys, end_sessions),
    ]
