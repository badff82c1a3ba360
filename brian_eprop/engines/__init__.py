"""How the linear system of a projection is run: engines that add code to Brian2 objects."""
