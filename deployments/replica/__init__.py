"""A model replica: device, batcher, calibration, health, metrics, autoscaling."""
