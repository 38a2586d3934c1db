"""Publish: versions of a release on the Hugging Face Hub, and what lies between two of them."""
