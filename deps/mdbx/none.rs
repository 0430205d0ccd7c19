//! Cargo wants a target; there is nothing in it.
