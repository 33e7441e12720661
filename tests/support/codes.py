"""The codes of the errors of a transcription."""

from transcription import errors


def codes(kind: type[errors.TranscriptionError] = errors.TranscriptionError) -> set[str]:
    """The codes of this class of errors and of all below it."""
    own = {kind.code} if "code" in vars(kind) else set()
    return own.union(*map(codes, kind.__subclasses__()))
