"""Pictures of what a model sees: of one image, of several on one page, and of two that differ.

view   an image cut into tokens, with windows, position ids, boxes and scores
diff   two sets of rows of one image
"""

from qvl_fast.views.difference import Diff, diff
from qvl_fast.views.picture import View, gallery, view

__all__ = ["Diff", "View", "diff", "gallery", "view"]
