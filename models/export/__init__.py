"""Worlds with a memory in space as ONNX graphs. Needs torch and onnxscript; playing does not."""
