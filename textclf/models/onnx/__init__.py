"""ONNX graphs written and read without the package onnx."""
