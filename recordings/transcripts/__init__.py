"""The text of a transcription as people read it: words and sentences with times, corrections, and exports as subtitles
and documents.
"""
