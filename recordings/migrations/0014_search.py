"""Words are found by an index. It is filled here with what is there, in batches, and kept in step by triggers."""

from django.db import migrations

from recordings.search.index import index_of


class Migration(migrations.Migration):
    atomic = False  # so that the batches are transactions of their own
    dependencies = [("recordings", "0013_guest_links")]
    operations = [
        migrations.RunPython(
            lambda _, editor: index_of(editor.connection).install(),
            lambda _, editor: index_of(editor.connection).remove(),
        )
    ]
