"""MkDocs hook: puts the script that draws diagrams beside the pages, so that the site needs no network.

The script is Mermaid's small build, from npm; `package.json` pins it.
"""

from typing import Any

from mkdocs.structure.files import File, Files

MERMAID = "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"


def on_files(files: Files, config: Any) -> Files:
    with open(MERMAID, "rb") as script:
        files.append(File.generated(config, "mermaid.tiny.js", content=script.read()))
    return files
