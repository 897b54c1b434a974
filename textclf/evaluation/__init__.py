"""Measures of predictions: metrics, intervals, calibration, curves, baselines, and the verbs evaluate and compare."""
