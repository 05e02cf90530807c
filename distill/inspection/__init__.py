"""The look inside: models and parallel sentences go in; what each layer's vectors are like comes
out, as figures and a page.
"""
