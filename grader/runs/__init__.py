"""The full experiments on CIFAR-10: what they are, how they are carried out, and what came out."""
