"""The hooks of ``mkdocs.yml``: markers become generated text, links out of ``docs`` become pages of the site.

A marker is a comment in a page, ``<!-- build: NAME ARGUMENTS -->``, invisible where the page is read without a build.
Numbers that are read there too have markers of their own: ``values``.
"""

import posixpath
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from docs_build import charts, notebook, reference, results, sources, terminal, values

ROOT = Path(__file__).parents[1]
MARKER = re.compile(r"^( *)<!-- build: (.+?) -->$", re.M)
BUILDERS: dict[str, Callable[..., str]] = {
    "notebook": notebook.page_of,
    "tools": reference.tools,
    "keys": reference.keys,
    "checks": reference.checks,
    "chart": charts.chart,
    "terminal": terminal.picture,
    "micro": results.micro,
    "loss": results.loss,
    "states": results.states,
}

# Where pages were that have moved.
MOVED = {
    "audit": "how_to/audit_labels",
    "deploy": "how_to/deploy",
    "gpu": "how_to/check_gpu",
    "how_to/mmrotate": "how_to/other_packages",
    "known_classes": "how_to/merge_datasets",
    "loss": "concepts/loss",
    "tune": "how_to/search_loss",
}
REDIRECT = """<!doctype html>
<meta charset="utf-8">
<title>Moved</title>
<link rel="canonical" href="{0}.html">
<meta http-equiv="refresh" content="0; url={0}.html">
<p>This page is <a href="{0}.html">here</a> now.</p>
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of files of the repository: those in the navigation, and what a page links to."""
    for file in sources.about(config):
        files.append(file)
    for file in sources.files_of([file for file in files if file.is_documentation_page()], config):
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the markers in, and turn the links out of ``docs``."""
    if page.file.src_uri.startswith(sources.FOLDER):
        return markdown
    filled = values.without_comments(values.fill(sources.turn_links(markdown, page.file.src_uri)))
    return MARKER.sub(lambda found: textwrap.indent(build(found[2]), found[1]), filled)


def on_post_build(config: MkDocsConfig) -> None:
    """Have the old addresses of pages lead to the new ones."""
    for old, new in MOVED.items():
        target = posixpath.relpath(new, posixpath.dirname(old) or ".")
        Path(config.site_dir, f"{old}.html").write_text(REDIRECT.format(target), encoding="utf-8")


def build(marker: str) -> str:
    """The text for a marker, such as ``micro heads``."""
    name, *arguments = shlex.split(marker)
    if name not in BUILDERS:
        raise PluginError(f"<!-- build: {marker} -->: there is no {name}; there are {', '.join(BUILDERS)}")
    return BUILDERS[name](*arguments)
