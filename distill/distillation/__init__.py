"""Documents, a teacher and a student go in; a trained student comes out."""
