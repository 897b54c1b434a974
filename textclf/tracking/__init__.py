"""Trackers: trainings and searches in TensorBoard, MLflow and Weights & Biases, each in its own conventions."""
