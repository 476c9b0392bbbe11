"""`python -m reference` is the `bigram` command."""

from reference.cli.main import main

main()
