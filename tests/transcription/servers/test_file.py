"""The file of servers: what it may say, and the sentence for each fault."""

from pathlib import Path

import pytest
from django.conf import settings

from transcription.servers.file import KEYS, NamedServer, missing_model, names, parse, read

ONE = '[[server]]\nurl = "http://gpu1:8000/v1"\n'
TWO = '[[server]]\nurl = "http://gpu2:8000/v1"\n'


def test_a_server_needs_only_its_url_and_may_say_all_else() -> None:
    text = (
        f"{ONE}{TWO}"
        'key = "secret"\nlimit = 4\nmodels = ["large-v3", "small"]\nlanes = ["batch", "interactive"]\nweight = 2.5\n'
    )
    assert parse(text) == (
        NamedServer("http://gpu1:8000/v1"),
        NamedServer(
            "http://gpu2:8000/v1", "secret", "4", ("large-v3", "small"), lanes=("interactive", "batch"), weight=2.5
        ),
    )
    assert parse(f'{ONE}limit = "auto"')[0].limit == "auto"


def test_the_example_can_be_used_and_shows_every_key() -> None:
    example = Path(settings.BASE_DIR) / "servers.example.toml"
    first, second = read(example)
    assert second.lanes == ("live", "interactive", "batch")
    assert first.models == ("large-v3",)
    assert all(f"\n{key} = " in example.read_text() for key in KEYS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no server"),
        ("[[server]\n", "It is not TOML: .* line 1"),
        ("server = []", "names no server"),
        ('[server]\nurl = "http://gpu1:8000/v1"', "each stands under \\[\\[server\\]\\]"),
        (f"{ONE}[[servers]]", "'servers' is not known"),
        (
            f'{ONE}modles = ["large-v3"]',
            "Server 1 has an unknown key, 'modles'; known are url, key, limit, models",
        ),
        (f'{ONE}[[server]]\nkey = "secret"', "Server 2 has no url"),
        ('[[server]]\nurl = "gpu1:8000"', "Server 1: 'gpu1:8000' is not the address of a Whisper server"),
        (f'{ONE}[[server]]\nurl = "http://gpu1:8000/v1/"', "Servers 1 and 2 have the same url"),
        (f"{ONE}key = 4", "Server 1: the key must be a text"),
        (f'{ONE}key = "line\\nbreak"', "Server 1: the key must be a text"),
        (f"{ONE}limit = 0", "the limit must be a whole number, 1 or more, or 'auto', not 0"),
        (f'{ONE}limit = "4"', "the limit must be"),
        (f"{ONE}limit = true", "the limit must be"),
        (f"{ONE}weight = 0", "the weight must be a number above 0, not 0"),
        (f"{ONE}weight = inf", "the weight must be"),
        (f"{ONE}weight = nan", "the weight must be"),
        (f'{ONE}models = "large-v3"', "models must be a list of names"),
        (f"{ONE}models = []", "models must be a list of names, and not empty"),
        (f"{ONE}models = [3]", "models must be a list of names"),
        (f'{ONE}lanes = ["fast"]', "there is no lane 'fast'; the lanes are live, interactive, batch"),
        (f"{ONE}lanes = []", "lanes must be a list of names, and not empty"),
        (f'{ONE}lanes = ["batch"]\n{TWO}lanes = ["live"]', "No server serves the lane 'interactive'"),
    ],
)
def test_each_fault_is_told_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as told:
        parse(text)
    assert "\n" not in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "No such file"), (b"\xff", "not UTF-8"), (b"[[server]]", "servers.toml: Server 1 has no url")],
)
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read(path)


LIVE = 'lanes = ["live"]\n'
OTHERS = 'lanes = ["interactive", "batch"]\n'


@pytest.mark.parametrize(
    ("text", "model", "live_model", "sentence"),
    [
        (f"{ONE}", "large-v3", "small", ""),  # its own list will tell
        (f'{ONE}models = ["large-v3"]', "", "", ""),
        (f'{ONE}models = ["large-v3"]\n{TWO}models = ["small"]', "large-v3", "small", ""),
        (f'{ONE}models = ["large-v3"]', "large", "", "ASR_MODEL is 'large', which no server of the lane"),
        (
            f'{ONE}{LIVE}models = ["small"]\n{TWO}{OTHERS}models = ["large-v3"]',
            "large-v3",
            "large-v3",
            "ASR_LIVE_MODEL is 'large-v3', which no server of the lane 'live' has.",
        ),
        (f'{ONE}{LIVE}\n{TWO}{OTHERS}models = ["large-v3"]', "large-v3", "small", ""),
    ],
)
def test_a_model_that_no_server_has_is_named(text: str, model: str, live_model: str, sentence: str) -> None:
    wanted = {"ASR_MODEL": (model, ("interactive", "batch")), "ASR_LIVE_MODEL": (live_model, ("live",))}
    told = missing_model(parse(text), wanted)  # type: ignore[arg-type] # tuples of lanes
    assert told.startswith(sentence) if sentence else told == ""


@pytest.mark.parametrize(
    ("urls", "called"),
    [
        (["http://gpu1:8000/v1", "http://gpu2:8000/v1/"], ["gpu1:8000", "gpu2:8000"]),
        (["http://mei:secret@gpu1:8000/v1"], ["gpu1:8000"]),
        (["https://gpu/small/v1", "https://mei:secret@gpu/large/v1/"], ["gpu/small/v1", "gpu/large/v1"]),
        (["https://gpu", "https://gpu/large", "https://other/v1"], ["gpu", "gpu/large", "other"]),
    ],
)
def test_servers_are_named_by_host_and_port_and_by_the_path_where_two_share_them(
    urls: list[str], called: list[str]
) -> None:
    assert names(urls) == called
