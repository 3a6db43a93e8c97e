"""What is measured: each module plays one workload with the peers in turn and gives its figures."""
