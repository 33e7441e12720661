"""`manage.py fetch_weights`: have the embedded engine's weights in place before they are needed."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from transcription.engine.weights import WeightsError, ensure_weights, weight_folders


class Command(BaseCommand):
    help = "Download the weights of ASR_EMBEDDED_MODEL into the installation, unless they are there already."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ASR_API_URL or settings.ASR_SERVERS:
            self.stdout.write("The settings name a server, so no weights are needed here.")
            return
        # Reversed: what the data folder has serves too, what is missing becomes part of the installation.
        folders = [*reversed(weight_folders(settings.DATA_DIR))]
        try:
            self.stdout.write(f"Weights: {ensure_weights(settings.ASR_EMBEDDED_MODEL, folders)}")
        except WeightsError as error:
            raise CommandError(str(error)) from error
