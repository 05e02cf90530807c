"""The stages' results go in; report.json, plots and a self-contained report.html come out."""
