"""What can go wrong: with the command as a whole, and with one file of many."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class CommandError(Exception):
    """The command cannot go on; the message is for the user."""


class Failure(NamedTuple):
    """A file that could not be used.

    Attributes:
        path: the file.
        error: what its use raised.
    """

    path: Path
    error: Exception

    @property
    def reason(self) -> str:
        """What went wrong, without the path."""
        if isinstance(self.error, OSError) and self.error.strerror:
            return self.error.strerror
        # An image that cannot be decoded: the error itself repeats the path, its cause says why.
        cause = self.error.__cause__ or self.error
        return str(cause) or type(cause).__name__
