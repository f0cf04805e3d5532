"""What stands for an image or a video in a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qvl_fast.config.checks import check_choice, integer

Place = Literal["here", "front", "mark"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Placeholder:
    """What stands for an image in a prompt, and what becomes of it.

    A checkpoint knows the ids of its tokens; presets have those that all released models share.

    Attributes:
        token: stands for an image, and later for each of its tokens.
        before: what is put before the tokens of an image.
        after: what is put after them.
        place: ``"here"``, where the image stands in the prompt; ``"front"``, before the whole
            prompt, which has no placeholder (BLIP-2); ``"mark"``, where it stands, but once, as the
            language model reads images aside; neighbours then share what is between them (Idefics).
        token_id: id of ``token``; None if it is not known.
        before_id: of ``before``.
        after_id: of ``after``.

    Raises:
        ValueError, TypeError: an unknown place, an empty token, or an id that is none.
    """

    token: str
    before: str = ""
    after: str = ""
    place: Place = "here"
    token_id: int | None = None
    before_id: int | None = None
    after_id: int | None = None

    def __post_init__(self) -> None:
        check_choice("place", self.place, Place)
        if not self.token:
            raise ValueError("token must not be empty, got ''")
        for name in ("token_id", "before_id", "after_id"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, integer(name, value, 0))


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoPlaceholder:
    """What stands for a video in a prompt, and what becomes of it.

    Attributes:
        token: stands for a video, and later for each of its tokens unless ``frame`` is given.
        frame: what each frame becomes instead, as an image does, after ``Frame1:`` with its number
            and in a line of its own (InternVL).
        token_id: id of ``token``; None if it is not known.

    Raises:
        ValueError, TypeError: an empty token, or an id that is none.
    """

    token: str
    frame: Placeholder | None = None
    token_id: int | None = None

    def __post_init__(self) -> None:
        if not self.token:
            raise ValueError("token must not be empty, got ''")
        if self.token_id is not None:
            object.__setattr__(self, "token_id", integer("token_id", self.token_id, 0))
