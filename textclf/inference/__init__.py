"""The model/ folder, the classifier in it, and what is done with it; never TensorFlow."""
