"""Teachers: a Hub id, a local folder or a package goes in; a model and a tokenizer in memory come out."""

from distill.models.loading import Teacher, describe_teacher, load_config, load_model, load_teacher, load_tokenizer

__all__ = ["Teacher", "describe_teacher", "load_config", "load_model", "load_teacher", "load_tokenizer"]
