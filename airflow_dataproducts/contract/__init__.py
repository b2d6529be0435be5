"""What a contract means, apart from any engine."""
