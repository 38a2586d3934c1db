"""The parts of benchmarks/train_cpu.py; the libraries' own bars are turned off before any of them is imported."""

from safety_reasoning.train.training_quiet import quiet

quiet()
