"""What touches the world: the model, the circuit, the stores."""
