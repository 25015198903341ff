"""State shared by all ingress replicas, its client, and the result cache of each ingress replica."""
