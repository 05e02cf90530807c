"""What the site needs besides the pages: the files of the repository that they link to."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)")
"""A link of a page to a file beside docs/."""
FOLDER = "repository"
"""Where those files lie on the site."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each file outside docs/ that a page links to."""
    root = Path(config.docs_dir).parent
    pages = [page.content_string for page in files.documentation_pages()]
    for path in sorted({path for text in pages for path in OUTSIDE.findall(text)}):
        if (root / path).is_file():
            address = f"{FOLDER}/{path}.txt" if path.endswith(".md") else f"{FOLDER}/{path}"
            files.append(File.generated(config, address, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links there; one that leads nowhere stays as it is, and is told by mkdocs."""
    del page, config, files
    markdown = re.sub(r"\]\(\.\./(\w+\.md)", rf"]({FOLDER}/\1.txt", markdown)
    return OUTSIDE.sub(rf"]({FOLDER}/\1", markdown)
