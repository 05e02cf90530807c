"""What a process needs while it works: progress, interruption, processes, precision, errors,
files.
"""
