"""What all ingress replicas share, and its client."""
