"""The catalog of products, versions, runs, validation results and publications."""
