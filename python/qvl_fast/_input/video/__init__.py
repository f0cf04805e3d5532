"""Video files: how many frames there are, and the frames that are asked for."""

from qvl_fast._input.video.file import VideoFile
from qvl_fast._input.video.metadata import VideoMetadata

__all__ = ["VideoFile", "VideoMetadata"]
