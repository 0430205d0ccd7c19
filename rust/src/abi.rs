//! The structs of bop_object_store.h, and how they are read and made.

use std::ffi::c_void;
use std::sync::atomic::{AtomicPtr, Ordering};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct BopBytes {
    pub data: *const u8,
    pub bytes: usize,
}

#[repr(C)]
pub struct BopPair {
    pub key: BopBytes,
    pub value: BopBytes,
}

#[repr(C)]
pub struct BopBody {
    data: *const u8,
    bytes: usize,
    owner: *mut c_void,
    release: extern "C" fn(*mut c_void),
}

#[repr(C)]
pub struct BopObject {
    pub key: BopBytes,
    pub etag: BopBytes,
    pub version: BopBytes,
    pub bytes: u64,
}

#[repr(C)]
pub struct BopAnswer {
    pub outcome: i32,
    pub status: u16,
    pub http_error: u8,
    pub retry_after_s: u32,
    pub text: BopBytes,
    pub object: BopObject,
    pub stamp: BopBytes,
    pub tag: BopBytes,
    pub objects: *const BopObject,
    pub object_count: usize,
}

pub type BopDone = extern "C" fn(*mut c_void, *const BopAnswer);
pub type BopRoom = extern "C" fn(*mut c_void, u64) -> *mut u8;

pub const OK: i32 = 0;
pub const NOT_FOUND: i32 = 1;
pub const ALREADY_EXISTS: i32 = 2;
pub const PRECONDITION: i32 = 3;
pub const DENIED: i32 = 4;
pub const OTHER: i32 = 5;
pub const ABORTED: i32 = 6;
pub const NO_ROOM: i32 = 7;
pub const CUT: i32 = 8;
pub const ERROR_BODY: i32 = 9;

impl BopBytes {
    pub const EMPTY: BopBytes = BopBytes { data: std::ptr::null(), bytes: 0 };

    pub fn of(text: &str) -> BopBytes {
        BopBytes { data: text.as_ptr(), bytes: text.len() }
    }

    /// # Safety
    /// `data` points to `bytes` bytes.
    pub unsafe fn text(&self) -> String {
        if self.bytes == 0 {
            return String::new();
        }
        String::from_utf8_lossy(std::slice::from_raw_parts(self.data, self.bytes)).into_owned()
    }
}

impl BopAnswer {
    pub fn empty(outcome: i32) -> BopAnswer {
        BopAnswer {
            outcome,
            status: 0,
            http_error: 0,
            retry_after_s: 0,
            text: BopBytes::EMPTY,
            object: BopObject { key: BopBytes::EMPTY, etag: BopBytes::EMPTY, version: BopBytes::EMPTY, bytes: 0 },
            stamp: BopBytes::EMPTY,
            tag: BopBytes::EMPTY,
            objects: std::ptr::null(),
            object_count: 0,
        }
    }
}

/// Bytes of the other side, given back when the last user has dropped them.
struct Owned {
    data: AtomicPtr<u8>,
    bytes: usize,
    owner: AtomicPtr<c_void>,
    release: extern "C" fn(*mut c_void),
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        if self.bytes == 0 {
            return &[];
        }
        // The other side keeps them alive and unchanged until `release`.
        unsafe { std::slice::from_raw_parts(self.data.load(Ordering::Relaxed), self.bytes) }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        (self.release)(self.owner.load(Ordering::Relaxed));
    }
}

impl BopBody {
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(Owned {
            data: AtomicPtr::new(self.data as *mut u8),
            bytes: self.bytes,
            owner: AtomicPtr::new(self.owner),
            release: self.release,
        })
    }
}
