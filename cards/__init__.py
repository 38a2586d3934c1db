"""Say what a release is: its statistics, and the dataset card made from its manifest."""
