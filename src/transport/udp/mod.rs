//! UDP: sessions with one peer each, and groups.

pub(crate) mod group;
