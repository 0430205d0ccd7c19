//! The requests of bop_object_store.h, each the crate's call of that name.

use crate::abi::*;
use crate::connection::RecordingConnector;
use crate::request::{spawn, BopRequest, Context, Failure, Found};
use futures::StreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectStore, PutMode, PutOptions, PutPayload, PutResult, RetryConfig,
    UpdateVersion,
};
use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

/// The name of the metadata in which a put's stamp is kept (x-amz-meta-bop-stamp and its like).
const STAMP: &str = "bop-stamp";

pub struct BopStore {
    runtime: Option<tokio::runtime::Runtime>,
    objects: Arc<dyn ObjectStore>,
    lists: Arc<dyn PaginatedListStore>,
    parts: Arc<dyn MultipartStore>,
}

impl BopStore {
    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.runtime.as_ref().expect("a store that is not closed")
    }

    fn of<T>(store: T, runtime: tokio::runtime::Runtime) -> BopStore
    where
        T: ObjectStore + PaginatedListStore + MultipartStore,
    {
        let store = Arc::new(store);
        BopStore { runtime: Some(runtime), objects: store.clone(), lists: store.clone(), parts: store }
    }
}

fn open(kind: i32, pairs: Vec<(String, String)>, threads: usize) -> Result<BopStore, String> {
    let once = RetryConfig { max_retries: 0, ..Default::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("objstore")
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    macro_rules! build {
        ($builder:ty) => {{
            let mut builder = <$builder>::from_env().with_retry(once).with_http_connector(RecordingConnector);
            for (key, value) in pairs {
                let known = key.parse().map_err(|_| format!("unknown option {key}"))?;
                builder = builder.with_config(known, value);
            }
            let store = builder.build().map_err(|error| error.to_string())?;
            Ok(BopStore::of(store, runtime))
        }};
    }
    match kind {
        0 => build!(AmazonS3Builder),
        1 => build!(GoogleCloudStorageBuilder),
        2 => build!(MicrosoftAzureBuilder),
        _ => Err("unknown kind of store".to_string()),
    }
}

/// # Safety
/// `pairs` points to `pair_count` pairs.
#[no_mangle]
pub unsafe extern "C" fn bop_store_open(
    kind: i32,
    pairs: *const BopPair,
    pair_count: usize,
    threads: usize,
    context: *mut c_void,
    failed: extern "C" fn(*mut c_void, BopBytes),
) -> *mut BopStore {
    let pairs = (0..pair_count).map(|i| ((*pairs.add(i)).key.text(), (*pairs.add(i)).value.text())).collect();
    let opened = std::panic::catch_unwind(|| open(kind, pairs, threads))
        .unwrap_or_else(|_| Err("the library panicked".to_string()));
    match opened {
        Ok(store) => Box::into_raw(Box::new(store)),
        Err(text) => {
            failed(context, BopBytes::of(&text));
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `store` came from bop_store_open and is not used again.
#[no_mangle]
pub unsafe extern "C" fn bop_store_close(store: *mut BopStore) {
    let mut store = Box::from_raw(store);
    // Drops all tasks. A look-up of a name that hangs is not waited for.
    if let Some(runtime) = store.runtime.take() {
        runtime.shutdown_timeout(Duration::from_millis(900));
    }
}

fn put_found(key: &Path, bytes: u64, result: PutResult) -> Found {
    let (etag, version) = (result.e_tag.unwrap_or_default(), result.version.unwrap_or_default());
    Found { key: key.to_string(), bytes, etag, version, ..Default::default() }
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_put(
    store: *mut BopStore,
    key: BopBytes,
    body: BopBody,
    mode: i32,
    etag: BopBytes,
    stamp: BopBytes,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let objects = (*store).objects.clone();
    let key = Path::from(key.text());
    let body = body.into_bytes();
    let mode = match mode {
        1 => PutMode::Create,
        2 => PutMode::Update(UpdateVersion { e_tag: Some(etag.text()), version: Some(etag.text()) }),
        _ => PutMode::Overwrite,
    };
    let mut attributes = Attributes::new();
    if stamp.bytes > 0 {
        attributes.insert(Attribute::Metadata(STAMP.into()), stamp.text().into());
    }
    spawn((*store).runtime(), done, context, async move {
        let bytes = body.len() as u64;
        let options = PutOptions { mode, attributes, ..Default::default() };
        let result = objects.put_opts(&key, PutPayload::from_bytes(body), options).await?;
        Ok(put_found(&key, bytes, result))
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_get(
    store: *mut BopStore,
    key: BopBytes,
    has_range: i32,
    offset: u64,
    bytes: u64,
    room: BopRoom,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let objects = (*store).objects.clone();
    let key = Path::from(key.text());
    let other_side = Context(context);
    spawn((*store).runtime(), done, context, async move {
        let range = (has_range != 0).then(|| GetRange::Bounded(offset..offset.saturating_add(bytes)));
        let result = objects.get_opts(&key, GetOptions { range, ..Default::default() }).await?;
        let expected = result.range.end - result.range.start;
        let whole = result.meta.size;
        let into = Context(ask_for_room(room, other_side, expected) as *mut c_void);
        if into.0.is_null() {
            return Err(Failure::NoRoom(whole));
        }
        let mut chunks = result.into_stream();
        let mut at = 0u64;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if chunk.len() as u64 > expected - at {
                return Err(Failure::Cut);
            }
            fill(into, at, &chunk);
            at += chunk.len() as u64;
        }
        if at != expected {
            return Err(Failure::Cut);
        }
        Ok(Found { key: key.to_string(), bytes: whole, ..Default::default() })
    })
}

fn ask_for_room(room: BopRoom, context: Context, bytes: u64) -> *mut u8 {
    room(context.0, bytes)
}

fn fill(into: Context, at: u64, chunk: &[u8]) {
    // The other side gave room for all that was announced, and keeps it until it was told the answer.
    unsafe { std::ptr::copy_nonoverlapping(chunk.as_ptr(), (into.0 as *mut u8).add(at as usize), chunk.len()) }
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_head(
    store: *mut BopStore,
    key: BopBytes,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let objects = (*store).objects.clone();
    let key = Path::from(key.text());
    spawn((*store).runtime(), done, context, async move {
        let result = objects.get_opts(&key, GetOptions { head: true, ..Default::default() }).await?;
        let stamp = result.attributes.get(&Attribute::Metadata(STAMP.into()));
        Ok(Found {
            key: key.to_string(),
            bytes: result.meta.size,
            etag: result.meta.e_tag.clone().unwrap_or_default(),
            version: result.meta.version.clone().unwrap_or_default(),
            stamp: stamp.map(|value| value.to_string()).unwrap_or_default(),
            ..Default::default()
        })
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_list(
    store: *mut BopStore,
    prefix: BopBytes,
    after: BopBytes,
    token: BopBytes,
    most: usize,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let lists = (*store).lists.clone();
    let (prefix, after, token) = (prefix.text(), after.text(), token.text());
    spawn((*store).runtime(), done, context, async move {
        let options = PaginatedListOptions {
            offset: Some(after).filter(|text| !text.is_empty()),
            page_token: Some(token).filter(|text| !text.is_empty()),
            max_keys: Some(most),
            ..Default::default()
        };
        let prefix = Some(prefix.as_str()).filter(|text| !text.is_empty());
        let page = lists.list_paginated(prefix, options).await?;
        Ok(Found { objects: page.result.objects, tag: page.page_token.unwrap_or_default(), ..Default::default() })
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_remove(
    store: *mut BopStore,
    key: BopBytes,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let objects = (*store).objects.clone();
    let key = Path::from(key.text());
    spawn((*store).runtime(), done, context, async move {
        objects.delete(&key).await?;
        Ok(Found::default())
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_begin(
    store: *mut BopStore,
    key: BopBytes,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let parts = (*store).parts.clone();
    let key = Path::from(key.text());
    spawn((*store).runtime(), done, context, async move {
        let tag = parts.create_multipart(&key).await?;
        Ok(Found { tag, ..Default::default() })
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_part(
    store: *mut BopStore,
    key: BopBytes,
    upload: BopBytes,
    number: usize,
    body: BopBody,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let parts = (*store).parts.clone();
    let (key, upload) = (Path::from(key.text()), upload.text());
    let body = body.into_bytes();
    spawn((*store).runtime(), done, context, async move {
        let part = parts.put_part(&key, &upload, number, PutPayload::from_bytes(body)).await?;
        Ok(Found { tag: part.content_id, ..Default::default() })
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_complete(
    store: *mut BopStore,
    key: BopBytes,
    upload: BopBytes,
    tags: *const BopBytes,
    tag_count: usize,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let parts = (*store).parts.clone();
    let (key, upload) = (Path::from(key.text()), upload.text());
    let tags = (0..tag_count).map(|i| PartId { content_id: (*tags.add(i)).text() }).collect();
    spawn((*store).runtime(), done, context, async move {
        let result = parts.complete_multipart(&key, &upload, tags).await?;
        Ok(put_found(&key, 0, result))
    })
}

/// # Safety
/// As bop_object_store.h says.
#[no_mangle]
pub unsafe extern "C" fn bop_store_drop(
    store: *mut BopStore,
    key: BopBytes,
    upload: BopBytes,
    done: BopDone,
    context: *mut c_void,
) -> *mut BopRequest {
    let parts = (*store).parts.clone();
    let (key, upload) = (Path::from(key.text()), upload.text());
    spawn((*store).runtime(), done, context, async move {
        parts.abort_multipart(&key, &upload).await?;
        Ok(Found::default())
    })
}
