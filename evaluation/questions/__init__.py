"""One module for each question: its answers become a `evaluation.section.Section`."""
