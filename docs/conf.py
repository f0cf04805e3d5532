"""Settings of Sphinx for the pages beside this file: `make docs`."""

project = "qvl_fast"
project_copyright = "the authors of qvl_fast"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "alabaster"
html_theme_options = {
    "description": "The vision front end of the Qwen-VL models",
    "fixed_sidebar": True,
    "font_family": "system-ui, sans-serif",
    "code_font_size": "0.85em",
    "page_width": "1100px",
    "body_max_width": "none",  # for the tables
}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_sourcelink = False
# Links such as `images.md#options` lead to headings of other pages.
myst_heading_anchors = 3
nitpicky = True
# Of docstrings, links are made of the names that this site has.
nitpick_ignore_regex = [("py:.*", ".*")]

# api.md is made of the docstrings.
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "special-members": "__call__, __getitem__",
    # Whose members are not shown where they are inherited.
    "inherited-members": "dict, object, tuple, Exception, BaseException, Module",
}
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_typehints_format = "short"
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
