"""Worlds with a memory in space played by ONNX Runtime. Imports no torch."""
