"""distill: one small monolingual encoder out of a large multilingual one, from one YAML file."""

__version__ = "0.1.0"
