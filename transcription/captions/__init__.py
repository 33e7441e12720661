"""Live captions: sound goes in while it is spoken, and text comes out that becomes stable word by word.

The face is `Captioner`, one for each stream of sound, and `Pace`, one for the process. Inside: `utterances` (speech and
silence), `recognition` (calls), `drafts` and `words` (text), `prompts`, `catch_up` (sound that was kept).
"""

from transcription.captions.captioner import Captioner, CaptionState
from transcription.captions.pace import Pace
from transcription.captions.recognition import Recognize

__all__ = ["CaptionState", "Captioner", "Pace", "Recognize"]
