"""What admins are told by code that knows no Django: in English, and still fit to be said in another language."""

from collections.abc import Callable
from typing import Self


class Sentence(str):
    """`template` with `values` in it, as `str.format` puts them there."""

    template: str
    values: tuple[object, ...]

    def __new__(cls, template: str, *values: object) -> Self:
        sentence = super().__new__(cls, template.format(*values))
        sentence.template, sentence.values = template, values
        return sentence

    def translated(self, translate: Callable[[str], str]) -> str:
        """The same in the language that `translate` puts templates into."""
        return translate(self.template).format(*self.values)


_ = Sentence  # marks a template for translation
