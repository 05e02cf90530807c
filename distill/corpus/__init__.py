"""Text sources go in; cleaned, de-duplicated documents come out, split into train and held-out."""
