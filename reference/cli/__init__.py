"""The commands of `bigram`, one file each."""
