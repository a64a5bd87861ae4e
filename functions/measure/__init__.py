"""How good a registration is: each measure once, for registration, training and evaluation."""
