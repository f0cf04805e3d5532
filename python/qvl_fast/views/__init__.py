"""Pictures of what a model sees: of an image, of a video, and of two sets of rows that differ.

The functions::

    view            an image cut into tokens, with windows, position ids, boxes and scores
    view_frames     the frames of a video
    gallery         one page of several
    diff            two sets of rows of one image
"""

from qvl_fast.views.difference import Diff, diff
from qvl_fast.views.picture import View, gallery, view, view_frames

__all__ = ["Diff", "View", "diff", "gallery", "view", "view_frames"]
