"""Tasks and models go in; scores with intervals come out."""
