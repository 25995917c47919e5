"""What a network computes: arrays only."""
