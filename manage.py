#!/usr/bin/env python
"""Django's command line for Stile: `manage.py help` lists the commands."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

from asrsite.reasons import reason


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")
    try:
        if arguments[1:] in (["version"], ["--version"]):  # Django would tell its own
            return print(f"Stile {settings.VERSION}")
        execute_from_command_line(arguments)
    except Exception as error:
        if words := reason(error):
            sys.exit(f"Error: {words}")
        raise


if __name__ == "__main__":
    main(sys.argv)
