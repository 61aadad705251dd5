//! Samples, pure.
