"""The error for what a user can mend, and what often is in a file's place."""


class UserError(ValueError):
    """Something in the data, the config, a file or an option is wrong; the message names it, its value and the way out.

    The commands show only this message. Any other error is a defect of this project, and keeps its stack trace.
    """


def first_line(error: Exception) -> str:
    """The type of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def stand_in(content: bytes) -> str:
    """What is there instead of a file that was not fetched, and the way out; empty if it is something else.

    Example:
        >>> stand_in(b"version https://git-lfs.github.com/spec/v1")
        'it is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it'
    """
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") < 2**27 and b'"dtype"' in content[:1000]:
        return (
            "it is in the format safetensors: torch.save({'state_dict': safetensors.torch.load_file(...)}, "
            "'weights.pth') writes the other"
        )
    if not content.strip(b"\0 \r\n"):
        return "it is empty: copy or export it again"
    start = content[:200].lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS and not the file itself: `git lfs pull` fetches it"
    if start.startswith((b"<!doctype html", b"<html")):
        return "it is a web page and not the file itself: download it again"
    return ""
