"""Where an ONNX file stands in a model's folder, and what goes in and out: as the Hub's ONNX
community has it. The one in int8 has the name that Optimum gives it and transformers.js looks for.
"""

FLOAT32, INT8 = "onnx/model.onnx", "onnx/model_quantized.onnx"
INPUTS, TYPES = ("input_ids", "attention_mask"), "token_type_ids"
OUTPUT, LOGITS = "last_hidden_state", "logits"
VECTORS = "sentence_embedding"
"""What sentence-transformers and Optimum call a text's vector."""
SPAN = ("start_logits", "end_logits")
"""What a question-answering head has instead of logits."""
BESIDE = "_data"
"""What the name of the file beside it adds that holds the weights of a model too large for one
file.
"""
ONE_FILE_BYTES = 1_900_000_000
"""Protocol Buffers hold less than 2 GiB; a larger model's weights go into a file beside it."""
