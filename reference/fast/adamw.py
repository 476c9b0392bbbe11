"""AdamW as torch.optim has it unless it is told otherwise, and as the notes' loop uses it."""

BETA_1, BETA_2 = 0.9, 0.999
"""How much of the running means of the gradient, and of its square, is kept at each step."""

EPSILON = 1e-8
WEIGHT_DECAY = 0.01
