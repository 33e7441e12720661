"""Schemathesis makes requests from the specification, valid and invalid ones, and checks each answer against it."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth.models import User

from accounts import auth, tokens
from accounts.models import ApiToken
from recordings.api import recordings as api
from recordings.intake.tus import views as tus
from tests.support.rows import recording, transcribed
from tests.support.site import Site
from web.throttle import Allowance

SECONDS = 30
# A request that fits its schema may still be refused for a reason that no schema can state: bytes that are no audio, a
# name that is a path, a language that Whisper does not know, a key that was used for another request, a piece with the
# wrong offset, a file that is too large. The tus protocol has a status of its own for a missing version.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 413, 415, 422, 460]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 409, 412, 413, 415, 422, 460]
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 404, 412, 415, 422]
"""
HOOKS = """
import os

import schemathesis

# The token that asks is not revoked: all later requests would be refused.
@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.method == "DELETE" and str(case.path_parameters.get("id")) == os.environ["OWN_TOKEN"]:
        if case.path == "/api/tokens/{id}":
            case.path_parameters["id"] = 0

@schemathesis.serializer("application/offset+octet-stream")
def as_it_is(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""


@pytest.mark.slow
def test_no_request_finds_a_server_error_or_an_answer_outside_the_specification(site: Site, monkeypatch: Any) -> None:
    for module, name in (
        (auth, "CALLS"),
        (auth, "BAD_TOKENS"),
        (api, "UPLOADS"),
        (tus, "UPLOADS"),
        (tokens, "TOKENS"),
    ):
        monkeypatch.setattr(module, name, Allowance(f"fuzzed-{name}", 10**9, 60))
    transcribed(recording(), "Some words.")
    token, secret = ApiToken.issue(User.objects.get(), "fuzz", scopes=ApiToken.Scope.values, days=None)
    config = site.folder / "schemathesis.toml"
    config.write_text(CONFIG)
    (site.folder / "hooks.py").write_text(HOOKS)
    result = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
            *("run", f"{site.url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {secret}", "--checks", "all", "--max-time", str(SECONDS)),
            *("--seed", "20261124", "--max-examples", "25", "--no-color"),
        ],
        cwd=site.folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "hooks", "OWN_TOKEN": str(token.pk), "PYTHONPATH": str(site.folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS * 4,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert ApiToken.living().filter(pk=token.pk).exists()
