"""What every training loop needs: data, schedule, parameter groups, checkpoints, sharing over
processes.
"""
