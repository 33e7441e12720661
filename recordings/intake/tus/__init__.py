"""Resumable uploads: the tus protocol, 1.0 (https://tus.io/protocols/resumable-upload), at /api/uploads.

protocol     what its headers say, and what is wrong with them
views        the two addresses: all uploads, and one
part         the file on disk that grows while an upload is under way
completing   makes a recording of a part that is whole

A file comes in requests of any size. Each is appended in pieces of 8 MB (`intake.pieces`) to the part on disk. The size
of the part alone says how far the upload has got. A connection that breaks keeps what has come; a server that is killed
loses the piece under way.
"""

from recordings.intake.tus.part import remove_expired
from recordings.intake.tus.protocol import ALGORITHMS, EXTENSIONS, PIECE_TYPE, VERSION
from recordings.intake.tus.views import upload, uploads

__all__ = ["ALGORITHMS", "EXTENSIONS", "PIECE_TYPE", "VERSION", "remove_expired", "upload", "uploads"]
