"""The options that a person or a program sends along with a file."""

from typing import Literal

from pydantic import BaseModel, Field

from recordings.text import Language, Prompt, Title


class UploadOptions(BaseModel):
    """The options that every way in takes."""

    title: Title = Field("", description="The file’s name if empty.")
    language: Language = Field(
        "", description="In any form: “zh”, “zh-CN”, “Chinese”, “中文”; empty or “auto”: find out."
    )
    prompt: Prompt = Field("", description="Names and terms to expect.")
    track: int = Field(0, ge=0, le=999, description="The sound track to hear, from 1; 0: all that belong together.")
    transcribe: bool = Field(True, description="Put it in line at once.")


class UploadMetadata(UploadOptions):
    """The options of a resumable upload, in its header Upload-Metadata.

    duplicate: with `ask`, where the owner has the same bytes already, the upload waits whole for an answer, and names
        that recording.
    source: `browser` for sound that a page has recorded. Whatever comes with a token comes from the API.
    """

    duplicate: Literal["allow", "reuse", "ask"] = "allow"
    source: Literal["upload", "browser"] = "upload"
