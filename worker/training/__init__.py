"""Training and evaluation: the loop, checkpoints, optimizer, classification and detection."""
