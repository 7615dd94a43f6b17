"""What is measured of finished networks, in one way for all plans."""
