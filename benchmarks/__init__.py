"""Scripts that measure and print tables; nothing imports them."""
