"""The hooks of ``mkdocs.yml``: markers become generated text, links out of ``docs`` become pages of the site.

A marker is a comment in a page, ``<!-- build: NAME ARGUMENTS -->``, invisible where the page is read without a build.
Numbers that are read there too have markers of their own: ``values``.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

from docs_build import notebook, reference, results, sources, values

ROOT = Path(__file__).parents[1]
MARKER = re.compile(r"^<!-- build: (.+?) -->$", re.M)
BUILDERS: dict[str, Callable[..., str]] = {
    "notebook": notebook.page_of,
    "tools": reference.tools,
    "keys": reference.keys,
    "checks": reference.checks,
    "experiment": results.experiment,
    "plot": results.plot,
    "runs": results.runs,
    "micro": results.micro,
    "loss": results.loss,
    "states": results.states,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file of the repository that a page links to."""
    for file in sources.files_of([file for file in files if file.is_documentation_page()], config):
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill the markers in, and turn the links out of ``docs``."""
    if page.file.src_uri.startswith(sources.FOLDER):
        return markdown
    filled = values.fill(sources.turn_links(markdown, page.file.src_uri))
    return MARKER.sub(lambda found: build(found[1]), filled)


def build(marker: str) -> str:
    """The text for a marker, such as ``micro heads``."""
    name, *arguments = shlex.split(marker)
    if name not in BUILDERS:
        raise PluginError(f"<!-- build: {marker} -->: there is no {name}; there are {', '.join(BUILDERS)}")
    return BUILDERS[name](*arguments)
