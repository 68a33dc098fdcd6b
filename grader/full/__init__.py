"""The full profile: networks that were handed in, and numbers that were reported, against the judge's own measurements.

Weights cross from a worker as plain arrays; the judge loads them into its own network and counts on CIFAR-10.
"""
