"""Models and devices go in; size, latency, throughput and memory come out."""
