"""What is measured of finished networks, in one way for all plans; here is what notebooks call."""

from ganzip.measure.cost import results_and_costs, training_seconds
from ganzip.measure.images import images_of, interpolate, noise, pictures
from ganzip.measure.rows import overview, pick
