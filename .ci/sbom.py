"""A bill of materials (CycloneDX, JSON) on standard output: the Python packages, and the pages' JavaScript."""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--of", "JSON", "--output-reproducible"]
    lists = str(ROOT / "requirements.txt")
    made = subprocess.run([*command, lists], check=True, capture_output=True, text=True)  # noqa: S603
    bill: dict[str, Any] = json.loads(made.stdout)
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    bill["components"] += [
        component(path, package) for path, package in packages.items() if path and "dev" not in package
    ]
    json.dump(bill, sys.stdout, indent=1)


def component(path: str, package: dict[str, Any]) -> dict[str, Any]:
    name = path.rpartition("node_modules/")[2]
    algorithm, _, digest = package["integrity"].partition("-")
    return {
        "bom-ref": f"npm-{name}",
        "type": "library",
        "name": name,
        "version": package["version"],
        "purl": f"pkg:npm/{name.replace('@', '%40')}@{package['version']}",
        "hashes": [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
    }


if __name__ == "__main__":
    main()
