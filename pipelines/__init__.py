"""Pure inference: arrays in, small frozen results out. No Ray, no HTTP, no clock, no environment."""
