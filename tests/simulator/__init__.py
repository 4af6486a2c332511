"""The stand-in, seen through the vendor's own SDK wherever a client would see it."""
