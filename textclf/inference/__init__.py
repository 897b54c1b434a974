"""Prediction without TensorFlow: the model/ folder, the classifier in it, and the verbs predict and explain."""
