"""Languages that were stored as a Whisper server said them (“latin”, “unknown”) become Whisper's codes."""

from typing import Any

from django.db import migrations

from transcription import languages

FIELDS = (
    ("Recording", "language"),
    ("LiveSession", "language"),
    ("Caption", "language"),
    ("Transcription", "language"),
    ("Transcription", "detected_language"),
    ("Segment", "language"),
)


def to_codes(apps: Any, schema: Any) -> None:
    for model, field in FIELDS:
        rows = apps.get_model("recordings", model).objects.using(schema.connection.alias).order_by()
        for said in rows.values_list(field, flat=True).distinct():
            code = languages.code(said) or ""
            if code != said:
                rows.filter(**{field: said}).update(**{field: code})


class Migration(migrations.Migration):
    dependencies = [("recordings", "0006_names")]
    operations = [migrations.RunPython(to_codes, migrations.RunPython.noop)]
