"""Audio in, stretches of speech out: files are opened without trust, decoded in a stream, and cut at pauses."""

from transcription.audio.playable import write_playable
from transcription.audio.probe import AudioInfo, probe
from transcription.audio.reader import SpeechReader, Stretch, wav, wav_header
from transcription.audio.segmenter import Samples
from transcription.audio.vad import RATE

__all__ = ["RATE", "AudioInfo", "Samples", "SpeechReader", "Stretch", "probe", "wav", "wav_header", "write_playable"]
