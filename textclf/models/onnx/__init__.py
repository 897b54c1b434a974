"""ONNX files without the package onnx: graphs written and read, weights in fewer bytes."""
