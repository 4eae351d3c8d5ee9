"""Every parser of ours that reads what users write, given what nobody would write.

`targets` are the parsers, each with the exceptions that it says it raises; `mutants` makes their
inputs of real ones.  `make test` gives each a few hundred, `make fuzz` an hour's.
"""
