"""The server is killed again and again while people upload, transcribe, cancel and delete: is anything lost or doubled?

    python -m bench.crash [--rounds 30] [--seed 1]

The Whisper server is a stub that recognises every request. Prints the requests and answers; fails at the first broken
promise: an acknowledged upload without an end, a segment doubled or out of order, a finished segment
sent again, a file without a row, a temporary file, a permit or a process left behind.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asrsite.settings")

import django

django.setup()

from tests.support.storm import storm  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        answers = storm(Path(folder, "data"), options.rounds, options.seed)
    print(", ".join(f"{number} × {answer}" for answer, number in answers.most_common()))
    print(f"every promise held, in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
