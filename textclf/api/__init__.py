"""What a Python program uses: `load`, `train` and the scikit-learn estimator `TextClassifier`."""
