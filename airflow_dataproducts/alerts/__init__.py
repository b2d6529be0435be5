"""What people are told of incidents, and in which words of which channel."""
