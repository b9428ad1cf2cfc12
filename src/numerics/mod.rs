//! Seeded randomness, tails in log space, exact sums. Pure: no I/O, cannot fail.

mod combine;
mod kolmogorov;
mod proportion;
mod rng;
mod tails;

pub use combine::{fisher_ln_p, order_statistic_ln_p, spread_ln_p};
pub use kolmogorov::{OneSidedKs, one_sided_ks};
pub use proportion::clopper_pearson_upper;
pub use rng::Rng;
pub use tails::{chi_square_cdf, digamma, ln_chi_square_even_sf, ln_f_sf, ln_normal_sf, median};
