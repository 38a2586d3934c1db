"""The parts of benchmarks/train_gpu.py."""
