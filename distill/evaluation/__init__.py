"""Tasks and models go in; fine-tuned where a task asks for it, and compared in pairs, scores with
intervals come out.
"""
