//! Words become a config; call; print; exit code.
