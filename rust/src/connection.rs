//! The crate's connection, and beside it what the last answer of a request was: the crate's errors tell its
//! status in words only, and it takes an error that comes as XML with status 200 for an empty list.

use async_trait::async_trait;
use bytes::Bytes;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::ClientOptions;
use std::cell::RefCell;

#[derive(Clone, Default)]
pub struct LastAnswer {
    pub status: u16,
    pub http_error: u8,
    pub retry_after_s: u32,
    /// Of an answer with a status of success.
    pub error_body: Bytes,
}

tokio::task_local! {
    pub static LAST: RefCell<LastAnswer>;
}

fn record(last: LastAnswer) {
    let _ = LAST.try_with(|cell| cell.replace(last));
}

fn header<'a>(response: &'a HttpResponse, name: &str) -> &'a str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn kind_of(error: &HttpError) -> u8 {
    match error.kind() {
        HttpErrorKind::Connect => 1,
        HttpErrorKind::Timeout => 2,
        _ => 3,
    }
}

#[derive(Debug)]
struct Recorder(HttpClient);

#[async_trait]
impl HttpService for Recorder {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = match self.0.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                record(LastAnswer { http_error: kind_of(&error), ..Default::default() });
                return Err(error);
            }
        };
        let mut last = LastAnswer {
            status: response.status().as_u16(),
            retry_after_s: header(&response, "retry-after").trim().parse().unwrap_or(0),
            ..Default::default()
        };
        if !response.status().is_success() || !header(&response, "content-type").contains("xml") {
            record(last);
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        record(last.clone());
        let body = body.bytes().await?;
        if body.windows(6).any(|six| six == b"<Error") {
            last.error_body = body.clone();
            record(last);
        }
        Ok(HttpResponse::from_parts(parts, body.into()))
    }
}

#[derive(Debug)]
pub struct RecordingConnector;

impl HttpConnector for RecordingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Recorder(ReqwestConnector::default().connect(options)?)))
    }
}
