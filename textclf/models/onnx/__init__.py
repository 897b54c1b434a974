"""Writing and reading ONNX graphs without the package onnx."""
