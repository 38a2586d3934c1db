"""Deploy: a guard in NeMo Guardrails and in vLLM, and what a rail lets through."""
