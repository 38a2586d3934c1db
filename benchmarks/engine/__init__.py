"""What benchmarks/trace_engine.py and benchmarks/store.py measure with."""
