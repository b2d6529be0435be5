"""product.yaml → Product."""
