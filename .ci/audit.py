"""What is known against the pinned packages, from the OSV database (osv.dev) by way of pip-audit.

Fails where something is known. Where the database cannot be reached there is nothing to fail for, and the output says
that nothing was audited. Arguments go to pip-audit: `python .ci/audit.py --osv-url … -r …`.
"""

import json
import subprocess
import sys
from typing import Any

LISTS = ["-r", "requirements.txt", "-r", "requirements-cuda.txt", "-r", "requirements-dev.txt"]


def main(arguments: list[str]) -> int:
    # The lists name every package with its version: nothing has to be resolved or installed for the audit.
    command = [sys.executable, "-m", "pip_audit", "-s", "osv", "--disable-pip", "--no-deps", "-f", "json"]
    found = subprocess.run([*command, *(arguments or LISTS)], capture_output=True, text=True)  # noqa: S603
    try:
        packages: list[dict[str, Any]] = json.loads(found.stdout)["dependencies"]
    except ValueError:
        reason = (found.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"NOT AUDITED: the database of vulnerabilities cannot be reached ({reason}).")
        return 0
    audited = [package for package in packages if "vulns" in package]
    known = [(package, fault) for package in audited for fault in package["vulns"]]
    for package, fault in known:
        fixed = ", ".join(fault["fix_versions"]) or "no version"
        print(f"{package['name']} {package['version']}: {fault['id']}, mended in {fixed}")
    if not audited:
        print("NOT AUDITED: the database of vulnerabilities knew none of the packages.")
    print(f"{len(audited)} of {len(packages)} packages audited, {len(known)} vulnerabilities known.")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
