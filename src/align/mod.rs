//! Two models paired by role and token string; what could not be paired is part of the result.
