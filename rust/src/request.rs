//! A request on its way: told once, whatever becomes of it.

use crate::abi::*;
use crate::connection::{LastAnswer, LAST};
use object_store::{Error, ObjectMeta};
use std::cell::RefCell;
use std::ffi::c_void;
use std::future::Future;
use tokio::task::AbortHandle;

pub struct BopRequest(AbortHandle);

/// The other side's pointer, which may be used on any thread.
#[derive(Clone, Copy)]
pub struct Context(pub *mut c_void);
unsafe impl Send for Context {}
unsafe impl Sync for Context {}

/// Tells BOP_ABORTED when it is dropped before anything else was told.
struct Teller {
    done: BopDone,
    context: Context,
    told: bool,
}

impl Teller {
    fn tell(&mut self, answer: &BopAnswer) {
        if !self.told {
            self.told = true;
            (self.done)(self.context.0, answer);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.tell(&BopAnswer::empty(ABORTED));
    }
}

/// What a request found.
#[derive(Default)]
pub struct Found {
    pub key: String,
    pub etag: String,
    pub version: String,
    pub bytes: u64,
    pub stamp: String,
    pub tag: String,
    pub objects: Vec<ObjectMeta>,
}

pub enum Failure {
    Crate(Error),
    NoRoom(u64),
    Cut,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Crate(error)
    }
}

fn outcome_of(error: &Error) -> i32 {
    match error {
        Error::NotFound { .. } => NOT_FOUND,
        Error::AlreadyExists { .. } => ALREADY_EXISTS,
        Error::Precondition { .. } => PRECONDITION,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => DENIED,
        _ => OTHER,
    }
}

fn object_of(key: &str, etag: &str, version: &str, bytes: u64) -> BopObject {
    BopObject { key: BopBytes::of(key), etag: BopBytes::of(etag), version: BopBytes::of(version), bytes }
}

fn tell(mut teller: Teller, result: Result<Found, Failure>, last: LastAnswer) {
    let mut answer = BopAnswer::empty(OK);
    answer.status = last.status;
    answer.http_error = last.http_error;
    answer.retry_after_s = last.retry_after_s;
    match result {
        Ok(_) if !last.error_body.is_empty() => {
            answer.outcome = ERROR_BODY;
            answer.text = BopBytes { data: last.error_body.as_ptr(), bytes: last.error_body.len() };
            teller.tell(&answer);
        }
        Ok(found) => {
            let listed: Vec<BopObject> = found
                .objects
                .iter()
                .map(|object| {
                    let etag = object.e_tag.as_deref().unwrap_or("");
                    let version = object.version.as_deref().unwrap_or("");
                    object_of(object.location.as_ref(), etag, version, object.size)
                })
                .collect();
            answer.object = object_of(&found.key, &found.etag, &found.version, found.bytes);
            answer.stamp = BopBytes::of(&found.stamp);
            answer.tag = BopBytes::of(&found.tag);
            answer.objects = listed.as_ptr();
            answer.object_count = listed.len();
            teller.tell(&answer);
        }
        Err(Failure::Crate(error)) => {
            let text = error.to_string();
            answer.outcome = outcome_of(&error);
            answer.text = BopBytes::of(&text);
            teller.tell(&answer);
        }
        Err(Failure::NoRoom(bytes)) => {
            answer.outcome = NO_ROOM;
            answer.object.bytes = bytes;
            teller.tell(&answer);
        }
        Err(Failure::Cut) => {
            answer.outcome = CUT;
            teller.tell(&answer);
        }
    }
}

/// Runs `work` on the store's threads.
pub fn spawn<F>(runtime: &tokio::runtime::Runtime, done: BopDone, context: *mut c_void, work: F) -> *mut BopRequest
where
    F: Future<Output = Result<Found, Failure>> + Send + 'static,
{
    let teller = Teller { done, context: Context(context), told: false };
    let task = runtime.spawn(LAST.scope(RefCell::new(LastAnswer::default()), async move {
        let result = work.await;
        let last = LAST.with(|cell| cell.take());
        tell(teller, result, last);
    }));
    Box::into_raw(Box::new(BopRequest(task.abort_handle())))
}

/// # Safety
/// `request` came from this library and was not freed.
#[no_mangle]
pub unsafe extern "C" fn bop_request_abort(request: *mut BopRequest) {
    (*request).0.abort();
}

/// # Safety
/// `request` came from this library and is not used again.
#[no_mangle]
pub unsafe extern "C" fn bop_request_free(request: *mut BopRequest) {
    drop(Box::from_raw(request));
}
