"""A trimmed teacher goes in; a smaller architecture comes out, initialised from the teacher's own
weights.
"""
