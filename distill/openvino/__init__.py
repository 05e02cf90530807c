"""From an ONNX file to OpenVINO, in float32 and int8, and running what comes out."""
