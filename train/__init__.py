"""Turn a release into what a guard is trained on."""
