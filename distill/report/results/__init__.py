"""The figures that each stage returns, typed from where they are measured to where they are
read.
"""
