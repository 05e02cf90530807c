"""A recipe under way: its plan, its stages, their records and its report."""
