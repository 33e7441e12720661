"""Live captions: sound in as it is spoken, text out that settles word by word, whatever the server's pace."""

from transcription.captions.captioner import Caption, Captioner, Recognize
from transcription.captions.pace import Pace

__all__ = ["Caption", "Captioner", "Pace", "Recognize"]
