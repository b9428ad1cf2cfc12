//! Seeded randomness, tails in log space, exact sums.
