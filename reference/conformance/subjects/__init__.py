"""The forms that models come in, and how a call into one is made safe."""
