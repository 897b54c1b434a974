"""The interface for Python programs: `load`, `train` and the scikit-learn estimator `TextClassifier`."""
