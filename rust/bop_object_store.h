// The crate object_store behind a C ABI: one request, one answer. The other side is src/lib.rs.
//
// A store is opened with the keys and values of the crate's own configuration, after what the environment says
// (AWS_*, GOOGLE_*, AZURE_*). Its requests run on threads of its own. A request is answered exactly once, on
// one of these threads, also when it is aborted or the store is closed; `done` must not block. What an answer
// points to lives until `done` returns. A body is used until `release` was called with its owner, which may be
// after the answer.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct BopStore BopStore;
typedef struct BopRequest BopRequest;

typedef struct {
  const uint8_t* data;
  size_t bytes;
} BopBytes;

typedef struct {
  BopBytes key;
  BopBytes value;
} BopPair;

typedef struct {
  const uint8_t* data;
  size_t bytes;
  void* owner;
  void (*release)(void* owner);
} BopBody;

typedef struct {
  BopBytes key;
  BopBytes etag;
  BopBytes version;  // GCS: the generation, by which it compares
  uint64_t bytes;
} BopObject;

// What the crate makes of an answer.
enum {
  BOP_OK = 0,
  BOP_NOT_FOUND = 1,
  BOP_ALREADY_EXISTS = 2,
  BOP_PRECONDITION = 3,
  BOP_DENIED = 4,
  BOP_OTHER = 5,    // `status` and `http_error` say more
  BOP_ABORTED = 6,  // also: the store was closed, or the crate panicked
  BOP_NO_ROOM = 7,  // `room` gave none; `object.bytes` is how long the object is
  BOP_CUT = 8,      // fewer bytes came than were promised
  BOP_ERROR_BODY = 9,  // success by its status; `text` is the body, an error in XML
};

// Of the connection, when there was no status.
enum {
  BOP_HTTP_NONE = 0,
  BOP_HTTP_CONNECT = 1,
  BOP_HTTP_TIMEOUT = 2,
  BOP_HTTP_BROKEN = 3,
};

typedef struct {
  int32_t outcome;
  uint16_t status;  // of the last HTTP answer; 0: there was none
  uint8_t http_error;
  uint32_t retry_after_s;
  BopBytes text;    // of a failure, for people
  BopObject object;  // of put, head, get, complete
  BopBytes stamp;    // of head
  BopBytes tag;      // of begin (the upload) and part; of list the token of the next page
  const BopObject* objects;  // of list
  size_t object_count;
} BopAnswer;

typedef void (*BopDone)(void* context, const BopAnswer* answer);
// Where the `bytes` bytes of an answer go; null: nowhere. Called at most once for a request.
typedef uint8_t* (*BopRoom)(void* context, uint64_t bytes);

enum { BOP_S3 = 0, BOP_GCS = 1, BOP_AZURE = 2 };
enum { BOP_PUT_ALWAYS = 0, BOP_PUT_IF_ABSENT = 1, BOP_PUT_IF_MATCH = 2 };

// Null: `failed` was called with why not.
BopStore* bop_store_open(int32_t kind, const BopPair* pairs, size_t pair_count, size_t threads, void* context,
                         void (*failed)(void* context, BopBytes text));
// Requests that are not answered are answered BOP_ABORTED, before it returns if no name is being looked up.
void bop_store_close(BopStore* store);

// `etag` of a put is the etag or the version, whatever the service compares by.
// A key is taken as it is. The handle is freed by bop_request_free, before or after the answer.
BopRequest* bop_store_put(BopStore* store, BopBytes key, BopBody body, int32_t mode, BopBytes etag,
                          BopBytes stamp, BopDone done, void* context);
BopRequest* bop_store_get(BopStore* store, BopBytes key, int32_t has_range, uint64_t offset, uint64_t bytes,
                          BopRoom room, BopDone done, void* context);
BopRequest* bop_store_head(BopStore* store, BopBytes key, BopDone done, void* context);
// Empty `after` and `token`: from the beginning.
BopRequest* bop_store_list(BopStore* store, BopBytes prefix, BopBytes after, BopBytes token, size_t most,
                           BopDone done, void* context);
BopRequest* bop_store_remove(BopStore* store, BopBytes key, BopDone done, void* context);
BopRequest* bop_store_begin(BopStore* store, BopBytes key, BopDone done, void* context);
BopRequest* bop_store_part(BopStore* store, BopBytes key, BopBytes upload, size_t number, BopBody body,
                           BopDone done, void* context);
BopRequest* bop_store_complete(BopStore* store, BopBytes key, BopBytes upload, const BopBytes* tags,
                               size_t tag_count, BopDone done, void* context);
BopRequest* bop_store_drop(BopStore* store, BopBytes key, BopBytes upload, BopDone done, void* context);

// Any thread.
void bop_request_abort(BopRequest* request);
void bop_request_free(BopRequest* request);

#ifdef __cplusplus
}
#endif
