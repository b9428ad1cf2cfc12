//! What this hardware can do, and which share of it each kernel reaches.
