//! raft-engine's durable appends: each of N threads appends an entry of VALUE_BYTES to a region of its own and waits
//! until it is synced, again and again. Log files are filled before the start and recycled, values are not compressed,
//! and old entries are compacted away, so that the engine runs as its makers run it.
//!
//! usage: raft_engine_load DIRECTORY THREADS SECONDS VALUE_BYTES
use std::time::{Duration, Instant};

use protobuf::descriptor::UninterpretedOption;
use raft_engine::{Config, Engine, LogBatch, MessageExt, ReadableSize};

/// A message of protobuf's own with a number and bytes, in place of raft's entry.
struct NumberedBytes;

impl MessageExt for NumberedBytes {
    type Entry = UninterpretedOption;
    fn index(entry: &Self::Entry) -> u64 {
        entry.get_positive_int_value()
    }
}

const KEPT_ENTRIES: u64 = 1000;

fn random_bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    });
    next.take(count).collect()
}

fn produce(engine: &Engine, region: u64, end: Instant, value_bytes: usize) -> Vec<u32> {
    let value = random_bytes(region, value_bytes);
    let mut latencies = Vec::new();
    let mut batch = LogBatch::with_capacity(4);
    let mut index = 0;
    let mut now = Instant::now();
    while now < end {
        index += 1;
        let mut entry = UninterpretedOption::default();
        entry.set_positive_int_value(index);
        entry.set_string_value(value.clone());
        batch.add_entries::<NumberedBytes>(region, &[entry]).expect("add");
        engine.write(&mut batch, true).expect("write");
        if index % KEPT_ENTRIES == 0 {
            engine.compact_to(region, index);
        }
        let after = Instant::now();
        latencies.push((after - now).as_micros() as u32);
        now = after;
    }
    latencies
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, threads, seconds, value_bytes] = arguments.as_slice() else {
        panic!("usage: raft_engine_load DIRECTORY THREADS SECONDS VALUE_BYTES");
    };
    let threads: u64 = threads.parse().expect("THREADS");
    let seconds: f64 = seconds.parse().expect("SECONDS");
    let value_bytes: usize = value_bytes.parse().expect("VALUE_BYTES");
    let engine = Engine::open(Config {
        dir: directory.clone(),
        batch_compression_threshold: ReadableSize::kb(0),
        target_file_size: ReadableSize::mb(64),
        purge_threshold: ReadableSize::mb(256),
        enable_log_recycle: true,
        prefill_for_recycle: true,
        ..Default::default()
    })
    .expect("open");
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(seconds);
    let engine = &engine;
    let mut latencies: Vec<u32> = std::thread::scope(|scope| {
        scope.spawn(move || {
            while Instant::now() < end {
                engine.purge_expired_files().expect("purge");
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let producers: Vec<_> =
            (1..=threads).map(|region| scope.spawn(move || produce(engine, region, end, value_bytes))).collect();
        producers.into_iter().flat_map(|producer| producer.join().expect("producer")).collect()
    });
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() as f64 * share) as usize).min(latencies.len() - 1)];
    println!(
        "ops_per_s={:.0} p50_us={} p99_us={} p999_us={} max_us={}",
        latencies.len() as f64 / elapsed,
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
}
