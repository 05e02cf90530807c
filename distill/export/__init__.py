"""A student goes in; a Hub-ready folder with its card comes out."""
