//! One file per statistic.
