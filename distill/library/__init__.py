"""The library: what the command line does, in Python, with models in memory or by name.

Its functions import what computes when they are called: importing distill costs no torch.
"""
