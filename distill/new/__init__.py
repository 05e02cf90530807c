"""A language goes in; a recipe for it comes out, with a teacher, text and tasks of the Hub, and a
comment at every choice.
"""
