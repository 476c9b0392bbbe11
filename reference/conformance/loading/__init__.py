"""A model's class out of a script or a notebook as it stands, without its training.

A lecture's script reads its text, trains and prints as soon as it is imported. Here only the
statements run that the wanted names need.
"""
