"""Pretrained transformer encoders: folders as Hugging Face writes them, their Keras network and their ONNX graph."""
