"""What the site adds to Sphinx: the notes, the contract and the code, each quoted from its source.

`docs/conf.py` loads the modules one by one; each has a `setup`.
"""
