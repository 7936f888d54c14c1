"""What the site has besides the pages in docs/, and what it must not have.

README.md, CHANGELOG.md, CONTRIBUTING.md and the pages of the sample configs are read in the
repository, and their links hold there. Here they become pages of the site.
"""

import logging
import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPOSITORY = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\W?https?:[^>]*>")
STYLED = re.compile(r"<link\b(?=[^>]*\brel=\W?(?:stylesheet|icon|preconnect))[^>]*https?:[^>]*>")
log = logging.getLogger("mkdocs.hooks.site")


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages that are elsewhere in the repository."""
    configs = sorted((REPOSITORY / "endpoint_configs").rglob("README.md"))
    names = {path.relative_to(REPOSITORY).as_posix(): "" for path in configs}
    for source, name in {**PAGES, **names}.items():
        path = str(REPOSITORY / source)
        files.append(File.generated(config, name or source, abs_src_path=path))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Turn links between files of the repository into links between pages."""
    pages = {os.path.realpath(each.abs_src_path): each for each in files if each.abs_src_path}
    folder = Path(page.file.abs_src_path or "").parent

    def link(found: re.Match[str]) -> str:
        target = pages.get(os.path.realpath(folder / found[1]))
        here = os.path.dirname(page.file.src_uri)  # noqa: PTH120  (of a URI)
        return os.path.relpath(target.src_uri, here) if target else found[1]

    return LINK.sub(link, markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:  # noqa: ARG001
    """Warn, which fails the build, of what a reader's browser would fetch from elsewhere."""
    for pattern in (LOADED, STYLED):
        for found in pattern.findall(output):
            log.warning("%s cannot be read offline: %s", page.file.src_uri, found)
