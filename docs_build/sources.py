"""Files of the repository on the site: a link out of ``docs`` leads to a page that shows the file.

A link to ``benchmarks/runs.csv#NAME`` leads to a page of the experiment of this name, made from its rows. The files in
:data:`ABOUT` have pages of their own in the navigation.
"""

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File

from docs_build import results

ROOT = Path(__file__).parents[1]
FOLDER = "source/"
LINK = re.compile(r"(\]\()(\.\./[^)\s#]+)(#\w+)?")
TO_FILE = re.compile(r"\]\((?!https?:|#)([^)\s#]+)")
RELATIVE = re.compile(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)")
BIBTEX = {"collection-title": "booktitle", "version": "version", "year": "year", "url": "url"}  # keys of CFF
LANGUAGES = {".py": "python", ".json": "json", ".sh": "bash", ".toml": "toml", ".csv": "text", ".txt": "text"}
COPIED = {".png", ".jpg", ".svg", ".html", ".ipynb"}
ABOUT = {
    "CHANGELOG.md": "about/changelog.md",
    "CONTRIBUTING.md": "about/contributing.md",
    "SECURITY.md": "about/security.md",
    "CITATION.cff": "about/citation.md",
}
LONGEST = 60_000  # characters that a page shows
HEAD = "---\nsearch:\n  exclude: true\nhide:\n  - navigation\n---\n\n# {}\n\n"


def about(config: MkDocsConfig) -> Iterator[File]:
    """The pages of :data:`ABOUT`."""
    for target, page in ABOUT.items():
        text = (ROOT / target).read_text(encoding="utf-8")
        content = _from_about(text) if target.endswith(".md") else citation(text)
        yield File.generated(config, page, content=content)


def _from_about(text: str) -> str:
    """A page at the root of the repository, with links as from a page in ``docs/about``."""
    return TO_FILE.sub(lambda found: f"]({posixpath.relpath(found[1], 'docs/about')}", text)


def citation(text: str) -> str:
    """The page of a ``CITATION.cff``: its message, and BibTeX of the software and of the papers."""
    cff = yaml.safe_load(text)
    software = cff | {"year": cff["date-released"][:4]}
    entries = [_bibtex("software", cff["title"].partition(":")[0], software)]
    for one in cff["references"]:
        key = f"{one['authors'][0]['family-names']}{one['year']}".lower()
        entries.append(_bibtex("inproceedings", key, one))
    return "\n\n".join(["# Citation", cff["message"], *(f"```bibtex\n{entry}\n```" for entry in entries)]) + "\n"


def _bibtex(kind: str, key: str, fields: dict[str, Any]) -> str:
    names = (
        f"{{{one['name']}}}" if "name" in one else f"{one['family-names']}, {one['given-names']}"
        for one in fields["authors"]
    )
    given = {"title": f"{{{fields['title']}}}", "author": " and ".join(names)}
    given |= {to: fields[name] for name, to in BIBTEX.items() if name in fields}
    return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in given.items()) + "}"


def target_of(link: str, page: str) -> str | None:
    """The path in the repository that a link of a page leads to; None inside of ``docs``.

    Args:
        link: A relative link, such as ``../benchmarks/bench_heads.csv``.
        page: The path of the page in ``docs``.
    """
    path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if path.startswith(("docs/", "..")) else path


def files_of(pages: Iterable[File], config: MkDocsConfig) -> Iterator[File]:
    """The files to add to the site: what the pages link to, and for a folder what is in it."""
    found: dict[str, None] = {}
    for page in pages:
        for _, link, anchor in LINK.findall(page.content_string):
            target = target_of(link, page.src_uri)
            if target == results.RUNS and anchor:
                found[target + anchor] = None
            elif target is not None and (ROOT / target).exists():
                found.update(dict.fromkeys(_with_contents(ROOT / target)))
    for target in found:
        if target in ABOUT:
            continue
        if "#" in target:
            name = target.partition("#")[2]
            content = HEAD.format(name) + results.page_of(name)
            yield File.generated(config, _page_of_experiment(name), content=content)
        elif Path(target).suffix in COPIED:
            yield File.generated(config, FOLDER + target, abs_src_path=str(ROOT / target))
        else:
            yield File.generated(config, _page_of(target), content=_show(ROOT / target))


def turn_links(markdown: str, page: str) -> str:
    """Replace the links out of ``docs`` by links to the pages of :func:`files_of`.

    A link to what does not exist stays as it is, and MkDocs warns of it.
    """

    def turned(found: re.Match[str]) -> str:
        target = target_of(found[2], page)
        if target is None or not (ROOT / target).exists():
            return found[0]
        new, anchor = FOLDER + target if Path(target).suffix in COPIED else _page_of(target), found[3] or ""
        if target == results.RUNS and anchor:
            new, anchor = _page_of_experiment(anchor[1:]), ""
        return found[1] + posixpath.relpath(new, posixpath.dirname(page) or ".") + anchor

    return LINK.sub(turned, markdown)


def _with_contents(path: Path) -> Iterator[str]:
    """A file, or a folder and the files in it that a page can show."""
    yield path.relative_to(ROOT).as_posix()
    if path.is_dir():
        for one in sorted(path.iterdir()):
            if one.suffix in {*LANGUAGES, *COPIED, ".md"} or (one.is_dir() and one.name != "__pycache__"):
                yield from _with_contents(one)


def _page_of_experiment(name: str) -> str:
    return f"{FOLDER}{results.RUNS.removesuffix('.csv')}/{name}.md"


def _page_of(target: str) -> str:
    if target in ABOUT:
        return ABOUT[target]
    return FOLDER + (f"{target}/index.md" if (ROOT / target).is_dir() else f"{target}.md")


def _show(path: Path) -> str:
    """The page of a file or a folder; the search leaves it out."""
    head = HEAD.format(path.name) + f"`{path.relative_to(ROOT).as_posix()}` of the repository.\n\n"
    if path.is_dir():
        inside = [Path(one) for one in _with_contents(path)][1:]
        here = FOLDER + path.relative_to(ROOT).as_posix()
        links = [
            (one, FOLDER + str(one) if one.suffix in COPIED else _page_of(one.as_posix()))
            for one in inside
            if not (ROOT / one).is_dir()
        ]
        return head + "\n".join(f"- [{one}]({os.path.relpath(page, here)})" for one, page in links) + "\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        text = RELATIVE.sub(r"\1", text)  # where it leads need not be on the site
        return head + re.sub(r"^# .*\n", "", text, count=1)
    cut = "" if len(text) <= LONGEST else f"\nThe first {LONGEST:,} characters of {len(text):,}.\n"
    return f"{head}```{LANGUAGES.get(path.suffix, 'text')}\n{text[:LONGEST]}\n```\n{cut}"
