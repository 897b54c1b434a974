"""How good predictions are: metrics, intervals, curves, baselines, and the verbs evaluate and compare."""
