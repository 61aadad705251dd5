//! Several engines in virtual time, from one seed.
