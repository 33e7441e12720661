"""Sentences for people, from code that knows no Django. They are English, and can be translated afterwards."""

from collections.abc import Callable
from typing import Self


class Sentence(str):
    """The text of a `template` with `values` filled in by `str.format`, which remembers both."""

    template: str
    values: tuple[object, ...]

    def __new__(cls, template: str, *values: object) -> Self:
        sentence = super().__new__(cls, template.format(*values))
        sentence.template, sentence.values = template, values
        return sentence

    def translated(self, translate: Callable[[str], str]) -> str:
        """The sentence in another language. translate: translates a template."""
        return translate(self.template).format(*self.values)


_ = Sentence  # marks a template for translation
