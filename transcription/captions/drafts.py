"""The caption that is being worked on: what was heard of it, and how much of that two recognitions agree on."""

from dataclasses import dataclass, field, replace

from transcription.answer import HeardWord
from transcription.captions.tokens import Token, agreed, continued, fixed, joined

SENTENCE = 1.0  # seconds that a sentence lasts at least, to become a caption of its own
CLAUSE = 6.0  # seconds after which the end of a clause is good enough

DOUBTED, LATER = 0.5, 2.5  # probability below which a token waits for so many seconds of sound behind it
SURE, SOON = 0.85, 0.5  # probability from which one vote is enough, with so many seconds of sound behind it
NEWEST = 0.25  # seconds of sound behind a word; with less, the sound may have ended in it


@dataclass(eq=False)
class Draft:
    """`tokens` begin with `stable` ones, which stay.

    A token becomes stable when two recognitions in a row agree on it (LocalAgreement-2; Macháček, Dabre and Bojar
    2023). Where the server tells how probable words are, that is refined: one that it doubts waits until more was
    heard, and one that it is sure of, and that is not at the very end, needs no second vote.
    """

    tokens: list[Token] = field(default_factory=list)
    votes: list[int] = field(default_factory=list)  # how many recognitions in a row had this token
    stable: int = 0
    heard: int = 0  # place up to which the sound was heard for it
    heard_before: int = 0  # the same, one recognition earlier: what is stable lies before it
    told: tuple[str, int] | None = None  # text and length of its stable part, as people saw them
    language: str = ""

    @property
    def text(self) -> str:
        return joined(self.tokens)

    @property
    def settled(self) -> str:
        """The characters that stay."""
        return fixed(self.tokens[: self.stable])

    def likely(self, second: float) -> str:
        """What is worth showing while its speaker goes on, heard up to this second: not the newest words, until they
        are heard again, nor the punctuation at its end. Both are guesses, which the next word refutes."""
        count = len(self.tokens)
        while count > self.stable and self.votes[count - 1] < 2 and _newest(self.tokens[count - 1], second):
            count -= 1
        return fixed(self.tokens[:count])

    def hear(self, tokens: list[Token], place: int, second: float) -> None:
        """Another recognition of the same speech, up to a place, which is that second."""
        tokens = continued(self.tokens[: self.stable], tokens)
        same = agreed(self.tokens, tokens)
        self.votes = [*(votes + 1 for votes in self.votes[:same]), *[1] * (len(tokens) - same)]
        self.tokens = tokens
        self.heard_before, self.heard = self.heard, place
        while self.stable < len(tokens) and _settles(tokens[self.stable], self.votes[self.stable], second):
            self.stable += 1

    def settle(self, tokens: list[Token]) -> None:
        """The last recognition: no more will come."""
        self.tokens = continued(self.tokens[: self.stable], tokens)
        self.stable = len(self.tokens)

    def cut_short(self) -> None:
        """It ends before what was heard last: only what is stable is sure to lie in it."""
        del self.tokens[self.stable :], self.votes[self.stable :]
        self.heard = self.heard_before = 0

    def boundary(self, start: float, stable_before: int) -> tuple[int, float, float] | None:
        """After how many of its tokens a caption that begins at second `start` may end for good, and the seconds
        between which it does. Not inside of what was stable before this: people saw that in one caption."""
        for count in range(self.stable - 1, max(stable_before, 1) - 1, -1):
            last, following = self.tokens[count - 1], self.tokens[count]
            if last.end is None or following.start is None:
                continue
            length = last.end - start
            if (last.ends_sentence and length >= SENTENCE) or (last.ends_clause and length >= CLAUSE):
                return count, last.end, following.start
        return None

    def split(self, count: int) -> "Draft":
        """Cut its first tokens off, as a draft of their own."""
        head = replace(self, tokens=self.tokens[:count], votes=self.votes[:count], stable=count)
        self.tokens, self.votes = self.tokens[count:], self.votes[count:]
        self.tokens[0] = replace(self.tokens[0], text=self.tokens[0].text.lstrip())
        self.stable -= count
        self.told = None
        return head

    def words(self) -> tuple[HeardWord, ...]:
        """With their times, if the server told those of all."""
        words = [
            HeardWord(token.start, token.end, token.text, token.probability)
            for token in self.tokens
            if token.start is not None and token.end is not None
        ]
        return tuple(words) if len(words) == len(self.tokens) else ()


def _newest(token: Token, second: float) -> bool:
    return token.end is not None and second - token.end < NEWEST


def _settles(token: Token, votes: int, second: float) -> bool:
    if token.probability is None or token.end is None:
        return votes >= 2
    behind = second - token.end
    if token.probability < DOUBTED:
        return votes >= 2 and behind >= LATER
    return votes >= 2 or (token.probability >= SURE and behind >= SOON)
