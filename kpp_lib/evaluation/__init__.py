"""Evaluation: the test protocol, its diagnostics, studies of trained weights, and reports."""
