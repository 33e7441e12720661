"""Audio in, stretches of speech out. Files are opened without trust, decoded as a stream, and cut at pauses.

In the server only `apart` reads people's files: it runs the rest of this package in child processes under limits.
"""

from transcription.audio.info import AudioInfo, audio_info
from transcription.audio.playable import write_playable
from transcription.audio.reader import SpeechReader, Stretch, wav, wav_header
from transcription.audio.segmenter import Samples
from transcription.audio.vad import RATE

__all__ = [
    "RATE",
    "AudioInfo",
    "Samples",
    "SpeechReader",
    "Stretch",
    "audio_info",
    "wav",
    "wav_header",
    "write_playable",
]
