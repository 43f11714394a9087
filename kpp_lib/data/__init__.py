"""Image data: where it comes from, how it becomes episodes, and noise on it. Knows no model."""
