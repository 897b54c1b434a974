"""The architectures of a network, each in a folder of its own: options, Keras network, ONNX graph."""
