"""Where an ONNX file stands in a model's folder, and what goes in and out: as the Hub's ONNX community has it."""

FLOAT32, INT8 = "onnx/model.onnx", "onnx/model_int8.onnx"
INPUTS, TYPES, OUTPUT = ("input_ids", "attention_mask"), "token_type_ids", "last_hidden_state"
