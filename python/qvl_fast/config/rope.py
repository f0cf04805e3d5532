"""How the language model numbers its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from qvl_fast.config.checks import positive_integer, positive_number


@dataclass(frozen=True, kw_only=True, slots=True)
class RopeConfig:
    """How the language model numbers its tokens, and turns numbers into angles (M-RoPE).

    Attributes:
        merge_size: side, in patches, of the block that becomes one token.
        tokens_per_second: time ids in a second of video (Qwen2.5-VL); None if the time id counts
            groups of frames.
        videos_in_groups: whether text with timestamps stands between the groups of frames of a
            video, each then numbered as an image (Qwen3-VL, Qwen3.5).
        head_dim: channels of an attention head that are rotated: all, or the first quarter
            (Qwen3.5).
        theta: base of the wavelengths.
        sections: how many of the ``head_dim / 2`` frequencies follow time, height and width.
        interleaved: whether those of the three axes alternate (Qwen3-VL, Qwen3.5) or follow each
            other.
        scaling: the checkpoint's recipe for long contexts, ``"default"`` if it has none. It leaves
            the ids as they are; angles are refused with one.

    Raises:
        ValueError: a value is not positive, or the sections do not add up to ``head_dim / 2``.
        TypeError: a value has the wrong type.
    """

    merge_size: int = 2
    tokens_per_second: float | None = None
    videos_in_groups: bool = False
    head_dim: int = 128
    theta: float = 1_000_000.0
    sections: tuple[int, int, int] = (16, 24, 24)
    interleaved: bool = False
    scaling: str = "default"

    def __post_init__(self) -> None:
        """Check the values."""
        sections = tuple(positive_integer("sections", section) for section in self.sections)
        object.__setattr__(self, "sections", sections)
        for name in ("merge_size", "head_dim"):
            object.__setattr__(self, name, positive_integer(name, getattr(self, name)))
        if len(sections) != 3 or 2 * sum(sections) != self.head_dim:
            raise ValueError(
                f"sections must be three that add up to head_dim / 2 = {self.head_dim / 2:g}, got "
                f"{sections}"
            )
        positive_number("theta", self.theta)
        if self.tokens_per_second is not None:
            positive_number("tokens_per_second", self.tokens_per_second)
