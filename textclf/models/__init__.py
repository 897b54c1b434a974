"""The architectures, each in a folder of its own: options, Keras network and ONNX graph."""
