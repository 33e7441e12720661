"""The packages that the product is made of: their audit, and their list as a bill of materials."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings

FAULTY = "certifi"
FAULT = {
    "id": "GHSA-test",
    "summary": "It lets everybody in.",
    "details": "",
    "aliases": [],
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": FAULTY, "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            "versions": ["1.0"],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Answers as api.osv.dev/v1/query does."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"vulns": [FAULT]} if asked["package"]["name"] == FAULTY else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


def audit(folder: Path, url: str, *packages: str) -> tuple[int, str]:
    (folder / "list.txt").write_text("\n".join(packages))
    command = [sys.executable, ".ci/audit.py", "--osv-url", url, "-r", str(folder / "list.txt")]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_a_known_vulnerability_fails_the_audit_and_a_database_that_is_away_does_not(osv: str, tmp_path: Path) -> None:
    code, said = audit(tmp_path, osv, "idna==3.7", f"{FAULTY}==1.0")
    assert code == 1
    assert f"{FAULTY} 1.0: GHSA-test, mended in 2.0" in said
    assert "2 of 2 packages audited, 1 vulnerabilities known" in said
    code, said = audit(tmp_path, osv, "idna==3.7")
    assert (code, said) == (0, "1 of 1 packages audited, 0 vulnerabilities known.\n")
    code, said = audit(tmp_path, "http://127.0.0.1:9/v1/query", "idna==3.7")
    assert code == 0
    assert said.startswith("NOT AUDITED: the database of vulnerabilities cannot be reached")


def test_the_bill_of_materials_names_every_package_with_its_digest() -> None:
    command = [sys.executable, ".ci/sbom.py"]
    bill = json.loads(subprocess.run(command, cwd=settings.BASE_DIR, check=True, capture_output=True, text=True).stdout)
    assert bill["bomFormat"] == "CycloneDX"
    listed = {component["name"].lower(): component for component in bill["components"]}
    lists = (Path(settings.BASE_DIR) / "requirements.txt").read_text().lower()
    pinned = set(re.findall(r"^([\w.-]+)(?:\[.*\])?==", lists, re.MULTILINE))
    assert pinned <= listed.keys()
    assert {"wavesurfer.js", "tus-js-client", "uplot"} <= listed.keys()
    assert listed["uplot"]["hashes"][0]["alg"] == "SHA-512"
    assert all(component["version"] for component in bill["components"])
