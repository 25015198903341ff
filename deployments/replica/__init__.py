"""What a model process is: device, batcher, calibration, health, metrics, autoscaling."""
