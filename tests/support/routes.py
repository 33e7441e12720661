"""Patterns of the product's routes."""

import re

PLACE = re.compile(r"<(int|uuid):(\w+)>")  # of an object's id: its converter and its name
