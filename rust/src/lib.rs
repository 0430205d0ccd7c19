//! The C ABI of bop_object_store.h over the crate object_store. Nothing is decided here.

mod abi;
mod connection;
mod request;
mod store;
