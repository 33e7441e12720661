"""The text of a caption that is not final, and how much of it is stable."""

from dataclasses import dataclass, field, replace

from transcription.answer import HeardWord
from transcription.captions.words import CaptionWord, agreed, continued, fixed, joined

SENTENCE = 1.0  # seconds of the shortest sentence that becomes a caption of its own
CLAUSE = 6.0  # seconds after which a caption may also end behind a clause

DOUBTED, LATER = 0.5, 2.5  # a word of a lower probability waits for so many seconds of sound behind it
SURE, SOON = 0.85, 0.5  # a word of this probability needs one vote only, with so many seconds of sound behind it
NEWEST = 0.25  # seconds of sound; if there is less behind a word, the sound may have ended inside of it


@dataclass(eq=False)
class Draft:
    """The words of one caption. The first `stable` of them do not change any more.

    A word becomes stable when two recognitions in a row agree on it (LocalAgreement-2; Macháček, Dabre and Bojar
    2023). Where the server tells probabilities, there are two exceptions: a doubted word waits for more sound behind
    it, and a sure word that is not at the very end needs no second vote.
    """

    words: list[CaptionWord] = field(default_factory=list)
    votes: list[int] = field(default_factory=list)  # for each word: recognitions in a row that had it
    stable: int = 0
    heard: int = 0  # the place up to which the last recognition heard the sound
    heard_before: int = 0  # the same of the recognition before; stable words end before this place
    told: tuple[str, int] | None = None  # text and length of its stable part, as last shown to people
    language: str = ""

    @property
    def text(self) -> str:
        return joined(self.words)

    @property
    def settled(self) -> str:
        """The leading characters that do not change any more."""
        return fixed(self.words[: self.stable])

    def likely(self, second: float) -> str:
        """The text to show while the speaker goes on, heard up to this second of the session.

        The newest words are left out until a second recognition has them, and so is the punctuation at the end: both
        are guesses, and the next words often refute them.
        """
        count = len(self.words)
        while count > self.stable and self.votes[count - 1] < 2 and _newest(self.words[count - 1], second):
            count -= 1
        return fixed(self.words[:count])

    def hear(self, words: list[CaptionWord], place: int, second: float) -> None:
        """Add a recognition of the same speech. It heard the sound up to `place`, which is at `second`."""
        words = continued(self.words[: self.stable], words)
        same = agreed(self.words, words)
        self.votes = [*(votes + 1 for votes in self.votes[:same]), *[1] * (len(words) - same)]
        self.words = words
        self.heard_before, self.heard = self.heard, place
        while self.stable < len(words) and _settles(words[self.stable], self.votes[self.stable], second):
            self.stable += 1

    def settle(self, words: list[CaptionWord]) -> None:
        """Add the last recognition: all words are stable now."""
        self.words = continued(self.words[: self.stable], words)
        self.stable = len(self.words)

    def cut_short(self) -> None:
        """The caption ends before the last recognition did. Keep stable words only: they surely lie before the cut."""
        del self.words[self.stable :], self.votes[self.stable :]
        self.heard = self.heard_before = 0

    def boundary(self, start: float, stable_before: int) -> tuple[int, float, float] | None:
        """Where a caption that begins at second `start` may end while the speaker goes on, or None.

        The number of its words, the second at which the last of them ends, and the one at which the next word begins.
        Never inside of the first `stable_before` words: people saw them as stable in one caption.
        """
        for count in range(self.stable - 1, max(stable_before, 1) - 1, -1):
            last, following = self.words[count - 1], self.words[count]
            if last.end is None or following.start is None:
                continue
            length = last.end - start
            if (last.ends_sentence and length >= SENTENCE) or (last.ends_clause and length >= CLAUSE):
                return count, last.end, following.start
        return None

    def split(self, count: int) -> "Draft":
        """Cut off the first `count` words and return them as a draft of their own."""
        head = replace(self, words=self.words[:count], votes=self.votes[:count], stable=count)
        self.words, self.votes = self.words[count:], self.votes[count:]
        self.words[0] = replace(self.words[0], text=self.words[0].text.lstrip())
        self.stable -= count
        self.told = None
        return head

    def timed_words(self) -> tuple[HeardWord, ...]:
        """All words with their times; empty where the server did not tell the times of all of them."""
        words = [
            HeardWord(word.start, word.end, word.text, word.probability)
            for word in self.words
            if word.start is not None and word.end is not None
        ]
        return tuple(words) if len(words) == len(self.words) else ()


def _newest(word: CaptionWord, second: float) -> bool:
    return word.end is not None and second - word.end < NEWEST


def _settles(word: CaptionWord, votes: int, second: float) -> bool:
    if word.probability is None or word.end is None:
        return votes >= 2
    behind = second - word.end
    if word.probability < DOUBTED:
        return votes >= 2 and behind >= LATER
    return votes >= 2 or (word.probability >= SURE and behind >= SOON)
