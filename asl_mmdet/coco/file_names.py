"""Which file of a folder an annotation file means by a name that is not there."""

import operator
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

_LIMIT = 500_000  # files that are listed
_LABEL_STUDIO = re.compile(r"[0-9a-f]{4,8}-(.+)")  # what it puts before the names of uploaded files


class FileFinder:
    """The files of the folder that ``file_name`` starts from, and of others; listed when they are first looked for."""

    def __init__(self, folder: str) -> None:
        self.folder = folder or "."
        self._listed: dict[str, set[str]] = {}

    def has(self, path: str) -> bool:
        """Whether there is a file; a folder is listed once, instead of a question for every file in it."""
        folder, name = os.path.split(path)
        if folder not in self._listed:
            self._listed[folder] = _files_in(folder)
        return name in self._listed[folder] or os.path.isfile(path)  # file systems may take other letters for the same

    def find(self, name: str) -> tuple[str, str] | None:
        """The path of a file below the folder that a name may mean, and what the name has otherwise; None without one.

        A file counts only if no other one fits as well.
        """
        for change, candidate in _candidates(name):
            if candidate in self._files:
                return candidate, change
        for change, candidate in _candidates(name):
            for key, words in ((_spelling, "other letters"), (_stem, "another suffix")):
                near = self._by_name[PurePosixPath(key(candidate)).name]
                alike = [path for path in near if key(path) == key(candidate)]
                if len(alike) == 1:
                    return alike[0], f"{change}, {words}".strip(", ")
        for change, candidate in _candidates(name):
            alike = self._by_name[PurePosixPath(_spelling(candidate)).name]
            if len(alike) == 1:
                return alike[0], f"{change}, in the folder where it is".strip(", ")
        return None

    @cached_property
    def _files(self) -> set[str]:
        files: set[str] = set()
        is_hidden = operator.methodcaller("startswith", ".")  # such as a virtual environment of a checkout
        for name, entry in entries_below(self.folder, is_hidden) if os.path.isdir(self.folder) else ():
            if _is_file(entry):
                files.add(name)
            if len(files) > _LIMIT:
                break
        return files

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for path in sorted(self._files):
            for key in {_spelling(path), _stem(path)}:
                found[PurePosixPath(key).name].append(path)
        return found


def _files_in(folder: str) -> set[str]:
    """The names of the files of a folder: a link to nowhere is none, nor is a folder that is named as an image."""
    if not os.path.isdir(folder):
        return set()
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if _is_file(entry)}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def entries_below(
    folder: str | os.PathLike[str], skips: Callable[[str], bool] = lambda name: False
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What is in a folder and in those below it, linked ones too, but for folders: paths from there, with a slash.

    A link to a folder that it is in is not followed; a folder that may not be read is there like a file.

    Args:
        folder: The folder.
        skips: Tells by their names which folders are left out.
    """
    return _below(os.fspath(folder), "", (), skips)


def _below(
    folder: str, start: str, above: tuple[str, ...], skips: Callable[[str], bool]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if not os.path.isdir(entry.path) or not os.access(entry.path, os.R_OK | os.X_OK):
            yield start + entry.name, entry
        elif not skips(entry.name):
            yield from _below(entry.path, f"{start}{entry.name}/", (*above, real), skips)


def _candidates(name: str) -> Iterator[tuple[str, str]]:
    """What a name may mean, and what was changed about it, the smallest change first."""
    yield "", name
    changes = []
    for change, changed in (
        ("a path after ?d=", lambda text: text.partition("?d=")[2] or text),
        ("/ instead of \\", lambda text: text.replace("\\", "/")),
        ("characters instead of %20 and the like", unquote),
        ("no white space around it", str.strip),
    ):
        if changed(name) != name:
            name = changed(name)
            changes.append(change)
            yield ", ".join(changes), name
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]
    for start in range(len(parts)):
        if start or len(parts) < len(PurePosixPath(name).parts):
            yield ", ".join([*changes, "without folders"]), "/".join(parts[start:])
    if parts and (match := _LABEL_STUDIO.fullmatch(parts[-1])):
        yield ", ".join([*changes, "without Label Studio's prefix"]), match[1]


def _spelling(path: str) -> str:
    """A path without differences of case, and of how Unicode writes an accent."""
    return unicodedata.normalize("NFC", path).casefold()


def _stem(path: str) -> str:
    """The same without the suffix."""
    return str(PurePosixPath(_spelling(path)).with_suffix("")) if PurePosixPath(path).name else ""
