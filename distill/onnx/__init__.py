"""Encoders as ONNX: a model in memory goes in; ONNX files come out, in float32 and int8, and what
runs them.
"""
