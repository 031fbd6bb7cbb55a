"""Docstrings as mkdocstrings wants them: Sphinx's roles, such as ``:func:``, become links, and examples code."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`~?([\w.]+)`")
EXAMPLE = re.compile(r"^Example:$", re.M)  # a section to Napoleon, to griffe only in the plural


class Roles(griffe.Extension):
    """A role of this project becomes a link where the site has its target, and code elsewhere."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of an object that was loaded."""
        if obj.docstring:
            text = EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', text)
