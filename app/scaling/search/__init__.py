"""Which networks to train next, and which of the trained ones are on the front."""
