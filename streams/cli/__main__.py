"""`python -m streams.cli` is `consentry`."""

from streams.cli import main

main(prog_name="consentry")
