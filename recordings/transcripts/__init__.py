"""Text: a transcription as people read it, in sentences and words with times, its corrections, and its exports as
subtitles and documents.
"""
