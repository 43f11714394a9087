"""Sphinx's settings for the course as static pages; `make site` stages the sources beside this file and runs it.

No page asks another host for anything: themes, search, maths and the explorer are files of the site.
"""

project = "Kanerva++"
author = "the kpp_lib authors"
extensions = ["myst_nb", "sphinx-mathjax-offline"]
exclude_patterns = ["_static"]

html_theme = "furo"
pygments_dark_style = "github-dark"
html_theme_options = {name: {"code-font-size": "0.78rem"} for name in ("light_css_variables", "dark_css_variables")}
html_title = "Kanerva++, the course"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_show_sphinx = html_show_copyright = False

nb_execution_mode = "off"  # the committed outputs are shown
nb_ipywidgets_js = {}  # a page without a kernel has no use for the widget manager and require.js of other hosts
nb_render_text_lexer = "none"
nb_merge_streams = True
nb_code_prompt_show = "Show the cell that sets up Colab"  # the only one that is folded

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
# MathJax 3. Its menu would load from elsewhere; at 1 its letters are larger than the text's.
mathjax3_config = {"options": {"enableMenu": False}, "chtml": {"scale": 0.93}}
suppress_warnings = ["mystnb.unknown_mime_type"]


def setup(app):
    """The explorer's scripts, only on the pages that have one."""

    def add(app, page, template, context, tree):
        if "kpp-explorer" in context.get("body", ""):
            app.add_js_file("network.js")
            app.add_js_file("explorer.js")

    app.connect("html-page-context", add)
