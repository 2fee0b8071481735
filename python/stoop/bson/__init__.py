"""BSON decoded straight into NumPy arrays and Arrow columns."""
