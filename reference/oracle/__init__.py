"""The independent second opinion: closed forms in float64 NumPy.

Nothing here imports torch or any other part of the package, so that a mistake that the two
share shows against it.
"""
