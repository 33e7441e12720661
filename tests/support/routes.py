"""Patterns of the product's routes."""

import re

PLACE = re.compile(r"<(int|uuid):(\w+)>")
