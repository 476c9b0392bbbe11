"""`python -m reference` is the `bigram` command."""

from reference.cli import main

main()
