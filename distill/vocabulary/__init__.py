"""Documents go in; piece counts, kept pieces, a trimmed tokenizer, a trimmed teacher and their
proof come out.
"""
