"""rdw: scale a network to a budget."""
