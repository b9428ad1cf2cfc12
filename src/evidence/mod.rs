//! Measurements become p, effect, power and likelihood. Pure: no I\/O, seeded, cannot fail.
