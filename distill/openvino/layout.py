"""Where OpenVINO's files stand in a model's folder: under the names that optimum-intel and
sentence-transformers look for; the weights lie beside each as .bin.
"""

FLOAT32 = "openvino/openvino_model.xml"
INT8 = "openvino/openvino_model_qint8_quantized.xml"
