"""What is worked out about recorded runs: travel in time, other versions, compensation."""
