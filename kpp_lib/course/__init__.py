"""What only the notebooks and the site need: checks of exercises, figures, widgets."""
